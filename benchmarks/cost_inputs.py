"""The model, the data and the configs of the benchmark of what a sweep costs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cost_units import EXAMPLE
from quantbench.core.config import DatasetConfig
from quantbench.data.models import resolve_model
from quantbench.data.rows import load_split

PADDED_LENGTH = 384
SHORTEST = 30
CALIBRATION_SAMPLES = 16
SHAPES = {"batch_sizes": [1], "input_lengths": [32, 128]}
ALL_EXCLUSIONS = ["layernorm", "gelu", "residual", "gather", "softmax"]
# The row that is added: static, Add and MatMul, with this exclusion.
ADDED_EXCLUSION = ["gelu"]


def write_inputs(model: Path, work: Path, num_samples: int, duration_s: float) -> None:
    """Write the data and the configs: `sweep`, and `base` and `added` without and with a row."""
    for split, count in (("validation", num_samples), ("train", CALIBRATION_SAMPLES)):
        lines = [json.dumps(row) for row in mixed_rows(model, split, count)]
        (work / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    config: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    config |= SHAPES | {
        "model_name_or_path": str(model.resolve()),
        "time_benchmark_args": {"duration": duration_s},
        "max_eval_samples": num_samples,
    }
    config["dataset"] |= {
        "path": "json",
        "data_files": {split: f"{split}.jsonl" for split in ("validation", "train")},
    }
    config["calibration"]["num_calibration_samples"] = CALIBRATION_SAMPLES
    fixed = {"quantization_approach": "static", "operators_to_quantize": ["Add", "MatMul"]}
    base = config | fixed | {"benchmarked": {"node_exclusion": [[], ALL_EXCLUSIONS]}}
    added = base | {"benchmarked": {"node_exclusion": [[], ALL_EXCLUSIONS, ADDED_EXCLUSION]}}
    for name, content in (("sweep", config), ("base", base), ("added", added)):
        (work / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def mixed_rows(model: Path, split: str, count: int) -> list[dict[str, Any]]:
    """Bundled questions whose contexts were filled up with sentences of other contexts.

    The token lengths of question and context are spread evenly from 30 to 384, in shuffled order.
    """
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(str(model), local_files_only=True)
    keys = {"question": "question", "context": "context"}
    bundled = DatasetConfig(path="bundled:questions", data_keys=keys, ref_keys=("answers",))
    rows = list(load_split(bundled, split, "dataset.eval_split").rows)
    contexts = dict.fromkeys(row["context"] for row in rows)
    sentences = [part for text in contexts for part in re.split(r"(?<=\.) ", text)]
    rng = np.random.default_rng(0)
    mixed: list[dict[str, Any]] = []
    for target in rng.permutation(np.linspace(SHORTEST, PADDED_LENGTH, count)):
        row = rows[int(rng.integers(len(rows)))]
        answer = row["answers"]["text"][0]
        own = re.split(r"(?<=\.) ", row["context"])
        before: list[str] = []
        kept, after = next(part for part in own if answer in part), list[str]()
        misses = 0
        while misses < 5:
            sentence = sentences[int(rng.integers(len(sentences)))]
            place = before if rng.random() < 0.5 else after
            place.append(sentence)
            text = " ".join([*before, kept, *after])
            if len(tokenizer(row["question"], text, verbose=False)["input_ids"]) > target:
                place.pop()
                misses += 1
        start = len(" ".join([*before, ""])) + kept.index(answer)
        mixed.append(
            {
                "id": f"{split}-{len(mixed)}",
                "question": row["question"],
                "context": " ".join([*before, kept, *after]),
                "answers": {"text": [answer], "answer_start": [start]},
            }
        )
    return mixed


def make_tiny(directory: Path) -> None:
    """A model of two layers for trying this out, with the tokenizer of `bundled:questions`."""
    import torch
    import transformers

    bundled = resolve_model("bundled:questions", None).directory
    tokenizer = transformers.AutoTokenizer.from_pretrained(bundled, local_files_only=True)
    torch.manual_seed(0)
    config = transformers.DistilBertConfig(
        vocab_size=tokenizer.vocab_size, dim=64, hidden_dim=128, n_layers=2, n_heads=2
    )
    model = transformers.DistilBertForQuestionAnswering(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
