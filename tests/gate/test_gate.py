"""A condition is passed if its whole interval meets the limit, failed if none of it does.

Of the synthetic sweep rows 3 and 4 are whole: row 3 is 3.2 times as fast as the original and lost
4 answers of 1,200, won 2; row 4, 3.6 times as fast, was timed with much noise.
"""

from __future__ import annotations

import pytest

from other_runs import again, arm_of, on_processor, published, run, slower, with_versions
from quantbench.analysis.gate import gate
from quantbench.analysis.named_run import NamedRun
from quantbench.core.gate import Check, Conditions, Gate
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import Failed, SweepResult, TimingFailed
from quantbench.core.summary import MetricSummary
from synthetic import (
    REFERENCE_ID,
    config,
    evaluation,
    sweep,
    with_arm,
    with_few_rounds,
    with_invalid_session,
)

DROP = Conditions(max_drop_points=0.8)
SPEED = Conditions(min_speedup=2.0)


@pytest.fixture(scope="module")
def sound() -> NamedRun:
    return run("sweep")


def check(found: Gate, name: str) -> Check:
    return next(item for item in found.checks if item.name == name)


def row_gate(
    found: NamedRun, conditions: Conditions, row: int, baseline: NamedRun | None = None
) -> Check:
    """The only check of a row that was named."""
    (only,) = gate(found, conditions, found.summary.rows[row - 1], None, baseline).checks
    return only


def exact_match(found: NamedRun, row: int) -> MetricSummary:
    arm = found.summary.rows[row - 1].arm
    assert arm is not None
    return arm.metrics[0]


# --- Drop ---


def test_a_drop_passes_at_its_upper_end_and_fails_below_its_lower_end(sound: NamedRun) -> None:
    metric = exact_match(sound, 7)  # 60 answers lost, 10 won
    assert metric.low is not None
    assert metric.high is not None
    for limit, outcome in (
        (metric.high, "pass"),
        (metric.high - 0.01, "undecided"),
        (metric.low, "undecided"),
        (metric.low - 0.01, "fail"),
        (0.0, "fail"),
    ):
        found = row_gate(sound, Conditions(max_drop_points=limit), 7)
        assert found.outcome == outcome
        assert (found.value, found.low, found.high) == (metric.drop, metric.low, metric.high)


def test_an_undecided_drop_says_how_many_samples_would_do(sound: NamedRun) -> None:
    metric = exact_match(sound, 3)
    assert metric.high is not None
    found = row_gate(sound, Conditions(max_drop_points=metric.high - 0.05), 3)
    assert found.outcome == "undecided"
    assert "the limit is inside its interval; about 1," in found.reason


def test_a_chosen_row_goes_by_the_end_that_holds_for_all_rows(sound: NamedRun) -> None:
    metric = exact_match(sound, 3)
    assert metric.family_high is not None
    assert metric.high is not None
    assert metric.family_high > metric.high
    by_itself = row_gate(sound, DROP, 3)
    chosen = gate(sound, DROP)
    assert chosen.row == 3
    assert check(chosen, "max-drop").high == metric.family_high
    assert by_itself.high == metric.high


# --- Speed ---


def test_a_speedup_passes_at_its_lower_end_and_fails_above_its_upper_end(sound: NamedRun) -> None:
    arm = sound.summary.rows[2].arm
    assert arm is not None
    speedup = arm.cells[0].speedup
    assert speedup is not None
    assert speedup.low is not None
    assert speedup.high is not None
    row, cell = sound.summary.rows[2], sound.summary.cells[0]
    for limit, outcome in (
        (speedup.low, "pass"),
        (speedup.value, "undecided"),
        (speedup.high + 0.001, "fail"),
    ):
        (found,) = gate(sound, Conditions(min_speedup=limit), row, cell).checks
        assert (found.outcome, found.cell) == (outcome, cell)


def test_the_shape_with_the_gravest_verdict_decides(sound: NamedRun) -> None:
    later = sweep()
    three = arm_of(later, 3)
    arm = later.arm(three)
    slow = slower(later, [three], 1.4).arm(three).timings[1]
    later = with_arm(later, three, timings=(arm.timings[0], slow))
    found = row_gate(run("sweep", later), Conditions(min_speedup=2.8), 3)
    assert found.outcome == "fail"
    assert found.cell == sound.summary.cells[1]
    assert found.value == pytest.approx(3.2 / 1.4, rel=0.02)


def test_without_an_interval_nothing_is_shown() -> None:
    found = row_gate(run("sweep", with_few_rounds(sweep())), SPEED, 3)
    assert (found.outcome, found.low) == ("undecided", None)
    assert "there is no interval" in found.reason


def test_a_session_that_is_not_valid_decides_nothing_about_speed() -> None:
    invalid = run("sweep", with_invalid_session(sweep()))
    found = row_gate(invalid, SPEED, 3)
    assert found.outcome == "undecided"
    assert "the timing session of sweep is not valid" in found.reason
    assert row_gate(invalid, DROP, 3).outcome == "pass"


# --- What is not there ---


def test_a_row_that_cannot_be_made_fails_every_condition(sound: NamedRun) -> None:
    conditions = Conditions(max_drop_points=1.0, min_speedup=1.0)
    for number, why in ((5, "it failed (quantize)"), (8, "the row was refused")):
        found = gate(sound, conditions, sound.summary.rows[number - 1])
        assert [item.outcome for item in found.checks] == ["fail", "fail"]
        assert all(why in item.reason for item in found.checks)
        assert found.outcome == "fail"


def test_a_shape_that_cannot_be_timed_fails(sound: NamedRun) -> None:
    found = row_gate(sound, Conditions(min_speedup=1.0), 7)
    assert found.outcome == "fail"
    assert found.cell == sound.summary.cells[1]
    assert "the arm's process was killed" in found.reason
    (other,) = gate(
        sound, Conditions(min_speedup=1.0), sound.summary.rows[6], sound.summary.cells[0]
    ).checks
    assert other.outcome == "pass"


def test_what_the_original_lacks_leaves_the_row_undecided(sound: NamedRun) -> None:
    failure = Failed(stage="evaluate", error="the labels do not fit")
    found = row_gate(run("sweep", with_arm(sweep(), ORIGINAL_ID, evaluation=failure)), DROP, 3)
    assert found.outcome == "undecided"
    assert found.reason == "PyTorch eager: the labels do not fit"
    lost = tuple(
        TimingFailed(stage="time", error="out of memory", cell=cell) for cell in sound.summary.cells
    )
    found = row_gate(run("sweep", with_arm(sweep(), ORIGINAL_ID, timings=lost)), SPEED, 3)
    assert (found.outcome, found.reason) == ("undecided", "PyTorch eager: out of memory")


def test_what_was_not_measured_yet_is_undecided() -> None:
    result = sweep()
    unfinished = with_arm(result, arm_of(result, 3), evaluation=None, timings=())
    found = run("sweep", unfinished)
    assert row_gate(found, DROP, 3).outcome == "undecided"
    assert row_gate(found, SPEED, 3).outcome == "undecided"


def test_the_means_of_a_published_card_show_nothing() -> None:
    card = run("card", published())
    conditions = Conditions(max_drop_points=1.0, min_speedup=1.0)
    found = gate(card, conditions, card.summary.rows[0])
    assert [item.outcome for item in found.checks] == ["undecided", "undecided"]
    assert [item.value for item in found.checks] == [0.0, 4.0]
    assert all("a published card gives means only" in item.reason for item in found.checks)
    assert gate(card, conditions).outcome == "undecided"


# --- The recommended row ---


def test_the_recommended_row_is_chosen_under_the_largest_drop_asked_for(sound: NamedRun) -> None:
    found = gate(sound, Conditions(max_drop_points=2.0))
    assert (found.row, found.outcome) == (4, "pass")
    assert [item.name for item in found.checks] == ["recommended-row", "max-drop"]
    assert gate(sound, SPEED).row == 3  # under the default margin


def keeps_fp32() -> SweepResult:
    """Rows 3 and 4 lose what nobody would accept."""
    result = sweep()
    for number in (3, 4):
        result = with_arm(result, arm_of(result, number), evaluation=evaluation(200, 0))
    return result


def test_keeping_fp32_fails_and_the_rest_is_skipped() -> None:
    found = gate(run("sweep", keeps_fp32()), Conditions(max_drop_points=1.0, min_speedup=1.1))
    assert (found.row, found.outcome) == (None, "fail")
    assert [item.outcome for item in found.checks] == ["fail", "skipped", "skipped"]
    assert found.checks[0].reason.startswith("keep fp32: no quantized configuration's drop")


@pytest.mark.parametrize("more", [0.1, -0.1])
def test_a_faster_row_that_is_not_shown_to_lose_too_much_leaves_it_undecided(
    more: float, sound: NamedRun
) -> None:
    metric = exact_match(sound, 3)
    found = gate(sound, Conditions(max_drop_points=metric.drop + more))
    assert (found.row, found.outcome) == (None, "undecided")
    assert "nor is that of row 3, 4 shown to be more" in found.checks[0].reason


def test_an_unfinished_run_has_no_recommended_row_yet() -> None:
    result = sweep()
    unfinished = with_arm(result, arm_of(result, 4), evaluation=None, timings=())
    found = gate(run("sweep", unfinished), DROP)
    assert found.outcome == "undecided"
    assert "the run is not finished: 1 of 8 rows are not measured yet" in found.checks[0].reason
    named = run("sweep", unfinished)
    assert gate(named, DROP, named.summary.rows[2]).outcome == "pass"


def test_an_empty_run_is_undecided() -> None:
    empty = run("sweep", sweep().model_copy(update={"arms": ()}))
    found = gate(empty, Conditions(max_drop_points=1.0, min_speedup=1.0))
    assert found.outcome == "undecided"
    assert "7 of 8 rows are not measured yet" in found.checks[0].reason


# --- Against an older run ---

SLOWDOWN = Conditions(max_slowdown_percent=5.0)


@pytest.mark.parametrize(
    ("factor", "outcome"), [(0.9, "pass"), (1.0, "pass"), (1.05, "undecided"), (1.2, "fail")]
)
def test_a_slowdown_is_how_much_longer_it_takes_beside_the_yardstick(
    sound: NamedRun, factor: float, outcome: str
) -> None:
    later = again()
    new = run("new", slower(later, [arm_of(later, 3)], factor))
    found = row_gate(new, SLOWDOWN, 3, sound)
    assert found.outcome == outcome
    assert found.value == pytest.approx(100 * (factor - 1), abs=0.05)


def test_a_machine_that_is_slower_as_a_whole_is_no_slowdown(sound: NamedRun) -> None:
    later = again()
    new = run("new", slower(later, [arm.arm.id for arm in later.arms], 1.5))
    assert row_gate(new, SLOWDOWN, 3, sound).outcome == "pass"


def test_one_measurement_in_both_runs_is_no_slowdown(sound: NamedRun) -> None:
    found = row_gate(run("new"), Conditions(max_slowdown_percent=0.0), 3, sound)
    assert (found.outcome, found.value) == ("pass", 0.0)
    assert found.reason == "both runs hold the same measurement"


def test_what_cannot_be_compared_is_undecided(sound: NamedRun) -> None:
    elsewhere = run("new", on_processor(again(), model="Another CPU"))
    found = row_gate(elsewhere, SLOWDOWN, 3, sound)
    assert found.outcome == "undecided"
    assert found.reason == "they were measured on different machines (processor)"
    swept = {"operators_to_quantize": [["Add"]], "quantization_approach": ["dynamic", "static"]}
    old = run("old", again(sweep(config(benchmarked=swept))))
    found = row_gate(sound, SLOWDOWN, 3, old)
    assert (found.outcome, found.reason) == ("undecided", "in old: there is no such row")


def test_a_row_that_failed_this_time_fails(sound: NamedRun) -> None:
    later = again()
    killed = TimingFailed(stage="time", error="it crashed", cell=sound.summary.cells[0])
    arm = later.arm(arm_of(later, 3))
    new = run("new", with_arm(later, arm.arm.id, timings=(killed, arm.timings[1])))
    found = row_gate(new, SLOWDOWN, 3, sound)
    assert (found.outcome, found.reason) == ("fail", "it failed (time): it crashed")


def test_a_row_that_failed_in_the_older_run_is_undecided(sound: NamedRun) -> None:
    result = sweep()
    broken = with_arm(
        result, arm_of(result, 3), artifact=Failed(stage="quantize", error="no"), timings=(),
        evaluation=None,
    )  # fmt: skip
    found = row_gate(run("new", again()), SLOWDOWN, 3, run("old", broken))
    assert found.outcome == "undecided"
    assert "old has no speed-up" in found.reason


# --- All together ---


def test_one_failure_outweighs_what_is_open_and_what_is_open_what_passed(sound: NamedRun) -> None:
    row = sound.summary.rows[2]
    metric = exact_match(sound, 3)
    undecided = metric.drop + 0.05
    for drop, speedup, outcome in (
        (2.0, 2.0, "pass"),
        (undecided, 2.0, "undecided"),
        (undecided, 9.0, "fail"),
    ):
        conditions = Conditions(max_drop_points=drop, min_speedup=speedup)
        assert gate(sound, conditions, row).outcome == outcome


# --- Warnings ---


def test_what_is_not_as_in_the_older_run_is_a_warning(sound: NamedRun) -> None:
    assert gate(run("new", again()), SLOWDOWN, None, None, sound).warnings == ()
    new = run("new", with_versions(again(), onnxruntime="1.32.0"))
    found = gate(new, SLOWDOWN, new.summary.rows[2], None, sound)
    assert found.outcome == "pass"
    assert found.warnings == ("not as in sweep: onnxruntime: 1.31.1 → 1.32.0",)


def test_swept_parameters_are_no_difference_from_the_older_run(sound: NamedRun) -> None:
    swept = {"quantization_approach": ["dynamic"], "operators_to_quantize": [["MatMul"]]}
    new = run("new", again(sweep(config(benchmarked=swept))))
    assert gate(new, SLOWDOWN, new.summary.rows[0], None, sound).warnings == ()


def test_without_a_second_copy_it_warns_that_noise_is_not_known(sound: NamedRun) -> None:
    assert gate(sound, SPEED).warnings == ()
    alone = run("sweep", with_arm(sweep(), f"{REFERENCE_ID}-twin", timings=()))
    found = gate(alone, SPEED)
    assert found.outcome == "pass"
    assert found.warnings == (
        "no second copy was timed in sweep (shapes 1x32, 4x32): the noise floor is not known",
    )


def test_the_upper_end_of_a_chosen_row_says_of_what_it_is(sound: NamedRun) -> None:
    assert check(gate(sound, DROP), "max-drop").reason.endswith(
        ", whose upper end holds for all 3 rows at once"
    )
    assert "at once" not in row_gate(sound, DROP, 3).reason


def test_rows_that_mean_the_same_each_have_one_in_the_older_run() -> None:
    swept = {"operators_to_quantize": [["Add", "MatMul"], ["MatMul", "Add"]]}
    result = sweep(config(quantization_approach="dynamic", benchmarked=swept))
    old, new = run("old", result), run("new", again(result))
    assert [row_gate(new, SLOWDOWN, number, old).outcome for number in (1, 2)] == ["pass", "pass"]
