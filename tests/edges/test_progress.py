"""Progress tells the stage and the time left, and learns from the steps that are over."""

import io

import pytest

from quantbench.core.plan import make_plan
from quantbench.core.results import Failed
from quantbench.core.steps import Step, steps
from quantbench.progress import Watcher, seconds_left
from synthetic import QUESTION_ANSWERING, config

STEPS = (
    Step(stage="export", name="opset 17"),
    Step(stage="evaluate", name="a"),
    Step(stage="evaluate", name="b"),
)
SECONDS = {"export opset 17": 2.0, "evaluate a": 10.0, "evaluate b": 10.0}


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_is_what_was_guessed_less_what_is_done() -> None:
    assert seconds_left(STEPS, SECONDS, 1, 0.5, [2.0]) == pytest.approx(15.0)


def test_a_stage_that_took_longer_than_guessed_is_expected_to_do_so_again() -> None:
    assert seconds_left(STEPS, SECONDS, 2, 0.0, [2.0, 30.0]) == pytest.approx(30.0)


def test_steps_that_were_passed_over_teach_nothing() -> None:
    assert seconds_left(STEPS, SECONDS, 2, 0.0, [2.0, 0.0]) == pytest.approx(10.0)


def watch(quiet: bool) -> str:
    stream, clock = io.StringIO(), Clock()
    with Watcher("sweep", stream, quiet, clock) as watcher:
        watcher.begin(STEPS, SECONDS)
        watcher.step("export", "opset 17")
        clock.now = 4.0
        watcher.step("evaluate", "b")
        watcher.failed(Failed(stage="evaluate", error="no [room]", hint="Buy memory."))
    return stream.getvalue()


def test_without_a_terminal_each_step_is_a_plain_line_with_the_time_left() -> None:
    assert watch(quiet=False).splitlines() == [
        "sweep: step 1 of 3: export opset 17 (0:22 left)",
        "sweep: step 3 of 3: evaluate b (0:10 left)",
        "failed evaluate b: no [room] Buy memory.",
    ]


def test_waiting_for_another_run_is_seen_without_a_terminal() -> None:
    stream = io.StringIO()
    with Watcher("sweep", stream, quiet=False, clock=Clock()) as watcher:
        watcher.begin(STEPS, SECONDS)
        watcher.step("evaluate", "a")
        watcher.progress(0.0, "waiting: another run is timing on this machine")
        watcher.progress(0.1, "sample 1 of 10")
    assert stream.getvalue().splitlines()[1:] == [
        "evaluate a: waiting: another run is timing on this machine"
    ]


def test_a_step_names_its_rows() -> None:
    stream = io.StringIO()
    todo = (
        Step(stage="quantize", name="dynamic-1f", rows=(3,)),
        Step(stage="evaluate", name="a", rows=(1, 2, 5, 6, 9)),
    )
    with Watcher("sweep", stream, quiet=False, clock=Clock()) as watcher:
        watcher.begin(todo, {})
        watcher.step("quantize", "dynamic-1f")
        watcher.step("evaluate", "a")
    assert stream.getvalue().splitlines() == [
        "sweep: step 1 of 2: quantize dynamic-1f (row 3) (0:00 left)",
        "sweep: step 2 of 2: evaluate a (rows 1, 2, 5, 6, …) (0:00 left)",
    ]


def test_the_steps_of_a_plan_know_their_rows() -> None:
    plan = make_plan(config(), QUESTION_ANSWERING)
    found = {step.id: step.rows for step in steps(plan, config(), 10)}
    for row in plan.rows:
        if row.arm_id is not None:
            assert row.number in found[f"evaluate {row.arm_id}"]
    assert found["evaluate original"] == ()
    assert {stage.split()[0] for stage, rows in found.items() if rows} == {"quantize", "evaluate"}


def test_quiet_leaves_failures_only() -> None:
    assert watch(quiet=True) == "failed evaluate b: no [room] Buy memory.\n"
