"""Times of two runs are never divided: speed-ups are, over a model that is the same in both."""

from __future__ import annotations

import math
import random

import pytest

from other_runs import again, arm_of, on, on_data, on_processor, run, slower, with_versions
from quantbench.analysis import timing
from quantbench.analysis.matched_rows import match_rows
from quantbench.analysis.named_run import NamedRun
from quantbench.analysis.speed_changes import Yardstick, speed_change, yardstick
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import SweepResult
from quantbench.core.run_comparison import SpeedChange
from quantbench.core.stats import ratio_estimate, ratio_interval
from quantbench.core.summary import Ratio
from synthetic import REFERENCE_ID, config, sweep, with_arm, with_few_rounds, with_invalid_session

ROW = 3


@pytest.fixture(scope="module")
def first() -> NamedRun:
    return run("before")


def change(first: NamedRun, result: SweepResult, row: int = ROW) -> SpeedChange:
    other = run("after", result)
    rows = first.summary.rows[row - 1], other.summary.rows[row - 1]
    return speed_change(first, other, rows, measured_by(first, other))


def measured_by(first: NamedRun, other: NamedRun) -> Yardstick:
    return yardstick(first, other, [row.rows for row in match_rows(first, other)])


# --- What is divided ---


def test_the_change_is_the_other_speedup_over_the_first(first: NamedRun) -> None:
    later = again()
    found = change(first, slower(later, [arm_of(later, ROW)], 1.1))
    assert found.change is not None
    assert found.first is not None
    assert found.other is not None
    assert found.change.value == pytest.approx(found.other.value / found.first.value)
    assert found.change.value == pytest.approx(1 / 1.1, rel=1e-3)
    assert found.change.low is not None
    assert found.change.high is not None
    assert found.change.low < found.change.value < found.change.high < 1


def test_a_machine_that_is_slower_as_a_whole_changes_nothing(first: NamedRun) -> None:
    later = again()
    everything = slower(later, [arm.arm.id for arm in later.arms], 1.5)
    found = change(first, everything)
    assert found.change is not None
    assert found.change.value == pytest.approx(1, rel=1e-3)
    cell = found.cells[0]
    assert cell.first_latency is not None
    assert cell.other_latency is not None
    assert cell.first_latency.p50_ms is not None
    assert cell.other_latency.p50_ms == pytest.approx(1.5 * cell.first_latency.p50_ms, rel=1e-3)


def test_the_mean_is_over_the_shapes_that_both_have(first: NamedRun) -> None:
    found = change(first, again(), row=7)  # it lost the second shape
    assert [cell.change is None for cell in found.cells] == [False, True]
    assert found.num_compared == 1
    assert found.change == found.cells[0].change
    assert "after" not in str(found.cells[1].why_no_change)
    assert "before has no speed-up: the arm's process was killed" in str(
        found.cells[1].why_no_change
    )


def test_one_measurement_in_both_runs_is_told_as_such(first: NamedRun) -> None:
    found = change(first, sweep())
    assert found.same_measurement
    assert found.change is not None
    assert (found.change.value, found.change.low, found.change.high) == (1, 1, 1)
    assert not change(first, again()).same_measurement


def test_without_an_interval_in_one_run_there_is_none_of_the_change(first: NamedRun) -> None:
    found = change(first, with_few_rounds(again()))
    assert found.change is not None
    assert (found.change.low, found.change.high) == (None, None)


# --- What it is divided through ---


def test_the_yardstick_is_the_original_where_it_is_the_same(first: NamedRun) -> None:
    found = measured_by(first, run("after", with_versions(again(), onnxruntime="1.32.0")))
    assert (found.over, found.name) == ("original", "PyTorch eager")


def test_with_another_torch_it_is_the_reference(first: NamedRun) -> None:
    later = slower(with_versions(again(), torch="2.14.0"), [ORIGINAL_ID], 0.5)
    assert measured_by(first, run("after", later)).name == "ONNX Runtime fp32"
    found = change(first, later)
    assert found.change is not None
    # The original's new speed is not in it.
    assert found.change.value == pytest.approx(1, rel=1e-3)
    assert found.first is not None
    assert found.first.value == pytest.approx(3.2 / 1.5, rel=0.02)


def with_another_reference(result: SweepResult) -> SweepResult:
    reference = result.arm(REFERENCE_ID)
    changed = reference.artifact.model_copy(update={"graph_digest": "another"})  # type: ignore[union-attr]
    return with_arm(result, REFERENCE_ID, artifact=changed)


def test_a_row_whose_reference_is_another_file_is_not_divided() -> None:
    swept = {"quantization_approach": ["dynamic"], "framework_args.opset": [11, 12]}
    both = sweep(config(operators_to_quantize=["MatMul"], benchmarked=swept))
    before = run("before", both)
    later = with_another_reference(with_versions(again(both), torch="2.14.0"))
    assert measured_by(before, run("after", later)).name == "ONNX Runtime fp32"
    found = change(before, later, row=1)
    assert found.change is None
    assert found.why_no_change == "ONNX Runtime fp32 is another file in each"


def test_with_other_versions_of_both_runtimes_there_is_none(first: NamedRun) -> None:
    later = with_versions(again(), torch="2.14.0", onnxruntime="1.32.0")
    found = change(first, later)
    assert found.change is None
    assert "torch is 2.13.0 in one, 2.14.0 in the other" in str(found.why_no_change)
    assert "onnxruntime is 1.31.1 in one, 1.32.0 in the other" in str(found.why_no_change)
    assert found.first is not None  # side by side all the same
    assert found.other is not None


def test_where_no_row_shares_its_reference_there_is_no_yardstick(first: NamedRun) -> None:
    later = with_another_reference(on_data(again(), model_digest="cafe"))
    found = measured_by(first, run("after", later))
    assert found.name is None
    assert found.why_none == (
        "no model is the same in both: PyTorch eager runs another model; ONNX Runtime fp32 is "
        "another file in each"
    )
    three = change(first, later)
    assert three.change is None
    assert three.first is not None  # over the original of each
    assert three.first.value == pytest.approx(3.2, rel=0.02)


def test_another_model_with_the_same_exported_file_is_compared_by_that(first: NamedRun) -> None:
    found = measured_by(first, run("after", on_data(again(), model_digest="cafe")))
    assert (found.over, found.name) == ("reference", "ONNX Runtime fp32")


@pytest.mark.parametrize(
    ("result", "what"),
    [
        (on_processor(again(), model="Another CPU"), "processor"),
        (on_processor(again(), flags=("avx2",)), "processor flags"),
        (on_processor(again(), allowed_cores=4), "allowed cores"),
        (on(again(), num_threads=4), "threads"),
    ],
)
def test_on_another_machine_nothing_is_divided(
    first: NamedRun, result: SweepResult, what: str
) -> None:
    found = change(first, result)
    assert found.change is None
    assert found.why_no_change == f"they were measured on different machines ({what})"
    assert all(cell.other_latency is not None for cell in found.cells)


def test_a_session_that_is_not_valid_is_not_divided(first: NamedRun) -> None:
    found = change(first, with_invalid_session(again()))
    assert found.change is None
    assert "the timing session of after is not valid" in str(found.why_no_change)


# --- The interval ---


def test_a_change_of_ratios_has_both_their_errors() -> None:
    exact = Ratio(value=2.0, low=2.0, high=2.0)
    rough = Ratio(value=3.0, low=2.5, high=3.6)
    found = timing.change(exact, rough)
    assert (found.value, found.low, found.high) == pytest.approx((1.5, 1.25, 1.8))
    both = timing.change(rough, rough)
    assert both.low is not None
    assert both.high is not None
    assert both.low == pytest.approx(1 / both.high)
    assert math.log(both.high) == pytest.approx(math.sqrt(2) * math.log(1.2))


def test_the_interval_of_a_change_covers_the_truth_as_often_as_it_says() -> None:
    """4 and 6 process sets, offsets of fresh processes of 3 % and of 1 %."""
    rng = random.Random(0)

    def session(truth: float, sets: int, spread: float) -> Ratio:
        logs = {(n, 0): math.log(truth) + rng.gauss(0, spread) for n in range(sets)}
        value, interval = ratio_estimate(logs), ratio_interval(logs)
        assert value is not None
        assert interval is not None
        return Ratio(value=value, low=interval[0], high=interval[1])

    covered = 0
    for _ in range(2000):
        found = timing.change(session(3.0, 4, 0.03), session(3.3, 6, 0.01))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 1.1 <= found.high
    assert 0.95 <= covered / 2000 <= 0.995
