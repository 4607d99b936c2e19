"""`quantbench trace`: a number is followed back to the model, the data and the machine."""

import functools
import io
import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

import synthetic
from fake_backend import FakeBackend
from quantbench import cli, registry
from quantbench.analysis.lineage import Made
from quantbench.analysis.trace import trace
from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.results import Failed, Spent, SweepResult
from quantbench.core.specs import TaskSpec
from quantbench.core.summary import SweepSummary
from quantbench.reports.trace import print_tree

PINNED = Path("runs/my sweep/pinned.yaml")


@functools.cache
def plain() -> tuple[SweepResult, SweepSummary, TaskSpec]:
    """The synthetic sweep as it is; its intervals take a while."""
    return synthetic.report_inputs(synthetic.sweep())


def traced(row: str, metric: str | None = None, result: SweepResult | None = None) -> Made:
    found, summary, task = plain()
    if result is not None:  # what was spent has no part in a summary
        is_same = result.arms == found.arms and result.subject == found.subject
        summary = summary if is_same else synthetic.report_inputs(result)[1]
        found = result
    return trace(found, summary, task, row, metric, PINNED)


def part(made: Made, *path: str) -> Made:
    """The part under those names."""
    for name in path:
        found = [item for item in made.made_from if item.what == name]
        assert found, f"{name!r} is not among {[item.what for item in made.made_from]}"
        made = found[0]
    return made


def names(made: Made) -> list[str]:
    return [item.what for item in made.made_from]


def every(made: Made) -> list[Made]:
    return [made, *(found for item in made.made_from for found in every(item))]


def text(made: Made) -> str:
    stream = io.StringIO()
    print_tree(made, stream)
    return stream.getvalue()


def row_with(approach: str, status: str) -> tuple[str, str]:
    """The number and the arm of the first row of that kind."""
    _, summary, _ = plain()
    return next(
        (str(row.number), row.arm.id)
        for row in summary.rows
        if row.status == status and row.arm and approach in row.arm.id
    )


def spent(stage: str, name: str, *keys: str) -> Spent:
    return Spent(stage=stage, name=name, seconds=1.0, peak_rss_bytes=None, keys=keys)


def test_without_a_metric_every_number_is_traced() -> None:
    assert names(traced("3")) == [
        "exact_match", "f1", "speedup", "machine", "to make it again",
    ]  # fmt: skip
    assert names(traced("3", "f1"))[:2] == ["f1", "machine"]


def test_a_metric_has_both_values_and_the_drop_with_its_interval() -> None:
    _, summary, _ = plain()
    arm = summary.rows[2].arm
    assert arm is not None
    expected = arm.metrics[0]
    facts = part(traced("3"), "exact_match").facts
    assert facts["original"] == expected.original
    assert facts["optimized"] == expected.optimized
    assert [facts[f"drop_{end}points"] for end in ("", "low_", "high_")] == [
        expected.drop, expected.low, expected.high,
    ]  # fmt: skip


def test_an_evaluation_leads_over_file_and_export_to_the_model() -> None:
    arm_id = row_with("dynamic", "measured")[1]
    result = synthetic.sweep()
    result = result.model_copy(
        update={"spent": (spent("evaluate", arm_id, "e1"), spent("evaluate", arm_id, "e2"))}
    )
    made = part(traced("3", "exact_match", result), "exact_match", "evaluation of the row")
    assert made.facts["key"] == "e2"  # of the latest one
    assert made.facts["num_samples"] == synthetic.NUM_SAMPLES
    assert (made.facts["sampling"], made.facts["seed"]) == ("random", 0)
    assert made.facts["metric"] == "exact_match of question-answering"
    file = part(made, "quantized file")
    assert file.facts["key"] == f"key-{arm_id}"
    assert file.facts["sha256"] == "0" * 64
    assert file.facts["opset"] == 11
    assert file.facts["graph_digest"] == f"digest-{arm_id}"
    assert file.facts["nodes_quantized"] == {"MatMul": 36, "Add": 0}
    assert part(file, "quantization scheme").facts["operators"] == ["MatMul"]
    export = part(file, "exported file")
    assert export.facts["key"] == f"key-{synthetic.REFERENCE_ID}"
    model = part(export, "model")
    assert model.facts["name_or_path"] == "example-org/synthetic-bert"
    assert (model.facts["revision"], model.facts["digest"]) == ("abc123", "deadbeef")
    assert "activation ranges" not in names(file)


def test_the_data_are_named_with_split_revision_and_fingerprint() -> None:
    made = part(traced("3", "f1"), "f1", "evaluation of the original", "evaluation data")
    assert made.facts == {
        "path": "example-org/synthetic-questions",
        "name": None,
        "revision": "def456",
        "split": "validation",
        "fingerprint": "f00d",
        "num_samples": 1200,
        "num_rows_of_split": 5000,
    }


def test_the_original_is_the_model_itself() -> None:
    made = part(traced("3", "f1"), "f1", "evaluation of the original")
    assert names(made) == ["model", "evaluation data"]


def test_a_static_file_leads_over_its_ranges_to_the_rows_they_were_found_on() -> None:
    number, _ = row_with("static", "partial")
    result = synthetic.sweep().model_copy(
        update={"spent": (spent("calibrate", "opset 11, minmax, 50 samples", "r1"),)}
    )
    score = part(traced(number, "f1", result), "f1", "evaluation of the row")
    ranges = part(score, "quantized file", "activation ranges")
    assert ranges.facts == {
        "key": "r1", "method": "minmax", "num_samples": 50, "symmetric": False,
    }  # fmt: skip
    data = part(ranges, "calibration data").facts
    assert (data["split"], data["fingerprint"]) == ("train", "cafe")
    rows = data["rows"]
    assert isinstance(rows, list)
    assert len(rows) == len(set(map(str, rows))) == 50
    assert "exported file" in names(ranges)


def test_a_speedup_leads_over_its_cells_to_sessions_arms_and_files() -> None:
    made = part(traced("3", "speedup"), "speedup")
    assert made.facts["over"] == "PyTorch eager"
    assert names(made) == ["cell b1-l32", "cell b4-l32"]
    cell = part(made, "cell b1-l32")
    low, value, high = (cell.facts[f"speedup{end}"] for end in ("_low", "", "_high"))
    assert isinstance(low, float)
    assert isinstance(value, float)
    assert isinstance(high, float)
    assert low < value < high
    assert cell.facts["unresolved"] is False
    session = part(cell, "timing session")
    assert session.facts["session"] == "session"
    assert (session.facts["duration_s"], session.facts["precision"]) == (10.0, 0.03)
    assert session.facts["noise_is_too_large"] is False
    assert (session.facts["others_share"], session.facts["quiet"]) == (0.0, True)
    assert names(session) == [
        "this row", "the original", "the reference (ONNX Runtime fp32)",
        "a second copy of the reference",
    ]  # fmt: skip
    row = part(session, "this row")
    assert row.facts["num_rounds"] == synthetic.ROUNDS
    assert row.facts["num_forwards"] == synthetic.ROUNDS * synthetic.FORWARDS
    process = {"num_threads": 2, "affinity": [0, 1], "warmup_runs": 5, "peak_rss_bytes": 10**9}
    assert row.facts["processes"] == [process] * (synthetic.ROUNDS // synthetic.ROUNDS_PER_SET)
    reference = part(session, "the reference (ONNX Runtime fp32)")
    assert reference.facts["num_blocks"] == 2 * synthetic.ROUNDS
    assert names(row) == ["quantized file"]
    assert names(reference) == ["exported file"]


def test_a_ratio_without_an_interval_says_so() -> None:
    made = part(traced("3", "speedup", synthetic.with_few_rounds(synthetic.sweep())), "speedup")
    assert made.facts["speedup_note"] == "too few process sets for an interval"
    assert part(made, "cell b1-l32").facts["unresolved"] is True


def test_times_of_another_session_are_not_shown_as_compared() -> None:
    result = synthetic.sweep()
    timings = tuple(
        item.model_copy(update={"session": "yesterday"}) for item in result.arms[0].timings
    )
    result = synthetic.with_arm(result, "original", timings=timings)
    session = part(traced("3", "speedup", result), "speedup", "cell b1-l32", "timing session")
    missing = part(session, "the original").facts["missing"]
    assert missing == "timed in another session only (yesterday): not compared"


def test_a_row_that_shares_a_file_says_whose() -> None:
    made = traced("1")
    assert made.facts["status"] == "shared"
    assert made.facts["shares_with"] == "the reference"
    assert part(made, "exact_match").facts["shares_with"] == "the reference"
    assert part(made, "exact_match", "evaluation of the row", "exported file")


def test_a_file_whose_graph_turned_out_to_be_anothers_is_shown_beside_the_measured_one() -> None:
    first, second = (
        arm.arm.id
        for arm in synthetic.sweep().arms
        if arm.arm.variant and arm.arm.variant.quantization.approach == "dynamic"
    )
    result = synthetic.with_arm(
        synthetic.sweep(), second, same_as=first, evaluation=None, timings=()
    )
    made = traced("4", result=result)
    assert made.facts["measured_as"] == first
    assert made.facts["shares_with"] == "row 3"
    own = part(made, "this row's own file")
    assert "row 3" in str(own.facts["note"])
    assert part(own, "quantized file").facts["key"] == f"key-{second}"
    measured = part(made, "exact_match", "evaluation of the row", "quantized file")
    assert measured.facts["key"] == f"key-{first}"


def test_a_failed_row_tells_the_failure_with_its_hint_and_the_end_of_its_log() -> None:
    number, arm_id = row_with("static", "failed")
    log = "\n".join(f"line {n}" for n in range(100))
    failed = Failed(stage="quantize", error="no kernel", hint="Use opset 13.", log=log)
    result = synthetic.with_arm(synthetic.sweep(), arm_id, artifact=failed)
    made = traced(number, result=result)
    assert made.facts["status"] == "failed"
    evaluation = part(made, "f1", "evaluation of the row")
    assert evaluation.facts["missing"] == "its file could not be made"
    found = part(evaluation, "quantized file", "failed: quantize").facts
    assert (found["error"], found["hint"]) == ("no kernel", "Use opset 13.")
    assert str(found["log"]).endswith("line 99")
    assert "line 50" not in str(found["log"])
    assert part(made, "speedup", "cell b1-l32", "timing session", "this row").facts["missing"]


def test_a_cell_that_was_lost_tells_why() -> None:
    number, _ = row_with("static", "partial")
    cell = part(traced(number, "speedup"), "speedup", "cell b4-l32")
    assert cell.facts["missing"] == "the arm's process was killed"
    failed = part(cell, "timing session", "this row", "failed: time")
    assert failed.facts["error"] == "the arm's process was killed"


def test_a_refused_row_says_why_and_has_no_numbers() -> None:
    _, summary, _ = plain()
    refused = next(row for row in summary.rows if row.status == "refused")
    made = traced(str(refused.number))
    assert made.facts["refused"] == refused.refused
    assert names(made) == ["machine", "to make it again"]


def test_what_was_not_run_yet_says_so() -> None:
    result = synthetic.sweep().model_copy(update={"arms": ()})
    made = traced("3", result=result)
    assert part(made, "f1", "evaluation of the row").facts["missing"] == "it has not been run"
    assert "it has not been run" in text(made)


def test_what_is_inert_is_told() -> None:
    assert "dynamic quantization has no integer form of Add" in str(traced("1").facts["inert"])


def test_the_machine_and_the_command_that_makes_it_again() -> None:
    made = traced("3")
    machine = part(made, "machine").facts
    assert machine["processor"] == "Imaginary CPU @ 2.50GHz"
    assert machine["num_threads"] == 2
    assert machine["packages"] == {
        "quantbench": "0.1.0", "torch": "2.13.0", "onnxruntime": "1.31.1",
    }  # fmt: skip
    command = part(made, "to make it again").facts["command"]
    assert command == "quantbench run 'runs/my sweep/pinned.yaml' --out NEW_FOLDER"


def test_a_row_is_its_number_or_the_start_of_its_trials_id() -> None:
    _, summary, _ = plain()
    for row in summary.rows:
        for asked in (str(row.number), row.trial_id, row.trial_id[:8]):
            assert traced(asked).facts["trial_id"] == row.trial_id


def test_an_unknown_row_is_refused_with_those_that_there_are() -> None:
    _, summary, _ = plain()
    with pytest.raises(UsageError) as raised:
        traced("99")
    assert all(row.trial_id in str(raised.value) for row in summary.rows)
    typo = "x" + summary.rows[4].trial_id[1:]
    with pytest.raises(UsageError, match=rf"Did you mean {summary.rows[4].trial_id} \(row 5\)"):
        traced(typo)
    with pytest.raises(UsageError, match="is no row"):
        traced("")


def test_the_start_of_several_ids_is_refused() -> None:
    result, summary, task = plain()
    rows = tuple(row.model_copy(update={"trial_id": f"abc{row.number}"}) for row in summary.rows)
    with pytest.raises(UsageError, match="several trials: abc1"):
        trace(result, summary.model_copy(update={"rows": rows}), task, "abc", None, PINNED)


def test_an_unknown_metric_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError) as raised:
        traced("3", "exactmatsch")
    assert "exact_match, f1, speedup" in str(raised.value)
    assert "Did you mean exact_match?" in str(raised.value)


def test_published_results_say_nothing_of_how_they_were_made() -> None:
    result, summary, task = plain()
    with pytest.raises(QuantbenchError, match="published"):
        trace(result.model_copy(update={"subject": None}), summary, task, "1", None, PINNED)


def test_the_tree_writes_intervals_beside_values_and_the_same_thing_once() -> None:
    written = text(traced("3"))
    assert "drop_low" not in written
    assert "drop points: " in written
    (line,) = [line for line in written.splitlines() if "│   drop points" in line][:1]
    assert line.count("[") == line.count("]") == 1
    assert written.count("name or path: example-org/synthetic-bert") == 1
    assert "model deadbeef (as above)" in written


def test_names_from_outside_do_not_reach_the_terminal_as_commands() -> None:
    result = synthetic.sweep()
    assert result.subject is not None
    evil = result.subject.model_copy(update={"model_name_or_path": "a\x1b]0;b\x07[red]c[/red]"})
    written = text(traced("3", result=result.model_copy(update={"subject": evil})))
    assert "\x1b" not in written
    assert r"a\x1b]0;b\x07[red]c[/red]" in written


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    config = """
        task: question-answering
        model_name_or_path: m
        dataset:
          path: d
          data_keys: {question: question, context: context}
          ref_keys: [answers]
        batch_sizes: [1]
        input_lengths: [32]
        benchmarked:
          per_channel: [false, true]
        """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(registry, "backend", lambda _: FakeBackend())
    Path("sweep.yaml").write_text(textwrap.dedent(config))
    assert cli.main(["run", "sweep.yaml", "--quiet"]) == 0
    return Path("runs/sweep")


def test_the_command_prints_a_tree_or_the_same_as_json(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["trace", str(run), "--row", "2", "--metric", "exact_match"]
    assert cli.main(asked) == 0
    written = capsys.readouterr().out
    assert "evaluation of the row" in written
    assert cli.main([*asked, "--json"]) == 0
    made: dict[str, Any] = json.loads(capsys.readouterr().out)
    (evaluation, _) = made["made_from"][0]["made_from"]
    lines = (run / "spent.jsonl").read_text().splitlines()
    noted = [key for line in lines for key in json.loads(line)["keys"]]
    assert evaluation["facts"]["key"] in noted
    assert evaluation["facts"]["key"] in written
    assert "quantbench run runs/sweep/pinned.yaml" in written


def test_the_command_refuses_a_folder_without_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["trace", str(tmp_path), "--row", "1"]) == 2
    assert "holds no run" in capsys.readouterr().err


def test_a_prepared_file_is_a_part_of_the_chain_with_what_was_done_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = """
        task: question-answering
        model_name_or_path: m
        dataset:
          path: d
          data_keys: {question: question, context: context}
          ref_keys: [answers]
          calibration_split: train
        quantization_approach: static
        operators_to_quantize: [Add, MatMul]
        batch_sizes: [1]
        input_lengths: [32]
        benchmarked:
          smooth_quant_alpha: [null, 0.5]
        """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(registry, "backend", lambda _: FakeBackend())
    Path("sweep.yaml").write_text(textwrap.dedent(config))
    assert cli.main(["run", "sweep.yaml", "--quiet"]) == 0
    found: dict[float | None, Made] = {}
    for row in ("1", "2"):
        capsys.readouterr()
        asked = ["trace", "runs/sweep", "--row", row, "--metric", "exact_match", "--json"]
        assert cli.main(asked) == 0
        made = Made.model_validate_json(capsys.readouterr().out)
        file = part(made, "exact_match", "evaluation of the row", "quantized file")
        assert "exported file" not in names(file)
        prepared = part(file, "prepared file")
        alpha = prepared.facts.get("smooth_quant_alpha")
        assert alpha is None or isinstance(alpha, float)
        found[alpha] = prepared
        assert part(file, "activation ranges", "prepared file") == prepared
    assert names(found[None]) == ["exported file"]
    assert names(found[0.5]) == ["exported file", "calibration data"]
    assert found[None].facts["clamp_mask"] is True
    assert found[None].facts["key"]
