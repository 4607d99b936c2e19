"""Estimates are learned from what units took: on this machine, and this model if it was seen."""

import pytest

from quantbench.core.estimate import Past, estimate, how_good, naive_seconds, peak_memory_bytes
from quantbench.core.plan import make_plan
from quantbench.core.results import Spent
from quantbench.core.steps import Step, steps
from synthetic import QUESTION_ANSWERING, config, subject

STEP = Step(stage="evaluate", name="original", kind="pytorch", amount=100)
SUBJECT = subject()


def past(**changes: object) -> Past:
    values: dict[str, object] = {
        "machine": "here",
        "stage": "evaluate",
        "kind": "pytorch",
        "amount": 10,
        "model": SUBJECT.model_digest,
        "num_parameters": SUBJECT.num_parameters,
        "seconds": 2.0,
        "peak_rss_bytes": 2**30,
    }
    return Past.model_validate(values | changes)


def test_without_a_history_there_is_a_guess_that_says_so() -> None:
    found = estimate(STEP, [], "here", SUBJECT)
    assert found.seconds > 0
    assert not found.learned


def test_the_same_model_tells_the_time_per_sample() -> None:
    found = estimate(STEP, [past(), past(seconds=2.2), past(seconds=50.0)], "here", SUBJECT)
    assert found.learned
    assert found.seconds == pytest.approx(22.0)  # the median: one disturbed run changes little


def test_another_model_is_scaled_by_its_parameters() -> None:
    other = past(model="other", num_parameters=SUBJECT.num_parameters * 4)
    assert estimate(STEP, [other], "here", SUBJECT).seconds == pytest.approx(5.0)


def test_the_same_model_goes_before_others() -> None:
    history = [past(), past(model="other", seconds=500.0)]
    assert estimate(STEP, history, "here", SUBJECT).seconds == pytest.approx(20.0)


@pytest.mark.parametrize("changes", [{"machine": "there"}, {"kind": "onnxruntime static"}])
def test_other_machines_and_other_kinds_teach_nothing(changes: dict[str, object]) -> None:
    assert not estimate(STEP, [past(**changes)], "here", SUBJECT).learned


def test_a_model_that_was_not_looked_at_is_guessed() -> None:
    assert not estimate(STEP, [past()], "here", None).learned


def test_memory_is_the_largest_of_this_model_on_this_machine() -> None:
    history = [past(peak_rss_bytes=5), past(peak_rss_bytes=7), past(machine="there")]
    assert peak_memory_bytes(history, "here", SUBJECT) == 7
    assert peak_memory_bytes(history, "elsewhere", SUBJECT) is None


def test_the_naive_way_does_everything_again_for_each_row() -> None:
    plan = make_plan(config(), QUESTION_ANSWERING)
    todo = steps(plan, config(), 100)
    seconds = {step.id: 1.0 for step in todo}
    rows = [row for row in plan.rows if row.arm_id is not None]
    static = [row for row in rows if row.trial.parameters["quantization_approach"] == "static"]
    cells = len(plan.cells)
    # Where Add is quantized, the mask is clamped before.
    clamped = [row for row in static if "Add" in str(row.trial.parameters["operators_to_quantize"])]
    expected = len(rows) * (1 + 1 + 2 + 2 * 10.0 * cells) + len(static) + len(clamped)
    assert naive_seconds(plan, seconds, 10.0) == pytest.approx(expected)


def test_the_error_of_an_estimate_is_told() -> None:
    def spent(seconds: float, expected: float | None, *, reused: bool = False) -> Spent:
        return Spent(
            stage="evaluate",
            name="a",
            seconds=seconds,
            peak_rss_bytes=None,
            expected_seconds=expected,
            reused=reused,
        )

    found = [spent(60.0, 40.0), spent(6.0, 20.0), spent(0.0, 100.0, reused=True)]
    assert how_good(found) == ("the work took 66 s, 10% more than the 60 s that were expected")
    assert how_good([spent(1.0, None)]) is None
