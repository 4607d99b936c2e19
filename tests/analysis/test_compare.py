"""From facts to numbers: each row beside the original and the reference."""

from __future__ import annotations

import pytest
from synthetic import IMAGE_CLASSIFICATION, QUESTION_ANSWERING, evaluation, sweep, timing

from quantbench.analysis.accuracy import compare_metric
from quantbench.analysis.compare import summarize
from quantbench.analysis.summary import RowSummary, SweepSummary
from quantbench.analysis.timing import noise
from quantbench.core.errors import QuantbenchError
from quantbench.core.plan import Cell
from quantbench.core.results import Evaluation, SweepResult
from quantbench.core.specs import MetricSpec

EXACT = MetricSpec("exact_match", 1.0, True)
F1 = MetricSpec("f1", 1.0, False)


@pytest.fixture(scope="module")
def summary() -> SweepSummary:
    return summarize(sweep(), QUESTION_ANSWERING)


def row(summary: SweepSummary, number: int) -> RowSummary:
    return summary.rows[number - 1]


def test_every_row_says_what_became_of_it(summary: SweepSummary) -> None:
    statuses = {item.number: (item.status, item.shares_with) for item in summary.rows}
    assert statuses == {
        1: ("shared", "the reference"),
        2: ("shared", "the reference"),
        3: ("measured", None),
        4: ("measured", None),
        5: ("failed", None),
        6: ("failed", "row 5"),
        7: ("partial", None),
        8: ("refused", None),
    }
    assert [item.number for item in summary.distinct_rows] == [3, 4, 7]


def test_speedup_is_original_over_row_and_quantization_speedup_reference_over_row(
    summary: SweepSummary,
) -> None:
    arm = row(summary, 3).arm
    assert arm is not None
    for cell in arm.cells:
        assert cell.speedup is not None
        assert cell.quantization_speedup is not None
        assert cell.runtime_speedup is not None
        assert cell.speedup.value == pytest.approx(3.2, rel=0.02)
        assert cell.quantization_speedup.value == pytest.approx(3.2 / 1.5, rel=0.02)
        assert cell.runtime_speedup.value == pytest.approx(1.5, rel=0.02)
        assert cell.speedup.low is not None
        assert cell.speedup.high is not None
        assert cell.speedup.low <= cell.speedup.value <= cell.speedup.high
        assert not cell.unresolved


def test_throughput_counts_samples_and_forwards_apart(summary: SweepSummary) -> None:
    arm = row(summary, 3).arm
    assert arm is not None
    latency = arm.cells[1].optimized
    assert latency is not None
    assert arm.cells[1].cell.batch_size == 4
    assert latency.throughput_per_s == pytest.approx(4 * latency.forwards_per_s)
    assert latency.forwards_per_s == pytest.approx(1e3 / latency.mean_ms)


def test_a_row_with_the_references_file_is_exactly_as_fast_as_it(summary: SweepSummary) -> None:
    arm = row(summary, 1).arm
    assert arm is not None
    ratio = arm.cells[0].quantization_speedup
    assert ratio is not None
    assert (ratio.value, ratio.shared) == (1.0, True)


def test_a_wide_interval_is_unresolved_with_its_width(summary: SweepSummary) -> None:
    arm = row(summary, 4).arm
    assert arm is not None
    assert arm.cells[0].unresolved
    assert arm.cells[0].half_width is not None
    assert arm.cells[0].half_width > 0.03


def test_a_lost_cell_keeps_the_rest_of_its_row(summary: SweepSummary) -> None:
    arm = row(summary, 7).arm
    assert arm is not None
    assert [cell.missing for cell in arm.cells] == [None, "the arm's process was killed"]
    assert arm.cells[0].speedup is not None
    assert [(f.stage, f.cell == summary.cells[1]) for f in arm.failures] == [("time", True)]


def test_the_drop_has_its_flips_interval_and_exact_p(summary: SweepSummary) -> None:
    arm = row(summary, 7).arm
    assert arm is not None
    exact, f1 = arm.metrics
    assert exact.drop == pytest.approx(50 / 12)
    assert (exact.worse, exact.better, exact.method) == (60, 10, "score")
    assert exact.low is not None
    assert exact.high is not None
    assert 0 < exact.low < exact.drop < exact.high
    assert exact.mcnemar_p is not None
    assert exact.mcnemar_p < 1e-6
    assert (f1.method, f1.mcnemar_p) == ("bootstrap", None)
    assert arm.agreement == pytest.approx(1 - 70 / 1200)


def test_an_exclusion_that_matches_no_node_is_marked(summary: SweepSummary) -> None:
    result = sweep()
    static = result.config.model_copy(update={"node_exclusion": ("softmax",)})
    rows = tuple(item.model_copy(update={"inert": ()}) for item in result.plan.rows)  # type: ignore[union-attr]
    plan = result.plan.model_copy(update={"rows": rows})  # type: ignore[union-attr]
    found = summarize(
        result.model_copy(update={"config": static, "plan": plan}), QUESTION_ANSWERING
    )
    assert [item.reason for item in found.rows[2].inert] == ["matches no node of this model"]


def test_zero_flips_do_not_give_zero_width() -> None:
    same = evaluation(0, 0)
    for metric in (EXACT, F1):
        found = compare_metric(same, same, metric)
        assert found.low is not None
        assert found.high is not None
        assert found.low < 0 < found.high


def test_an_accuracy_drop_is_in_points() -> None:
    accuracy = MetricSpec("accuracy", 100.0, True)

    def answers(right: int) -> Evaluation:
        scores = (1.0,) * right + (0.0,) * (100 - right)
        data = {
            "num_samples": 100,
            "metrics": {"accuracy": right / 100},
            "sample_ids": tuple(map(str, range(100))),
            "clusters": None,
            "predictions": tuple({"answer": score} for score in scores),
            "per_sample": {"accuracy": scores},
            "seconds": 1.0,
        }
        return Evaluation.model_validate(data)

    found = compare_metric(answers(90), answers(87), accuracy)
    assert found.drop == pytest.approx(3.0)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 3.0 < found.high
    assert found.original_points == pytest.approx(90.0)


def test_different_samples_cannot_be_paired() -> None:
    with pytest.raises(QuantbenchError, match="different samples"):
        compare_metric(evaluation(0, 0, 100), evaluation(0, 0, 101), EXACT)


def test_scores_outside_zero_and_one_are_refused() -> None:
    strange = evaluation(0, 0).model_copy(update={"per_sample": {"f1": (50.0,) * 1200}})
    with pytest.raises(QuantbenchError, match="between 0 and 1"):
        compare_metric(strange, strange, F1)


def test_a_session_is_invalid_when_copies_differ_by_more_than_one_percent() -> None:
    cell = Cell(batch_size=1, input_length=8)
    reference = timing("a", cell, 1.0, 0.001, twice=True)
    fine = noise(cell, reference, timing("b", cell, 1.002, 0.001))
    slow = noise(cell, reference, timing("b", cell, 0.95, 0.001))
    assert fine is not None
    assert slow is not None
    assert (fine.invalid, slow.invalid) == (False, True)


def test_a_sweep_that_stopped_early_still_has_a_summary() -> None:
    result = sweep()
    stopped = result.model_copy(update={"arms": result.arms[:2]})
    found = summarize(stopped, QUESTION_ANSWERING)
    assert found.rows[2].status == "failed"
    assert found.rows[2].arm is not None
    assert "has not been run" in found.rows[2].arm.failures[0].error


def test_results_without_plan_or_rows_are_refused() -> None:
    empty = SweepResult(config=sweep().config)
    with pytest.raises(QuantbenchError, match="neither a plan nor"):
        summarize(empty, IMAGE_CLASSIFICATION)
