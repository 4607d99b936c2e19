"""Running the steps of a sweep: each after what it needs, side by side where cores allow it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from quantbench.core.steps import Step


def run_steps(
    steps: Sequence[Step],
    do: Callable[[Step], None],
    side_by_side: int,
    fits: Callable[[int], bool],
    stop: Callable[[], None],
) -> None:
    """Do all steps. One that raises, or an interrupt, ends the whole.

    Args:
        steps: in an order in which each comes after those that it needs.
        do: does one step; called from several threads.
        side_by_side: how many steps that do not need all cores may run at once.
        fits: whether the memory that is free allows one step more, while so many are running.
        stop: ends the steps that are running early.

    Raises:
        ValueError: a step needs one that can never be done.
    """
    waiting = list(steps)
    known = {step.id for step in steps}
    done = {need for step in steps for need in step.needs} - known
    running: dict[Future[None], Step] = {}
    with ThreadPoolExecutor(max_workers=side_by_side) as pool:
        try:
            while waiting or running:
                for step in startable(waiting, done, list(running.values()), side_by_side):
                    if running and not fits(len(running)):
                        break
                    waiting.remove(step)
                    running[pool.submit(do, step)] = step
                if not running:
                    raise ValueError(f"{waiting[0].id} needs what can never be done")
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    done.add(running.pop(future).id)
                    future.result()
        except BaseException:
            stop()
            raise


def startable(
    waiting: Sequence[Step], done: Collection[str], running: Sequence[Step], side_by_side: int
) -> list[Step]:
    """The steps that may begin now, in their order.

    Args:
        waiting: steps that have not begun.
        done: ids of those that are over.
        running: those that have begun and are not over.
        side_by_side: how many steps that do not need all cores may run at once.
    """
    if any(step.cores == "all" for step in running):
        return []
    found: list[Step] = []
    for step in waiting:
        if not all(need in done for need in step.needs):
            continue
        if step.cores == "all":
            if not running and not found:
                return [step]
            continue
        if len(running) + len(found) < side_by_side:
            found.append(step)
    return found
