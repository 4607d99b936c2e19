"""Which rows of several runs are the same point of the grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from quantbench.analysis.named_run import NamedRun
from quantbench.core.frozen import canonical_json
from quantbench.core.summary import RowSummary

# For a parameter that a published card does not state: equal to no value.
_NOT_STATED = "not stated"


@dataclass(frozen=True)
class MatchedRow:
    """A point of the grid with the row that each run has for it, in the order of the runs."""

    parameters: dict[str, JsonValue]
    rows: tuple[RowSummary | None, ...]


def match_rows(runs: Sequence[NamedRun]) -> tuple[MatchedRow, ...]:
    """Match rows by their trials: the values of all parameters that any of the runs sweeps.

    Where a run does not sweep one of them, the value that its config has for the whole run counts:
    a sweep over two values and another with one of them fixed share the rows with that one.

    Returns:
        Every point that any run has, in the order of the first run, then of the others.
    """
    names = swept_names(runs)
    found: dict[str, dict[int, tuple[dict[str, JsonValue], RowSummary]]] = {}
    for place, run in enumerate(runs):
        fixed = fixed_parameters(run)
        for row in run.summary.rows:
            values = {name: row.parameters.get(name, _at(fixed, name)) for name in names}
            found.setdefault(canonical_json(values), {}).setdefault(place, (values, row))
    return tuple(
        MatchedRow(
            parameters=next(iter(by_run.values()))[0],
            rows=tuple(by_run[n][1] if n in by_run else None for n in range(len(runs))),
        )
        for by_run in found.values()
    )


def swept_names(runs: Sequence[NamedRun]) -> tuple[str, ...]:
    """The parameters that any of the runs sweeps, in their order."""
    found: dict[str, None] = {}
    for run in runs:
        found |= dict.fromkeys(run.summary.rows[0].parameters)
    return tuple(found)


def fixed_parameters(run: NamedRun) -> dict[str, Any]:
    """The config without what is swept; of a published card only what it states."""
    stated_only = bool(run.result.published)
    return run.result.config.model_dump(
        mode="json", exclude={"benchmarked"}, exclude_unset=stated_only
    )


def _at(fixed: dict[str, Any], name: str) -> JsonValue:
    """The value of a dotted name."""
    value: Any = fixed
    for part in name.split("."):
        value = value.get(part, _NOT_STATED) if isinstance(value, dict) else _NOT_STATED
    found: JsonValue = value
    return found
