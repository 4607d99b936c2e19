"""The worst row of a sweep is explained; any other is on demand; a failure costs no row."""

import json
import textwrap
from pathlib import Path

import pytest

from fake_backend import FakeBackend
from quantbench import cli, registry, run_dir
from quantbench.analysis.compare import summarize
from quantbench.analysis.to_explain import worst_row
from quantbench.core.summary import SweepSummary

CONFIG = """
task: question-answering
model_name_or_path: m
dataset:
  path: d
  data_keys: {question: question, context: context}
  ref_keys: [answers]
  calibration_split: train
framework_args: {opset: 17}
batch_sizes: [1]
input_lengths: [32]
benchmarked:
  quantization_approach: [dynamic, static]
  operators_to_quantize: [[Add], [MatMul]]
"""
RUN = Path("runs/sweep")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "store"))
    Path("sweep.yaml").write_text(textwrap.dedent(CONFIG))


def run(backend: FakeBackend, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(registry, "backend", lambda _: backend)
    return cli.main(["run", "sweep.yaml", "--quiet"])


def summary() -> SweepSummary:
    result = run_dir.load_run(RUN, registry.catalog())
    return summarize(result, registry.task(result.config.task).spec)


def test_a_sweep_explains_its_worst_row_and_the_card_has_a_section_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run(FakeBackend(), monkeypatch) == 0
    found = worst_row(summary())
    assert found is not None
    row, chosen = found
    assert "slowest" in chosen  # no row of this backend has a drop
    (explained,) = run_dir.load_run(RUN, registry.catalog()).explained
    assert (explained.row, explained.trial_id) == (row.number, row.trial_id)
    card = (RUN / "README.md").read_text()
    assert "What was left in floats" not in card  # nothing was: no empty table
    assert f"## Why row {row.number} is worst" in card
    assert "(R11)" in card
    before = card
    assert cli.main(["card", str(RUN)]) == 0
    assert (RUN / "README.md").read_text() == before


def test_the_row_with_the_largest_drop_is_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    run(FakeBackend(), monkeypatch)
    found = summary()
    changed = []
    for row in found.rows:
        assert row.arm is not None
        drop = 2.0 + row.number if row.shares_with is None else 99.0
        metrics = [item.model_copy(update={"drop": drop}) for item in row.arm.metrics]
        arm = row.arm.model_copy(update={"metrics": tuple(metrics)})
        changed.append(row.model_copy(update={"arm": arm}))
    worst = worst_row(found.model_copy(update={"rows": tuple(changed)}))
    assert worst is not None
    distinct = [row.number for row in found.rows if row.shares_with is None]
    assert worst[0].number == max(distinct)
    assert "largest drop in exact_match" in worst[1]


def test_an_explanation_that_fails_costs_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(FakeBackend("explain"), monkeypatch) == 0
    assert "is worst" not in (RUN / "README.md").read_text()
    assert "explain the worst row failed: broken on purpose" in (RUN / "log.txt").read_text()


def test_what_it_took_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    run(FakeBackend(), monkeypatch)
    stages = [json.loads(line)["stage"] for line in (RUN / "spent.jsonl").read_text().splitlines()]
    assert stages.count("explain") == 1
    assert "explain" in (RUN / "README.md").read_text().split("## Cost")[1]


def test_without_the_files_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(FakeBackend(), monkeypatch)  # which puts no files in the store
    assert cli.main(["explain", str(RUN), "--row", "2"]) == 1
    assert "is not in the store" in capsys.readouterr().err


def test_a_row_in_which_nothing_is_quantized_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(FakeBackend(), monkeypatch)
    assert cli.main(["explain", str(RUN), "--row", "1"]) == 2
    written = capsys.readouterr().err
    assert "nothing is quantized in row 1" in written
    assert "no integer form of Add" in written


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--row", "99"], "is no row of this run"),
        (["--row", "2", "--samples", "0"], "--samples must be at least 1"),
    ],
)
def test_wrong_usage_is_told(
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(FakeBackend(), monkeypatch)
    assert cli.main(["explain", str(RUN), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_damaged_explanation_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(FakeBackend(), monkeypatch)
    (file,) = (RUN / "explained").iterdir()
    file.write_text(file.read_text().replace('"schema_version":2', '"schema_version":9', 1))
    assert cli.main(["card", str(RUN)]) == 1
    assert "format version 9" in capsys.readouterr().err
