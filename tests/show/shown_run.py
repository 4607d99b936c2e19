"""A sweep of six rows in two shapes with made-up measurements."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from fake_backend import FakeBackend
from quantbench import cli, registry

RUN = "runs/sweep"

CONFIG = """
task: question-answering
model_name_or_path: m
dataset:
  path: d
  data_keys: {question: question, context: context}
  ref_keys: [answers]
  calibration_split: train
framework_args: {opset: 11}
batch_sizes: [1, 4]
input_lengths: [32]
benchmarked:
  quantization_approach: [dynamic, static]
  operators_to_quantize: [[Add], [MatMul], [Add, MatMul]]
"""


def run_sweep(folder: Path, backend: FakeBackend, out: str = "runs/sweep") -> int:
    """`quantbench run` of the config, in that folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("QUANTBENCH_STORE", str(folder / "store"))
        patch.setattr(registry, "backend", lambda _: backend)
        names = registry.names
        patch.setattr(
            registry,
            "names",
            lambda group: tuple(n for n in names(group) if n not in ("plots", "html")),
        )
        Path("sweep.yaml").write_text(textwrap.dedent(CONFIG))
        return cli.main(["run", "sweep.yaml", "--quiet", "--out", out])
