"""What evaluating unpadded gains over padding every sample to the maximum length.

The same samples go through the same ONNX Runtime session twice, once as they are and once padded
to 384 tokens, in alternation. Goal: a gain of at least 0.9 × the ratio of padded to real tokens,
with the same predictions. Two models: the bundled one, and one of DistilBERT-base's size with
random weights (time depends on shapes, not on weights).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from padding import padded
from quantbench import registry
from quantbench.core.config import DatasetConfig
from quantbench.data.models import resolve_model
from quantbench.data.rows import load_split
from quantbench.environment import read_cpu
from quantbench.protocols import Encoded, Outputs, Session, SessionOptions
from quantbench.stages.export import export_onnx

PADDED_LENGTH = 384
OPSET = 17
GOAL = 0.9
SAMPLES = {"bundled:questions": 200, "DistilBERT-base, random weights": 24}
DATA_KEYS = {"question": "question", "context": "context"}


def main() -> None:
    """Measure both models and print a line for each."""
    threads = read_cpu().allowed_cores
    bundled = resolve_model("bundled:questions", None).directory
    dataset = DatasetConfig(path="bundled:questions", data_keys=DATA_KEYS, ref_keys=("answers",))
    rows = load_split(dataset, "validation", "dataset.eval_split").rows
    task = registry.task("question-answering")
    run = task.open(
        bundled, {"max_seq_length": PADDED_LENGTH, "doc_stride": 64}, DATA_KEYS, ["answers"], None
    )
    print(f"{'model':34} {'samples':>7} {'tokens':>7} {'time':>7} {'time/tokens':>11}  predictions")
    with tempfile.TemporaryDirectory() as folder:
        directories = {
            "bundled:questions": bundled,
            "DistilBERT-base, random weights": _base_model(Path(folder) / "base", bundled),
        }
        for name, directory in directories.items():
            chosen = [rows[index] for index in range(SAMPLES[name])]
            encoded = [run.encode(row) for row in chosen]
            path = Path(folder) / "model.onnx"
            rng = np.random.default_rng(0)
            check = [run.dummy_inputs(1, 16, rng), run.dummy_inputs(2, 33, rng)]
            export_onnx(directory, task.spec.auto_class, OPSET, check, path)
            session = registry.runtime("onnxruntime").open(path, SessionOptions(threads, 99))
            short_s, long_s, same = 0.0, 0.0, 0
            _forward(session, encoded[0], pad=False)
            _forward(session, encoded[0], pad=True)
            for row, parts in zip(chosen, encoded, strict=True):
                seconds, short = _forward(session, parts, pad=False)
                short_s += seconds
                seconds, long = _forward(session, parts, pad=True)
                long_s += seconds
                answers = [run.decode(row, parts, outputs).answer for outputs in (short, long)]
                same += answers[0] == answers[1]
            lengths = [part.inputs["input_ids"].shape[1] for parts in encoded for part in parts]
            tokens, gain = PADDED_LENGTH / statistics.mean(lengths), long_s / short_s
            met = "met" if gain / tokens >= GOAL and same == len(chosen) else "NOT met"
            print(
                f"{name:34} {len(chosen):7} {tokens:6.2f}x {gain:6.2f}x {gain / tokens:11.2f}"
                f"  {same} of {len(chosen)} the same; goal >= {GOAL}: {met}"
            )


def _forward(
    session: Session, parts: Sequence[Encoded], *, pad: bool
) -> tuple[float, list[Outputs]]:
    """Seconds of all windows of a sample, and their outputs."""
    inputs = [padded(part.inputs, PADDED_LENGTH) if pad else part.inputs for part in parts]
    forwards = [session.bind(item) for item in inputs]
    started = time.perf_counter()
    outputs = [forward() for forward in forwards]
    return time.perf_counter() - started, outputs


def _base_model(directory: Path, tokenizer: Path) -> Path:
    """A model of DistilBERT-base's size that takes the bundled tokenizer's tokens."""
    import torch
    import transformers

    torch.manual_seed(0)
    vocabulary = transformers.AutoTokenizer.from_pretrained(tokenizer).vocab_size
    config = transformers.DistilBertConfig(vocab_size=vocabulary)
    model = transformers.DistilBertForQuestionAnswering(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    model.save_pretrained(directory)
    return directory


if __name__ == "__main__":
    main()
