"""A kept summary is used for the facts that it was derived from, and for no others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from shown_run import RUN

from quantbench import cli, registry, run_dir, summary_file
from quantbench.analysis import facts as facts_module
from quantbench.analysis.compare import summarize
from quantbench.summary_file import keep, summarized
from synthetic import QUESTION_ANSWERING, config, sweep

FILE = "summary.jsonl"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of the run with a summary of it."""
    path = Path(shutil.copytree(RUN, tmp_path / "copy"))
    keep(path, summarized(path))
    return path


def test_a_run_keeps_its_summary_and_it_is_what_would_be_derived() -> None:
    found = summarized(Path(RUN))
    assert found.is_kept
    assert found.everything is None
    assert found.outline.arms == ()
    everything = run_dir.load_run(Path(RUN), registry.catalog())
    assert found.summary == summarize(everything, registry.task("question-answering").spec)


def test_a_kept_summary_needs_no_raw_data(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary_file, "summarize", lambda *_: pytest.fail("derived again"))
    names = registry.names
    monkeypatch.setattr(
        registry,
        "names",
        lambda group: tuple(n for n in names(group) if n not in ("plots", "html")),
    )
    assert summarized(run).is_kept
    assert cli.main(["card", str(run)]) == 0
    assert (run / "README.md").read_text() == (Path(RUN) / "README.md").read_text()


@pytest.mark.parametrize("name", ["config.yaml", "plan.json", "run.json", "arms/original.json"])
def test_a_changed_file_makes_it_stale(name: str, run: Path) -> None:
    (run / name).write_bytes((run / name).read_bytes() + b"\n")
    assert not summarized(run).is_kept


def test_a_missing_arm_makes_it_stale(run: Path) -> None:
    next((run / "arms").glob("onnxruntime-dynamic-*.json")).unlink()
    found = summarized(run)
    assert not found.is_kept
    assert any(row.status == "failed" for row in found.summary.rows)


def test_other_code_makes_it_stale(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary_file, "_code", lambda: "another")
    assert not summarized(run).is_kept


@pytest.mark.parametrize(
    "spoil",
    [
        lambda old: b"",
        lambda old: b"\xff\n\xff",
        lambda old: b"[]\n{}\n",
        lambda old: old[:-9],
        lambda old: old.replace(b'"status":"measured"', b'"status":"refused"', 1),
        lambda old: old.split(b"\n")[0],
        lambda old: json.dumps(json.loads(old.split(b"\n")[0])).encode() + b"\n{}\n",
    ],
)
def test_a_damaged_one_is_derived_again(spoil: Any, run: Path) -> None:
    kept = summarized(run)
    assert kept.is_kept
    file = run / FILE
    assert spoil(file.read_bytes()) != file.read_bytes()
    file.write_bytes(spoil(file.read_bytes()))
    found = summarized(run)
    assert not found.is_kept
    assert found.summary == kept.summary


def test_a_pipe_in_its_place_is_not_waited_for(run: Path) -> None:
    import os

    (run / FILE).unlink()
    os.mkfifo(run / FILE)
    with pytest.raises(Exception, match="no ordinary file"):
        summarized(run)


def test_what_rows_share_is_derived_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With twice the rows there is twice the work, not four times."""

    def calls(operators: list[list[str]]) -> int:
        count = 0
        derive = facts_module.timing.latency

        def counted(item: Any) -> Any:
            nonlocal count
            count += 1
            return derive(item)

        monkeypatch.setattr(facts_module.timing, "latency", counted)
        benchmarked = {"quantization_approach": ["dynamic"], "operators_to_quantize": operators}
        result = sweep(config(benchmarked=benchmarked))
        summarize(result, QUESTION_ANSWERING)
        monkeypatch.setattr(facts_module.timing, "latency", derive)
        timed = sum(len(arm.timings) for arm in result.arms)
        assert count <= timed
        return timed

    few = calls([["MatMul"], ["MatMul", "Gemm"]])
    many = calls([["MatMul"], ["MatMul", "Gemm"], ["MatMul", "Conv"], ["MatMul", "Gather"]])
    assert many > few
