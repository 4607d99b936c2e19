"""Steps run after what they need, side by side where cores allow it, and alone where they must."""

import threading

import pytest

from quantbench.core.plan import make_plan
from quantbench.core.steps import Step, evaluation_threads, steps
from quantbench.schedule import run_steps, startable
from synthetic import QUESTION_ANSWERING, config

EXPORT = Step(stage="export", name="a", cores="share")
ONE = Step(stage="quantize", name="one", needs=(EXPORT.id,), cores="share")
TWO = Step(stage="quantize", name="two", needs=(EXPORT.id,), cores="share")
TIME = Step(stage="time", name="cell", needs=(ONE.id, TWO.id))
ALL = [EXPORT, ONE, TWO, TIME]


def test_a_step_waits_for_what_it_needs() -> None:
    assert startable(ALL, set(), [], 2) == [EXPORT]
    assert startable(ALL[1:], {EXPORT.id}, [], 2) == [ONE, TWO]
    assert startable([TIME], {EXPORT.id, ONE.id}, [], 2) == []


def test_no_more_steps_run_side_by_side_than_there_are_cores() -> None:
    assert startable([ONE, TWO], {EXPORT.id}, [], 1) == [ONE]
    assert startable([TWO], {EXPORT.id}, [ONE], 1) == []


def test_a_step_of_all_cores_runs_alone() -> None:
    free = Step(stage="time", name="other")
    assert startable([free, ONE], {EXPORT.id}, [], 4) == [free]
    assert startable([ONE], {EXPORT.id}, [free], 4) == []
    assert startable([free], set(), [ONE], 4) == []


def test_independent_steps_really_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=30)

    def do(step: Step) -> None:
        if step.stage == "quantize":
            both.wait()  # neither ends before the other has begun

    run_steps(ALL, do, 2, lambda _: True, lambda: None)


def test_without_memory_for_two_they_run_one_after_the_other() -> None:
    running: list[str] = []
    most = 0

    def do(step: Step) -> None:
        nonlocal most
        running.append(step.id)
        most = max(most, len(running))
        running.remove(step.id)

    run_steps(ALL, do, 2, lambda num_running: num_running == 0, lambda: None)
    assert most == 1


def test_what_a_step_raises_ends_the_rest_early() -> None:
    done, stopped = list[str](), list[bool]()

    def do(step: Step) -> None:
        done.append(step.id)
        if step == ONE:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        run_steps([EXPORT, ONE, TIME], do, 1, lambda _: True, lambda: stopped.append(True))
    assert done == [EXPORT.id, ONE.id]
    assert stopped == [True]


def test_a_step_that_needs_what_can_never_be_done_is_an_error() -> None:
    circle = [
        Step(stage="export", name="a", needs=("export b",)),
        Step(stage="export", name="b", needs=("export a",)),
    ]
    with pytest.raises(ValueError, match="needs what can never be done"):
        run_steps(circle, lambda _: None, 1, lambda _: True, lambda: None)


def test_in_a_sweep_nothing_runs_beside_timing_and_all_files_are_made_before_accuracy() -> None:
    todo = steps(make_plan(config(), QUESTION_ANSWERING), config(), 10)
    by_stage = {stage: [s for s in todo if s.stage == stage] for stage in ("time", "evaluate")}
    assert all(step.cores == "all" for step in by_stage["time"])
    files = {
        step.id for step in todo if step.stage in ("export", "optimize", "calibrate", "quantize")
    }
    assert all(set(step.needs) == files for step in by_stage["evaluate"])
    order = [step.id for step in todo]
    assert all(order.index(need) < order.index(step.id) for step in todo for need in step.needs)


def test_what_takes_longest_is_evaluated_first() -> None:
    todo = steps(make_plan(config(), QUESTION_ANSWERING), config(), 10)
    kinds = [step.kind for step in todo if step.stage == "evaluate"]
    assert [kind.rsplit(" ", 1)[-1] for kind in kinds] == sorted(
        (kind.rsplit(" ", 1)[-1] for kind in kinds),
        key=["static", "pytorch", "float32", "dynamic"].index,
    )
    assert len(set(kinds)) == 4


@pytest.mark.parametrize(
    ("num_threads", "cores", "threads"), [(2, 2, 1), (8, 8, 1), (32, 32, 4), (2, 32, 2), (1, 64, 1)]
)
def test_arms_are_evaluated_side_by_side_with_a_share_of_the_cores_each(
    num_threads: int, cores: int, threads: int
) -> None:
    assert evaluation_threads(num_threads, cores) == threads
