"""A sweep does each distinct thing once, keeps what it knows, and a failure is only a row."""

import functools
import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from fake_backend import FakeBackend
from quantbench import cli, registry, run_dir, sweep, work
from quantbench.core.results import Failed

CONFIG = """
task: question-answering
model_name_or_path: m
dataset:
  path: d
  data_keys: {question: question, context: context}
  ref_keys: [answers]
  calibration_split: train
framework_args: {opset: 11, optimization_level: 1}
batch_sizes: [1, 4]
input_lengths: [32]
benchmarked:
  quantization_approach: [dynamic, static]
  operators_to_quantize: [[Add], [Add, MatMul]]
  node_exclusion: [[], [layernorm, gelu, residual, gather, softmax]]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "store"))
    path = tmp_path / "sweep.yaml"
    path.write_text(textwrap.dedent(CONFIG))
    return path


def run(backend: FakeBackend, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(registry, "backend", lambda _: backend)
    return cli.main(["run", "sweep.yaml", "--quiet", *arguments])


def test_the_original_is_exported_and_evaluated_once_not_once_per_row(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = FakeBackend()
    assert run(backend, monkeypatch) == 0
    assert backend.counts == {
        "prepare": 1, "export": 1, "optimize": 1, "calibrate": 1, "quantize": 5, "evaluate": 7,
        "time": 2, "explain": 1,
    }  # fmt: skip
    assert sum(name == "original" for _, name in backend.asked) == 1
    assert backend.closed


def test_the_run_folder_holds_config_plan_results_table_card_and_log(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(FakeBackend(), monkeypatch)
    folder = Path("runs/sweep")
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "config.yaml", "plan.json", "run.json", "results", "table.parquet", "README.md", "plots",
        "log.txt", "report.html",
    }  # fmt: skip
    assert (folder / "config.yaml").read_text() == config.read_text()
    assert len(list((folder / "arms").iterdir())) == 8
    assert len(list((folder / "results").iterdir())) == 8  # one per row


def test_what_was_done_to_a_float_file_goes_with_the_files_made_of_it(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(FakeBackend(), monkeypatch)
    arms = [json.loads(path.read_text()) for path in Path("runs/sweep/arms").iterdir()]
    prepared = {
        arm["arm"]["id"].split("-")[1]: (arm["artifact"]["prepared"] or {}).get("num_masks")
        for arm in arms
        if arm["artifact"]
    }
    assert prepared == {"float32": None, "dynamic": None, "static": 1}
    card = Path("runs/sweep/README.md").read_text()
    assert "float file first: 1 mask clamped (outputs within 2e-07)" in card


def test_files_with_the_same_graph_are_measured_once(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = FakeBackend(same_graph=True)
    run(backend, monkeypatch)
    assert backend.counts["evaluate"] == 3  # the original, the reference, one quantized file
    result = run_dir.load_run(Path("runs/sweep"), registry.catalog())
    shared = [arm for arm in result.arms if arm.same_as is not None]
    assert len(shared) == 4
    assert result.arm(shared[0].arm.id).evaluation is not None


def test_a_failing_row_leaves_the_others_and_the_exit_code_says_so(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(FakeBackend("quantize dynamic"), monkeypatch) == 4
    assert "broken on purpose" in capsys.readouterr().err
    card = Path("runs/sweep/README.md").read_text()
    assert "broken on purpose" in card
    assert "broken on purpose" in Path("runs/sweep/log.txt").read_text()


def test_when_no_row_is_left_the_run_has_failed(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(FakeBackend("export"), monkeypatch) == 1


def test_a_cell_that_cannot_be_timed_leaves_accuracy_and_other_cells(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(FakeBackend("time b4"), monkeypatch) in (1, 4)
    result = run_dir.load_run(Path("runs/sweep"), registry.catalog())
    outcomes = [timing.outcome for timing in result.arms[0].timings]
    assert outcomes == ["completed", "failed"]


def test_when_the_first_of_two_references_fails_the_other_is_timed_against(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = config.read_text().replace("framework_args: {opset: 11, optimization_level: 1}\n", "")
    config.write_text(
        text.split("benchmarked:")[0] + "benchmarked:\n  framework_args.opset: [11, 17]"
    )
    assert run(FakeBackend("export 11"), monkeypatch) == 4
    result = run_dir.load_run(Path("runs/sweep"), registry.catalog())
    (timed,) = [arm for arm in result.arms if arm.arm.role == "row" and arm.timings]
    assert {timing.outcome for timing in timed.timings} == {"completed"}


def test_timings_of_another_file_are_not_kept(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(FakeBackend("time b4"), monkeypatch)
    again = FakeBackend(file="other")
    run(again, monkeypatch)
    assert [name for stage, name in again.asked if stage == "time"] == ["b1-l32", "b4-l32"]


def test_a_store_that_cannot_be_written_is_refused_before_anything_is_written(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUANTBENCH_STORE", str(config))
    assert run(FakeBackend(), monkeypatch) == 2
    assert "QUANTBENCH_STORE" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_running_again_goes_on_where_the_first_run_failed(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(FakeBackend("time b4"), monkeypatch)
    again = FakeBackend()
    assert run(again, monkeypatch) == 0
    assert [name for stage, name in again.asked if stage == "time"] == ["b4-l32"]


def test_what_does_not_fit_is_refused_before_anything_is_written(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = FakeBackend(refused="dataset.eval_split: there is no split 'validaton'")
    assert run(backend, monkeypatch) == 2
    assert "validaton" in capsys.readouterr().err
    assert not Path("runs").exists()
    assert backend.closed


def test_a_note_of_the_preparation_reaches_the_user_and_the_log(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registry, "backend", lambda _: FakeBackend())
    cli.main(["run", "sweep.yaml"])
    assert "note squad is called rajpurkar/squad today" in capsys.readouterr().err
    assert "rajpurkar/squad" in Path("runs/sweep/log.txt").read_text()


def test_another_config_in_the_same_folder_is_refused(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(FakeBackend(), monkeypatch)
    before = Path("runs/sweep/config.yaml").read_text()
    config.write_text(CONFIG + "seed: 3\n")
    backend = FakeBackend()
    assert run(backend, monkeypatch) == 2
    assert "seed: 0 there, 3 given" in capsys.readouterr().err
    assert backend.asked == []
    assert Path("runs/sweep/config.yaml").read_text() == before


def test_rows_are_printed_as_json_when_asked(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(FakeBackend(), monkeypatch, "--json")
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert {row["row"] for row in rows} == set(range(1, 9))


def test_the_card_can_be_written_again_from_the_results_alone(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(FakeBackend(), monkeypatch)
    card = Path("runs/sweep/README.md")
    before = card.read_text()
    card.unlink()
    assert cli.main(["card", "runs/sweep"]) == 0
    assert card.read_text() == before


def test_the_html_report_can_be_written_again_and_nothing_else_is(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(FakeBackend(), monkeypatch)
    report, card = Path("runs/sweep/report.html"), Path("runs/sweep/README.md")
    before = report.read_text(encoding="utf-8")
    report.unlink()
    card.unlink()
    capsys.readouterr()
    assert cli.main(["report", "runs/sweep"]) == 0
    assert capsys.readouterr().out == "runs/sweep/report.html\n"
    assert report.read_text(encoding="utf-8") == before
    assert not card.exists()


def test_a_report_that_fails_keeps_no_other_from_being_written(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = registry.report

    class Broken:
        name = "plots"

        def write(self, *_: Any) -> list[Path]:
            raise ValueError("no font\nat all")

    monkeypatch.setattr(
        registry, "report", lambda name: Broken() if name == "plots" else real(name)
    )
    assert run(FakeBackend(), monkeypatch) == 1
    line = "quantbench: the report 'plots' could not be written: ValueError: no font at all\n"
    assert capsys.readouterr().err == line
    folder = Path("runs/sweep")
    assert (folder / "README.md").exists()
    assert (folder / "table.parquet").exists()
    assert "Traceback" in (folder / "log.txt").read_text()
    assert cli.main(["card", "runs/sweep"]) == 1


def test_reports_of_other_packages_are_written_too(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Rows:
        name = "rows"

        def write(self, result: Any, summary: Any, task: Any, run_dir: Path) -> list[Path]:
            path = run_dir / "rows.txt"
            path.write_text(f"{task.name}: {len(summary.rows)} rows")
            return [path]

    names, report = registry.names, registry.report
    monkeypatch.setattr(
        registry,
        "names",
        lambda group: (*names(group), "rows") if group == "quantbench.reports" else names(group),
    )
    monkeypatch.setattr(registry, "report", lambda name: Rows() if name == "rows" else report(name))
    assert run(FakeBackend(), monkeypatch) == 0
    assert Path("runs/sweep/rows.txt").read_text() == "question-answering: 8 rows"


def test_a_failed_evaluation_of_the_original_is_no_success(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(FakeBackend("evaluate original"), monkeypatch) == 1
    card = Path("runs/sweep/README.md").read_text()
    assert "PyTorch eager failed in evaluate: broken on purpose" in card


def test_an_interruption_has_its_own_exit_code_and_ends_the_backend(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = FakeBackend()

    def interrupt(*_: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(backend, "run", interrupt)
    assert run(backend, monkeypatch) == 130
    assert backend.closed


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which are not made."""
    made: list[float] = []
    monkeypatch.setattr(work, "RETRY_WAITS_S", (1.0, 5.0))
    monkeypatch.setattr(sweep, "Work", functools.partial(work.Work, pause=made.append))
    return made


def test_a_worker_that_was_killed_is_tried_again_after_longer_and_longer_pauses(
    config: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    backend = FakeBackend()
    backend.killed = {"evaluate original": 2}
    assert run(backend, monkeypatch) == 0
    assert pauses == [1.0, 5.0]
    result = run_dir.load_run(Path("runs/sweep"), registry.catalog())
    attempts = [unit.attempts for unit in result.spent if unit.name == "original"]
    assert attempts == [1, 2, 3]
    assert "trying again in 5 s" in Path("runs/sweep/log.txt").read_text()


def test_a_worker_that_is_killed_each_time_fails_the_rows_that_need_it_and_no_more(
    config: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    backend = FakeBackend()
    (name,) = {n for stage, n in _quantized(monkeypatch) if "dynamic" in n}
    backend.killed = {f"quantize {name}": 99}
    assert run(backend, monkeypatch, "--out", "killed") == 4
    assert pauses == [1.0, 5.0]
    result = run_dir.load_run(Path("killed"), registry.catalog())
    failed = [arm.arm.id for arm in result.arms if isinstance(arm.artifact, Failed)]
    assert failed == [f"onnxruntime-{name}-level1"]
    backend.killed = {}
    assert run(backend, monkeypatch, "--out", "killed") == 0  # a failure is tried again


def test_other_failures_are_not_tried_again_at_once(
    config: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    backend = FakeBackend("evaluate original")
    run(backend, monkeypatch)
    assert pauses == []
    assert sum(name == "original" for _, name in backend.asked) == 1


def test_a_run_that_goes_on_need_not_look_at_the_model_again(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(FakeBackend(), monkeypatch)
    backend = FakeBackend()
    assert run(backend, monkeypatch) == 0
    assert backend.counts["prepare"] == 0


def _quantized(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    backend = FakeBackend()
    run(backend, monkeypatch)
    return {item for item in backend.asked if item[0] == "quantize"}
