"""The conditions of a gate that are about speed, in one shape or in the worst of several."""

from __future__ import annotations

from collections.abc import Sequence

from quantbench.analysis.gate_verdict import (
    MEANS_ONLY,
    at_least,
    at_most,
    missing,
    undecided,
    worst,
)
from quantbench.analysis.matched_rows import match_rows
from quantbench.analysis.named_run import NamedRun, row_problems
from quantbench.analysis.speed_changes import speed_change, yardstick
from quantbench.core.gate import Check
from quantbench.core.plan import Cell
from quantbench.core.run_comparison import CellChange
from quantbench.core.summary import CellSummary, Failure, RowSummary

_INVALID = (
    "the timing session of {} is not valid: two copies of one file measured as different; run it "
    "again"
)
_LONGER = "; a larger time_benchmark_args.duration narrows it"


def speedup_check(run: NamedRun, row: RowSummary, cells: Sequence[Cell], asked: Check) -> Check:
    """Whether a row is as many times faster than the original as asked, in every one of the cells.

    Args:
        run: the run.
        row: one of its rows that was not refused.
        cells: in which to look.
        asked: the check, with its limit.
    """
    found = {cell.cell: cell for cell in (row.arm.cells if row.arm else ())}
    checks = [_speedup_in(run, row, found[cell], asked) for cell in cells if cell in found]
    if not checks:
        return undecided(asked, "it was timed in none of the shapes")
    return worst(checks, badness=lambda speedup: -speedup)


def _speedup_in(run: NamedRun, row: RowSummary, found: CellSummary, asked: Check) -> Check:
    here = asked.model_copy(update={"cell": found.cell})
    if found.speedup is None:
        return missing(here, _of_cell(row, found.cell), found.missing or "it was not timed")
    value = found.speedup
    if run.facts is None:
        return undecided(here, MEANS_ONLY, value.value)
    if run.is_invalid(found.cell, row):
        return undecided(here, _INVALID.format(run.name), value.value)
    return _with_advice(at_least(here, value.value, value.low, value.high))


def slowdown_check(
    baseline: NamedRun, run: NamedRun, row: RowSummary, cells: Sequence[Cell], asked: Check
) -> Check:
    """Whether a row takes at most so much longer than in an older run, in every one of the cells.

    Shapes that the older run lacks are left out, if it has any of the others.

    Args:
        baseline: the older run, of the same task.
        run: the run.
        row: one of its rows that was not refused.
        cells: in which to look.
        asked: the check, with its limit in percent.
    """
    old = next((m.rows[0] for m in match_rows(baseline, run) if m.rows[1] is row), None)
    if old is None or old.refused is not None:
        return undecided(asked, f"in {baseline.name}: {row_problems(old)[0]}")
    change = speed_change(baseline, run, (old, row), yardstick(baseline, run, [(old, row)]))
    found = {cell.cell: cell for cell in change.cells}
    checks = [_slowdown_in(row, found[cell], asked) for cell in cells if cell in found]
    if not checks:
        return undecided(asked, f"{baseline.name} was timed in none of the shapes")
    return worst(checks, badness=lambda percent: percent)


def _slowdown_in(row: RowSummary, found: CellChange, asked: Check) -> Check:
    here = asked.model_copy(update={"cell": found.cell})
    if found.other_latency is None:
        return missing(here, _of_cell(row, found.cell), "it was not timed")
    change = found.change
    if change is None:
        return undecided(here, found.why_no_change or "the runs cannot be compared")
    if found.same_measurement:
        same = at_most(here, 0.0, 0.0, 0.0)
        return same.model_copy(update={"reason": "both runs hold the same measurement"})
    # Twice the speed-up takes half the time.
    low, high = (
        None if bound is None else _percent_longer(bound) for bound in (change.high, change.low)
    )
    return _with_advice(at_most(here, _percent_longer(change.value), low, high))


def _percent_longer(change: float) -> float:
    return 100 * (1 / change - 1)


def _with_advice(check: Check) -> Check:
    """How to decide what is open only because times are not known well enough."""
    if check.outcome != "undecided":
        return check
    return check.model_copy(update={"reason": check.reason + _LONGER})


def _of_cell(row: RowSummary, cell: Cell) -> list[Failure]:
    """The failures that explain why a row has no speed in a cell; its own first."""
    found = [
        item
        for item in (row.arm.failures if row.arm else ())
        if item.cell == cell or (item.cell is None and item.stage != "evaluate")
    ]
    return sorted(found, key=lambda item: item.of is not None)
