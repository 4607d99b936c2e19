"""Why numbers of an arm are not there: its own failures, and those of what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence

from quantbench.analysis.facts import Facts
from quantbench.analysis.names import reference_name
from quantbench.core.plan import ORIGINAL_ID, Cell
from quantbench.core.results import Failed, TimingFailed
from quantbench.core.summary import CellSummary, Failure

_NOT_RUN = "it has not been run"
_RUN_AGAIN = "Run again."


def failures(facts: Facts, arm_id: str) -> tuple[Failure, ...]:
    """The failures of an arm itself; what was not run counts as one."""
    found = facts.own(facts.resolve(arm_id))
    if found is None:
        error = f"{arm_id} has not been run"
        return (Failure(stage="run", error=error, hint=_RUN_AGAIN, was_tried=False),)
    failed = [
        Failure(stage=item.stage, error=item.error, hint=item.hint)
        for item in (found.artifact, found.evaluation)
        if isinstance(item, Failed)
    ]
    failed += [
        Failure(stage=item.stage, error=item.error, hint=item.hint, cell=item.cell)
        for item in found.timings
        if isinstance(item, TimingFailed)
    ]
    if failed:
        return tuple(failed)
    timed = [item.cell for item in found.timings]
    return (
        *([_not_run("evaluate", None)] if found.evaluation is None else []),
        *(_not_run("time", cell) for cell in facts.plan.cells if cell not in timed),
    )


def failures_of_others(
    facts: Facts, arm_id: str, reference_id: str | None, cells: Sequence[CellSummary]
) -> tuple[Failure, ...]:
    """Why an arm that has results of its own has nothing to compare them with.

    Args:
        facts: of the sweep.
        arm_id: the arm.
        reference_id: the reference that it is compared with, besides the original.
        cells: of the arm, with the ratios that could be made.
    """
    if arm_id == ORIGINAL_ID:
        return ()
    found: list[Failure] = []
    if facts.evaluation(arm_id) is not None and facts.evaluation(ORIGINAL_ID) is None:
        found += _failures_of(facts, ORIGINAL_ID, None)
    for cell in cells:
        if cell.optimized is None:
            continue
        if cell.speedup is None:
            found += _failures_of(facts, ORIGINAL_ID, cell.cell)
        if cell.quantization_speedup is None and reference_id is not None:
            found += _failures_of(facts, reference_id, cell.cell)
    return tuple(dict.fromkeys(found))


def _failures_of(facts: Facts, arm_id: str, cell: Cell | None) -> list[Failure]:
    """The failures of an arm that others are compared with: in a cell, or in its evaluation."""
    felt = [
        item
        for item in failures(facts, arm_id)
        if (item.cell == cell if item.cell else cell is None or item.stage != "evaluate")
    ]
    if not felt:
        error = "it was not timed together with this row"
        felt = [Failure(stage="time", error=error, hint=_RUN_AGAIN, cell=cell)]
    name = facts.original_name
    if arm_id != ORIGINAL_ID:
        name = reference_name(facts.original_name, arm_id)
    return [item.model_copy(update={"of": name}) for item in felt]


def _not_run(stage: str, cell: Cell | None) -> Failure:
    return Failure(stage=stage, error=_NOT_RUN, hint=_RUN_AGAIN, cell=cell, was_tried=False)
