"""A plan knows what is stored and what the rest takes, without looking at a model."""

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from fake_backend import FakeBackend
from quantbench import cli, registry

CONFIG = """
task: question-answering
model_name_or_path: m
dataset:
  path: json
  data_files: {validation: rows.jsonl}
  data_keys: {question: question, context: context}
  ref_keys: [answers]
batch_sizes: [1]
input_lengths: [32]
time_benchmark_args: {duration: 1.0}
benchmarked:
  per_channel: [false, true]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(registry, "backend", lambda _: FakeBackend())
    (tmp_path / "sweep.yaml").write_text(textwrap.dedent(CONFIG))
    (tmp_path / "rows.jsonl").write_text("{}\n")
    return tmp_path


def forecast(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main(["plan", "sweep.yaml", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["forecast"]
    return found


def test_before_the_first_run_nothing_is_known(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = forecast(capsys)
    assert not found["is_known"]
    assert not any(step["is_stored"] or step["learned"] for step in found["steps"])
    assert found["seconds"] > 0
    assert not (folder / "store").exists()


def test_what_units_took_is_learned(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "sweep.yaml", "--quiet"]) == 0
    found = forecast(capsys)
    assert found["is_known"]
    work = [step for step in found["steps"] if step["stage"] not in ("prepare", "report")]
    assert all(step["learned"] for step in work)
    assert found["peak_rss_bytes"] == 2**30  # as the backend said


def test_the_error_of_the_estimate_is_told_after_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", "sweep.yaml"]) == 0
    assert "that were expected" in " ".join(capsys.readouterr().err.split())
    assert "that were expected" in (folder / "runs" / "sweep" / "log.txt").read_text()
