"""Rows are matched by their parameters; accuracy is paired where the samples are the same."""

from __future__ import annotations

from typing import Any

import pytest

from other_runs import again, arm_of, on_data, published, run
from quantbench.analysis.matched_rows import match_rows
from quantbench.analysis.metric_changes import metric_changes
from quantbench.analysis.named_run import NamedRun, named_run
from quantbench.analysis.run_comparison import compare_runs
from quantbench.core.errors import UsageError
from quantbench.core.plan import ORIGINAL_ID, Cell
from quantbench.core.results import Evaluation, Failed, SweepResult
from quantbench.core.run_comparison import MetricChange, PairComparison, RowChange
from synthetic import (
    IMAGE_CLASSIFICATION,
    QUESTION_ANSWERING,
    REFERENCE_ID,
    config,
    evaluation,
    sweep,
    with_arm,
)


@pytest.fixture(scope="module")
def first() -> NamedRun:
    return run("before")


def pair(first: NamedRun, result: SweepResult) -> PairComparison:
    (found,) = compare_runs([first, run("after", result)], QUESTION_ANSWERING).pairs
    return found


def row(found: PairComparison, number: int) -> RowChange:
    return next(item for item in found.rows if item.first_row == number)


def exact_match(found: RowChange) -> MetricChange:
    return next(item for item in found.metrics if item.name == "exact_match")


# --- Which rows are the same ---


def test_rows_are_matched_by_the_values_of_what_is_swept(first: NamedRun) -> None:
    swept = {
        "quantization_approach": ["static", "dynamic"],
        "operators_to_quantize": [["MatMul"]],
        "per_channel": [True],
    }
    other = run("after", again(sweep(config(benchmarked=swept))))
    found = match_rows(first, other)
    pairs = [tuple(item.number if item else None for item in each.rows) for each in found]
    assert len(pairs) == 8
    for old, new in ((4, 1), (8, 2)):
        assert (old, new) in pairs
        assert first.summary.rows[old - 1].parameters == other.summary.rows[new - 1].parameters


def test_a_parameter_that_one_run_holds_fixed_is_matched_by_its_value(first: NamedRun) -> None:
    swept = {"quantization_approach": ["dynamic"], "operators_to_quantize": [["MatMul"]]}
    other = run("after", again(sweep(config(per_channel=True, benchmarked=swept))))
    pairs = [tuple(r and r.number for r in each.rows) for each in match_rows(first, other)]
    assert (4, 1) in pairs  # row 3 has per_channel false
    assert (3, None) in pairs


@pytest.mark.parametrize(
    ("name", "values", "others"),
    [
        ("smooth_quant_alpha", [1, 0.25], [0.25, 1.0]),
        ("framework_args.opset", [11, 13], [13.0, 11]),
        ("operators_to_quantize", [["MatMul", "Add"]], [["Add", "MatMul"]]),
        ("node_exclusion", [["gelu", "softmax"], []], [[], ["softmax", "gelu"]]),
    ],
)
def test_values_that_mean_the_same_are_the_same(
    name: str, values: list[object], others: list[object]
) -> None:
    runs = [
        run(called, sweep(config(quantization_approach="static", benchmarked={name: swept})))
        for called, swept in (("before", values), ("after", others))
    ]
    found = match_rows(*runs)
    assert len(found) == len(values)
    assert all(all(item.rows) for item in found)


def test_rows_that_mean_the_same_in_one_run_are_matched_one_by_one() -> None:
    swept = {"operators_to_quantize": [["Add", "MatMul"], ["MatMul", "Add"]]}
    both = run("before", sweep(config(benchmarked=swept)))
    found = match_rows(both, both)
    assert [[row and row.number for row in item.rows] for item in found] == [[1, 1], [2, 2]]


def test_what_a_third_run_sweeps_does_not_keep_the_others_apart(first: NamedRun) -> None:
    card = published()  # it states no quant_format
    swept = {"quant_format": ["QDQ", "QOperator"], "quantization_approach": ["dynamic"]}
    third = sweep(config(operators_to_quantize=["MatMul"], per_channel=False, benchmarked=swept))
    pairs = compare_runs([first, run("card", card), run("third", third)], QUESTION_ANSWERING).pairs
    assert row(pairs[0], 3).is_whole
    assert "quant_format" not in pairs[0].parameters
    assert "quant_format" in pairs[1].parameters


def test_one_row_alone_is_compared_without_the_others(
    first: NamedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    resampled: list[object] = []

    def counted(*arguments: Any) -> tuple[MetricChange, ...]:
        resampled.append(arguments)
        return metric_changes(*arguments)

    monkeypatch.setattr("quantbench.analysis.run_comparison.metric_changes", counted)
    later = run("after", again())
    (alone,) = compare_runs([first, later], QUESTION_ANSWERING, row=3).pairs
    assert [item.first_row for item in alone.rows] == [3]
    assert len(resampled) == 2  # the original's, and that row's
    monkeypatch.undo()
    (whole,) = compare_runs([first, later], QUESTION_ANSWERING).pairs
    assert row(whole, 3) == alone.rows[0]


def test_a_row_of_one_run_only_is_there_and_says_so(first: NamedRun) -> None:
    swept = {
        "quantization_approach": ["dynamic"],
        "operators_to_quantize": [["MatMul"]],
        "per_channel": [False, True],
    }
    found = pair(first, again(sweep(config(benchmarked=swept))))
    assert row(found, 3).is_whole
    assert row(found, 1).first_problems == ()
    assert row(found, 1).other_problems == ("there is no such row",)


def test_rows_that_failed_or_were_refused_say_in_which_run(first: NamedRun) -> None:
    found = pair(first, again())
    assert row(found, 5).first_problems[0].startswith("the session | refused")
    assert row(found, 5).first_problems == row(found, 5).other_problems
    assert row(found, 8).other_problems[0].startswith("refused: static per-channel needs")
    assert row(found, 8).metrics[0].first is None


def test_runs_without_a_common_row_are_refused(first: NamedRun) -> None:
    swept = {"quantization_approach": ["weight_only"]}
    other = run("after", sweep(config(benchmarked=swept)))
    with pytest.raises(UsageError, match="before and after have no row in common"):
        compare_runs([first, other], QUESTION_ANSWERING)


def test_runs_of_different_tasks_are_refused(first: NamedRun) -> None:
    asked = config(
        task="image-classification",
        dataset={"path": "d", "data_keys": {"primary": "image"}, "ref_keys": ["labels"]},
    )
    empty = sweep().model_copy(update={"config": asked, "arms": ()})
    other = named_run("pictures", empty, IMAGE_CLASSIFICATION)
    with pytest.raises(UsageError, match="before is of the task question-answering, pictures of"):
        compare_runs([first, other], QUESTION_ANSWERING)


def test_files_that_compute_the_same_are_told(first: NamedRun) -> None:
    later = again()
    arm = later.arm(arm_of(later, 3))
    other_file = arm.artifact.model_copy(update={"graph_digest": "x"})  # type: ignore[union-attr]
    found = pair(first, with_arm(later, arm.arm.id, artifact=other_file))
    assert row(found, 3).same_file is False
    assert row(found, 4).same_file is True
    assert row(found, 5).same_file is None


# --- Accuracy ---


def test_the_same_samples_are_paired_from_the_first_run_to_the_other(first: NamedRun) -> None:
    later = again()
    found = pair(first, with_arm(later, arm_of(later, 3), evaluation=evaluation(34, 2)))
    change = exact_match(row(found, 3))
    assert change.paired is not None
    # Row 3 lost 4 answers and won 2 before; now it loses 34, of which those 4 are a part.
    assert (change.paired.worse, change.paired.better) == (30, 0)
    assert change.paired.drop == pytest.approx(30 / 12)
    assert change.paired.low is not None
    assert 0 < change.paired.low < change.paired.drop
    assert change.paired.mcnemar_p is not None
    assert change.paired.mcnemar_p < 1e-6
    assert change.first is not None
    assert change.other == pytest.approx(change.first - 30 / 12)


def test_equal_answers_still_have_an_interval(first: NamedRun) -> None:
    change = exact_match(row(pair(first, again()), 3))
    assert change.paired is not None
    assert change.paired.drop == 0
    assert change.paired.low is not None
    assert change.paired.high is not None
    assert change.paired.low < 0 < change.paired.high


def test_the_originals_are_compared_too(first: NamedRun) -> None:
    found = pair(first, with_arm(again(), ORIGINAL_ID, evaluation=evaluation(3, 0)))
    change = next(item for item in found.original if item.name == "exact_match")
    assert change.paired is not None
    assert change.paired.worse == 3


def test_an_original_that_failed_does_not_keep_rows_from_being_paired(first: NamedRun) -> None:
    failure = Failed(stage="evaluate", error="no labels")
    found = pair(first, with_arm(again(), ORIGINAL_ID, evaluation=failure))
    assert exact_match(row(found, 3)).paired is not None
    assert found.original[0].why_unpaired == "after has no evaluation"


def test_other_samples_are_side_by_side_and_say_how_many_are_in_both(first: NamedRun) -> None:
    later = again()
    fewer = evaluation(4, 2, count=600)
    for arm in later.arms:
        if isinstance(arm.evaluation, Evaluation):
            later = with_arm(later, arm.arm.id, evaluation=fewer)
    found = exact_match(row(pair(first, later), 3))
    assert found.paired is None
    assert found.first is not None
    assert found.other == pytest.approx(fewer.metrics["exact_match"])
    assert found.why_unpaired == (
        "other samples were evaluated: 1,200 and 600, of which 600 are in both"
    )


def test_the_same_numbers_of_other_data_are_not_paired(first: NamedRun) -> None:
    found = pair(first, on_data(again(), eval_fingerprint="other"))
    change = exact_match(row(found, 3))
    assert (change.paired, change.why_unpaired) == (None, "the evaluation data differ")
    assert change.other is not None
    assert any(item.what == "evaluation data" for item in found.differences)


def test_answers_to_another_question_are_not_paired(first: NamedRun) -> None:
    later = again()
    asked = later.config.model_copy(update={"task_args": {"version_2": True}})
    change = exact_match(row(pair(first, later.model_copy(update={"config": asked})), 3))
    assert change.paired is None
    assert str(change.why_unpaired).startswith("task_args differ")


def test_a_metric_that_one_run_does_not_report_says_so(first: NamedRun) -> None:
    found = row(pair(first, again(sweep(config(metrics=["exact_match"])))), 3)
    by_name = {item.name: item for item in found.metrics}
    assert by_name["exact_match"].paired is not None
    assert by_name["f1"].why_unpaired == "after does not report f1"


def test_another_model_on_the_same_samples_is_paired(first: NamedRun) -> None:
    found = pair(first, on_data(again(), model_digest="cafe"))
    assert exact_match(row(found, 3)).paired is not None
    assert any(item.kind == "model" for item in found.differences)


# --- Published cards, and more than two runs ---


def test_a_published_card_is_side_by_side_only(first: NamedRun) -> None:
    found = pair(first, published())
    three = row(found, 3)
    assert three.other_row == 1
    change = exact_match(three)
    assert (change.other, change.paired) == (80.0, None)
    assert change.why_unpaired == "after was published without its samples' scores"
    assert found.yardstick is None
    assert found.why_no_yardstick == ("after was published with means only, without its machine")
    assert three.speed.other is not None
    assert three.speed.other.value == pytest.approx(4.0)
    assert three.speed.change is None
    assert [cell.batch_size for cell in found.not_shared] == [4]


def test_what_a_card_does_not_state_is_no_difference(first: NamedRun) -> None:
    found = pair(first, published("other-org/model"))
    names = [item.what for item in found.differences]
    assert "model_name_or_path" in names
    assert not any(name.startswith(("weight_only", "clamp_mask", "sampling")) for name in names)


def test_lengths_that_a_card_gives_for_images_do_not_keep_shapes_apart() -> None:
    measured, card = sweep(), published()
    lengthless = {
        arm.arm.id: tuple(
            item.model_copy(update={"cell": Cell(batch_size=1, input_length=None)})
            for item in arm.timings[:1]
        )
        for arm in measured.arms
    }
    for arm_id, timings in lengthless.items():
        measured = with_arm(measured, arm_id, timings=timings)
    assert measured.plan is not None
    cells = (Cell(batch_size=1, input_length=None),)
    measured = measured.model_copy(
        update={"plan": measured.plan.model_copy(update={"cells": cells})}
    )
    (found,) = compare_runs(
        [run("measured", measured), run("card", card)], QUESTION_ANSWERING
    ).pairs
    assert found.not_shared == ()
    (cell,) = row(found, 3).speed.cells
    assert cell.first_latency is not None
    assert cell.other_latency is not None
    assert cell.other_latency.mean_ms == 10.0


def test_two_published_cards_can_be_compared() -> None:
    runs = [run("a", published()), run("b", published())]
    (found,) = compare_runs(runs, QUESTION_ANSWERING).pairs
    assert found.original == ()
    assert found.rows[0].is_whole


def test_each_further_run_is_compared_with_the_first(first: NamedRun) -> None:
    swept = {
        "quantization_approach": ["dynamic"],
        "operators_to_quantize": [["MatMul"]],
        "per_channel": [False],
    }
    small = run("small", again(sweep(config(benchmarked=swept))))
    found = compare_runs([first, run("after", again()), small], QUESTION_ANSWERING)
    assert [item.other.name for item in found.pairs] == ["after", "small"]
    assert [len(item.rows) for item in found.pairs] == [8, 8]
    assert found.pairs[1].rows[0].other_problems == ("there is no such row",)


def test_parameters_that_are_fixed_and_differ_are_listed(first: NamedRun) -> None:
    later = again()
    args = later.config.framework_args.model_copy(update={"optimization_level": 1})
    asked = later.config.model_copy(update={"framework_args": args})
    found = pair(first, later.model_copy(update={"config": asked}))
    (difference,) = found.differences
    assert (difference.what, difference.first, difference.other) == (
        "framework_args.optimization_level",
        "99",
        "1",
    )


def test_without_a_second_copy_the_noise_floor_is_not_known(first: NamedRun) -> None:
    assert pair(first, again()).warnings == ()
    found = pair(first, with_arm(again(), f"{REFERENCE_ID}-twin", timings=()))
    assert found.warnings == (
        "no second copy was timed in after (shapes 1x32, 4x32): the noise floor is not known",
    )
