"""From facts to numbers: each row beside the original and the reference."""

from __future__ import annotations

import pytest

from quantbench.analysis.accuracy import compare_metric, compare_metrics
from quantbench.analysis.compare import summarize
from quantbench.analysis.consistent import evaluation_problems
from quantbench.analysis.idle import idle_in_graph
from quantbench.analysis.timing import noise
from quantbench.core import stats
from quantbench.core.errors import QuantbenchError
from quantbench.core.exporters import Export
from quantbench.core.metric_values import metric_value
from quantbench.core.plan import ORIGINAL_ID, Arm, Cell, Variant
from quantbench.core.quantization import Dynamic, Static
from quantbench.core.results import (
    ArmResult,
    Evaluation,
    Failed,
    NodeCounts,
    SweepResult,
    TimingFailed,
)
from quantbench.core.specs import MetricSpec
from quantbench.core.summary import RowSummary, SweepSummary
from synthetic import (
    IMAGE_CLASSIFICATION,
    QUESTION_ANSWERING,
    REFERENCE_ID,
    artifact,
    evaluation,
    sweep,
    timing,
    with_arm,
    with_blocks,
    with_few_rounds,
)

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


def test_without_an_evaluation_of_the_original_rows_are_partial_and_say_why() -> None:
    failure = Failed(stage="evaluate", error="the labels do not fit")
    found = summarize(with_arm(sweep(), ORIGINAL_ID, evaluation=failure), QUESTION_ANSWERING)
    assert found.rows[0].status == found.rows[2].status == "partial"
    assert found.rows[0].shares_with == "the reference"
    assert [item.number for item in found.distinct_rows] == [3, 4, 7]
    arm = found.rows[2].arm
    assert arm is not None
    assert arm.metrics == ()
    assert [(f.of, f.stage, f.error) for f in arm.failures] == [
        ("PyTorch eager", "evaluate", "the labels do not fit")
    ]


@pytest.mark.parametrize(
    ("arm_id", "name"), [(ORIGINAL_ID, "PyTorch eager"), (REFERENCE_ID, "ONNX Runtime fp32")]
)
def test_a_cell_that_one_side_of_a_ratio_lost_makes_rows_partial(arm_id: str, name: str) -> None:
    result = sweep()
    timings = next(arm.timings for arm in result.arms if arm.arm.id == arm_id)
    lost = TimingFailed(stage="time", error="killed", cell=timings[1].cell)
    found = summarize(with_arm(result, arm_id, timings=(timings[0], lost)), QUESTION_ANSWERING)
    assert found.rows[2].status == "partial"
    arm = found.rows[2].arm
    assert arm is not None
    assert (name, "time", "killed", lost.cell) in [
        (f.of, f.stage, f.error, f.cell) for f in arm.failures
    ]
    assert arm.num_compared == 1


def test_a_run_that_was_stopped_while_timing_has_partial_rows() -> None:
    result = sweep()
    for arm in result.arms:
        result = with_arm(result, arm.arm.id, timings=arm.timings[:1])
    found = summarize(result, QUESTION_ANSWERING)
    assert found.rows[2].status == "partial"
    assert found.rows[2].arm is not None
    assert [f.cell for f in found.rows[2].arm.failures] == [found.cells[1]]


def test_times_of_two_sessions_are_not_compared() -> None:
    result = sweep()
    original = next(arm for arm in result.arms if arm.arm.id == ORIGINAL_ID)
    other = tuple(item.model_copy(update={"session": "another"}) for item in original.timings)
    found = summarize(with_arm(result, ORIGINAL_ID, timings=other), QUESTION_ANSWERING)
    arm = found.rows[2].arm
    assert arm is not None
    assert [cell.speedup for cell in arm.cells] == [None, None]
    assert found.rows[2].status == "partial"
    assert "not timed together" in arm.failures[0].error


def test_a_width_of_which_one_part_is_unknown_is_unknown() -> None:
    found = summarize(with_few_rounds(sweep()), QUESTION_ANSWERING)
    for arm in (found.rows[0].arm, found.rows[2].arm):
        assert arm is not None
        assert (arm.cells[0].half_width, arm.cells[0].unresolved) == (None, True)


def test_the_original_against_itself_is_not_unresolved(summary: SweepSummary) -> None:
    assert summary.original is not None
    assert not summary.original.unresolved


def idle(
    scheme: Dynamic | Static,
    nodes: dict[str, NodeCounts],
    num_masked_nodes: int | None = None,
    **matches: tuple[int, int],
) -> list[str]:
    """What was idle. `matches` gives for an exclusion the nodes that it matches and keeps out."""
    variant = Variant(export=Export(opset=11), quantization=scheme)
    arm = Arm(id="row", role="row", framework="onnxruntime", variant=variant, optimization_level=99)
    made = artifact("row", quantized=True)
    update = {
        "nodes": nodes,
        "exclusion_matches": {name: matched for name, (matched, _) in matches.items()},
        "exclusion_effects": {name: kept_out for name, (_, kept_out) in matches.items()},
    }
    made = made.model_copy(update=update)
    made = made.model_copy(update={"num_masked_nodes": num_masked_nodes})
    found = idle_in_graph(ArmResult(arm=arm, artifact=made))
    return [f"{item.parameter} {item.value}: {item.reason}" for item in found]


def counts(total: int, quantized: int, excluded: int = 0) -> NodeCounts:
    left = total - quantized
    return NodeCounts(
        total=total, matched=excluded, excluded=excluded, quantized=quantized, left=left
    )


def test_operators_of_which_nothing_was_quantized_are_named_with_the_reason() -> None:
    scheme = Static(operators=("Add", "Conv", "LSTM", "MatMul", "Mul"))
    nodes = {"Add": counts(5, 0), "Conv": counts(0, 0), "MatMul": counts(9, 8)}
    assert idle(scheme, nodes | {"Mul": counts(2, 0, 2)}) == [
        "operators_to_quantize Add: no Add node could be quantized",
        "operators_to_quantize Conv: the model has no Conv node",
        "operators_to_quantize LSTM: the model has no LSTM node",
        "operators_to_quantize Mul: every Mul node is excluded",
    ]


def test_a_mask_that_is_not_there_is_told() -> None:
    scheme, nodes = Static(operators=("Add",), clamp_mask=True), {"Add": counts(5, 5)}
    told = "clamp_mask True: no attention mask is in this graph"
    assert idle(scheme, nodes, num_masked_nodes=0) == [told]
    assert idle(scheme, nodes, num_masked_nodes=4) == []
    unclamped = scheme.model_copy(update={"clamp_mask": False})
    assert idle(unclamped, nodes) == []


def test_an_exclusion_of_what_a_clamped_mask_keeps_in_floats_is_idle() -> None:
    scheme = Static(operators=("Add",), node_exclusion=("softmax",))
    (told,) = idle(scheme, {"Add": counts(5, 3)}, num_masked_nodes=4, softmax=(4, 0))
    assert told.endswith("or clamp_mask keeps it in floats")


def test_matmul_acts_on_gemm_where_quantization_is_dynamic() -> None:
    nodes = {"MatMul": counts(0, 0), "Gemm": counts(3, 3)}
    assert idle(Dynamic(operators=("MatMul",)), nodes) == []
    assert idle(Static(operators=("MatMul",)), nodes) == [
        "operators_to_quantize MatMul: the model has no MatMul node"
    ]


def test_exclusions_that_keep_no_node_out_are_named_with_the_reason() -> None:
    scheme = Static(operators=("Add",), node_exclusion=("layernorm", "softmax"))
    assert idle(scheme, {"Add": counts(5, 3, 2)}, layernorm=(9, 2), softmax=(0, 0)) == [
        "node_exclusion softmax: matches no node of this model"
    ]
    fused = idle(scheme, {"Add": counts(5, 3, 2)}, layernorm=(3, 0), softmax=(2, 2))
    assert fused == [
        "node_exclusion layernorm: none of its nodes in this model is of a type that is "
        "quantized here"
    ]


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


MACRO_F1 = MetricSpec("macro_f1", 100.0, binary=False, form="macro_f1")


def classified(pairs: list[tuple[float, float]]) -> Evaluation:
    """An evaluation of which each sample is a class and the one that was answered."""
    right = tuple(float(wanted == found) for wanted, found in pairs)
    return evaluation(0, 0, len(pairs)).model_copy(
        update={
            "clusters": None,
            "metrics": {"macro_f1": metric_value("macro_f1", pairs)},
            "per_sample": {"macro_f1": right},
            "parts": {"macro_f1": tuple(pairs)},
        }
    )


def test_a_metric_that_is_no_mean_is_resampled_as_a_whole() -> None:
    right = [(float(n % 3), float(n % 3)) for n in range(300)]
    worse = [(wanted, 0.0 if n % 10 == 0 else found) for n, (wanted, found) in enumerate(right)]
    found = compare_metric(classified(right), classified(worse), MACRO_F1)
    assert found.drop == pytest.approx(100 * (1 - metric_value("macro_f1", worse)))
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.drop < found.high
    assert (found.worse, found.better, found.mcnemar_p) == (20, 0, None)
    assert found.method == "bootstrap"


def test_where_no_sample_differs_a_metric_that_is_no_mean_has_a_width_too() -> None:
    same = classified([(float(n % 3), float(n % 2)) for n in range(300)])
    found = compare_metric(same, same, MACRO_F1)
    assert (found.method, found.drop) == ("score", 0.0)
    assert found.high == pytest.approx(100 * stats.tango_interval(300, 0, 0)[1])


def test_where_no_sample_differs_the_rarest_class_decides() -> None:
    """Ten of a thousand are of one class: one of those lost, unseen, costs macro F1 5 points."""
    rare = classified([(float(n < 10), float(n < 10)) for n in range(1000)])
    found = compare_metric(rare, rare, MACRO_F1)
    assert found.high == pytest.approx(100 * stats.tango_interval(2 * 10, 0, 0)[1])
    correlation = MetricSpec("macro_f1", 100.0, binary=False, form="matthews")
    found = compare_metric(rare, rare, correlation)
    assert found.high == pytest.approx(100 * stats.tango_interval(10, 0, 0)[1])


def test_samples_without_a_part_in_an_f1_do_not_make_it_more_certain() -> None:
    of_entities = MetricSpec("macro_f1", 100.0, binary=False, form="f1")
    parts = tuple((1.0, 1.0, 1.0) if n < 10 else (0.0, 0.0, 0.0) for n in range(1000))
    same = classified([(0.0, 0.0)] * 1000).model_copy(update={"parts": {"macro_f1": parts}})
    found = compare_metric(same, same, of_entities)
    assert found.num_samples == 10
    assert found.high == pytest.approx(100 * stats.tango_interval(10, 0, 0)[1])


def test_parts_that_are_missing_or_of_another_size_contradict_the_metric() -> None:
    whole = classified([(0.0, 1.0), (1.0, 1.0)])
    for parts, problem in (
        ({}, "parts.macro_f1 has 0 entries, but num_samples is 2"),
        ({"macro_f1": ((1.0,), (1.0,))}, "another number of parts than 2"),
    ):
        broken = whole.model_copy(update={"parts": parts})
        assert any(problem in text for text in evaluation_problems(broken, [MACRO_F1]))


NO_ANSWER = MetricSpec("NoAns_exact", 1.0, binary=True, form="ratio")


def without_answer(right: int, of: int, samples: int = 300) -> Evaluation:
    """An evaluation in which `of` questions have no answer, of which `right` are right."""
    parts = tuple((float(n < right), 1.0) if n < of else (0.0, 0.0) for n in range(samples))
    return evaluation(0, 0, samples).model_copy(
        update={
            "clusters": None,
            "metrics": {"NoAns_exact": 100 * metric_value("ratio", parts)},
            "per_sample": {"NoAns_exact": tuple(score for score, _ in parts)},
            "parts": {"NoAns_exact": parts},
        }
    )


def test_a_ratio_is_compared_on_the_samples_that_it_counts() -> None:
    found = compare_metric(without_answer(30, 40), without_answer(28, 40), NO_ANSWER)
    low, high = stats.tango_interval(40, 2, 0)
    assert (found.num_samples, found.worse, found.better) == (40, 2, 0)
    assert found.drop == pytest.approx(5.0)
    assert (found.low, found.high) == pytest.approx((100 * low, 100 * high))


def test_a_ratio_that_counts_no_sample_is_left_out() -> None:
    none = without_answer(0, 0)
    assert compare_metrics(none, none, [NO_ANSWER]) == ()
    one = without_answer(1, 1)
    assert [metric.name for metric in compare_metrics(one, one, [NO_ANSWER])] == ["NoAns_exact"]


def test_rounds_of_two_sessions_are_not_judged_together() -> None:
    """Rounds have numbers of their session: in each, others were there in every second round."""
    first, second = (
        with_blocks(sweep(), lambda block, odd=odd: busy_where(block.round % 2 == odd))
        for odd in (0, 1)
    )
    for mine, other in zip(first.arms, second.arms, strict=True):
        copies = [
            item.model_copy(update={"session": "another"})
            for item in other.timings
            if not isinstance(item, TimingFailed)
        ]
        first = with_arm(first, mine.arm.id, timings=(*mine.timings, *copies))
    (load, _) = summarize(first, QUESTION_ANSWERING).loads
    assert load.disturbed_rounds == 0.5


def busy_where(disturbed: bool) -> dict[str, object]:
    return {"processor_ticks": 60, "busy_ticks": 50, "own_ticks": 41 if disturbed else 50}
