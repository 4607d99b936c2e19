"""Runs with made-up measurements, beside a folder in which nothing may change."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile_data import Said, command

import fake_backend
from fake_backend import FakeBackend
from quantbench import registry

CONFIG = """
task: question-answering
model_name_or_path: m
dataset:
  path: d
  data_keys: {question: question, context: context}
  ref_keys: [answers]
  calibration_split: train
framework_args: {opset: 11, optimization_level: 1}
batch_sizes: [1]
input_lengths: [32]
benchmarked:
  quantization_approach: [dynamic, static]
  operators_to_quantize: [[Add], [Add, MatMul]]
"""


def without_pictures(patch: pytest.MonkeyPatch) -> None:
    """Leave out the report that takes most of the time, and prints nothing from outside."""
    names = registry.names
    patch.setattr(
        registry, "names", lambda group: tuple(name for name in names(group) if name != "plots")
    )


def run_config(root: Path, text: str, *options: str, backend: FakeBackend | None = None) -> Said:
    """`quantbench run` of a config below `root`, into `root/run` unless told otherwise."""
    config = root / "sweep.yaml"
    config.write_text(text)
    chosen = backend or FakeBackend()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTBENCH_STORE", str(root / "store"))
        patch.setattr(fake_backend, "SAMPLES", 6)
        patch.setattr(registry, "backend", lambda _: chosen)
        without_pictures(patch)
        return command("run", str(config), *(options or ("--out", str(root / "run"))))


def make_run(root: Path, text: str = CONFIG) -> Path:
    """The folder of a finished run, beside a folder called `outside`."""
    (root / "outside").mkdir()
    (root / "outside" / "precious").write_text("{}")
    said = run_config(root, text)
    assert said.code == 0, said.err
    return root / "run"
