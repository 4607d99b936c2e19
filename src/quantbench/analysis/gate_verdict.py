"""From a value with its interval and a limit to a verdict.

Passed is shown if the whole interval meets the limit, failed if none of it does. With the limit
inside the interval, or without an interval, nothing is shown: undecided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from quantbench.core.gate import Check, Outcome
from quantbench.core.summary import Failure, RowSummary

_GRAVITY: dict[Outcome, int] = {"fail": 0, "undecided": 1, "pass": 2, "skipped": 3}
MEANS_ONLY = "a published card gives means only, so that nothing is shown"
NO_INTERVAL = "there is no interval, so that nothing is shown"


def at_most(asked: Check, value: float, low: float | None, high: float | None) -> Check:
    """The check of a value that must not be above `asked.limit`."""
    if asked.limit is None or low is None or high is None:
        return undecided(asked, NO_INTERVAL, value)
    found = asked.model_copy(update={"value": value, "low": low, "high": high})
    if high <= asked.limit:
        return _decided(found, "pass", "all of its interval is within the limit")
    if low > asked.limit:
        return _decided(found, "fail", "all of its interval is above the limit")
    return _decided(found, "undecided", "the limit is inside its interval")


def at_least(asked: Check, value: float, low: float | None, high: float | None) -> Check:
    """The check of a value that must not be below `asked.limit`."""
    if asked.limit is None or low is None or high is None:
        return undecided(asked, NO_INTERVAL, value)
    found = asked.model_copy(update={"value": value, "low": low, "high": high})
    if low >= asked.limit:
        return _decided(found, "pass", "all of its interval is within the limit")
    if high < asked.limit:
        return _decided(found, "fail", "all of its interval is below the limit")
    return _decided(found, "undecided", "the limit is inside its interval")


def undecided(asked: Check, reason: str, value: float | None = None) -> Check:
    """The check of what cannot be known, or not be relied on."""
    return asked.model_copy(update={"outcome": "undecided", "reason": reason, "value": value})


def missing(asked: Check, failures: Sequence[Failure], otherwise: str) -> Check:
    """The check of a number that is not there.

    A row that cannot be made, evaluated or timed fails. What was not tried yet, and what is missing
    because of a model that the row is compared with, leaves it undecided.

    Args:
        asked: the check.
        failures: those that explain why the number is missing.
        otherwise: why it is, if none does.
    """
    own = [item for item in failures if item.of is None and item.was_tried]
    if own:
        return _decided(asked, "fail", f"it failed ({own[0].stage}): {own[0].error}")
    if failures:
        first = failures[0]
        return undecided(asked, first.error if first.of is None else f"{first.of}: {first.error}")
    return undecided(asked, otherwise)


def refused(asked: Check, row: RowSummary) -> Check:
    """The check of a row that cannot be made at all."""
    return _decided(asked, "fail", f"the row was refused: {row.refused}")


def worst(checks: Sequence[Check], badness: Callable[[float], float]) -> Check:
    """Of one check in several shapes the gravest verdict, and of those the worst value.

    Args:
        checks: at least one.
        badness: larger for a worse value; a check without a value is the worst of its verdict.
    """
    return min(
        checks,
        key=lambda check: (
            _GRAVITY[check.outcome],
            -math.inf if check.value is None else -badness(check.value),
        ),
    )


def _decided(asked: Check, outcome: Outcome, reason: str) -> Check:
    return asked.model_copy(update={"outcome": outcome, "reason": reason})
