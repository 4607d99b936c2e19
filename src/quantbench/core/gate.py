"""The answer of `quantbench gate`: conditions on one row, each with its verdict, in plain data."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from quantbench.core.errors import EXIT_FAILED, EXIT_OK, EXIT_UNDECIDED
from quantbench.core.frozen import Frozen
from quantbench.core.plan import Cell

# What was looked at cannot be relied on, or the limit is inside the interval: undecided. There was
# nothing to look at, since another check failed: skipped.
Outcome = Literal["pass", "fail", "undecided", "skipped"]
Unit = Literal["points", "times", "percent"]

EXIT_CODES = {"pass": EXIT_OK, "fail": EXIT_FAILED, "undecided": EXIT_UNDECIDED}


class Conditions(Frozen):
    """What is asked of a row; None is not asked.

    `max_drop_points` is of the primary metric, against the original. `min_speedup` is over the
    original. `max_slowdown_percent` is how much longer than in an older run it may take, both
    measured against the yardstick that the runs share.
    """

    max_drop_points: float | None = None
    min_speedup: float | None = None
    max_slowdown_percent: float | None = None


class Check(Frozen):
    """One condition and what became of it.

    `low` and `high` are the ends of the interval that decided, `cell` the shape that did. `reason`
    is a clause, without a period.
    """

    name: str
    condition: str
    outcome: Outcome
    reason: str
    unit: Unit | None = None
    limit: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    cell: Cell | None = None


class Gate(Frozen):
    """All checks of one row of one run.

    `row` is None where no row could be chosen. `warnings` are clauses on what the numbers may
    suffer from; they change no verdict.
    """

    run: str
    baseline: str | None
    row: int | None
    trial_id: str | None
    parameters: dict[str, JsonValue]
    checks: tuple[Check, ...]
    warnings: tuple[str, ...] = ()

    @property
    def outcome(self) -> Literal["pass", "fail", "undecided"]:
        """Fail if any check did, else undecided if any is, else pass."""
        outcomes = {check.outcome for check in self.checks}
        if "fail" in outcomes:
            return "fail"
        return "undecided" if "undecided" in outcomes else "pass"
