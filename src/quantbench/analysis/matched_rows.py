"""Which rows of two runs are the same point of the grid."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import JsonValue, TypeAdapter, ValidationError

from quantbench.analysis.named_run import NamedRun
from quantbench.core.config import SWEEPABLE, SweepConfig
from quantbench.core.frozen import canonical_json
from quantbench.core.summary import RowSummary

# For a parameter that a published card does not state: equal to no value.
_NOT_STATED = "not stated"
# What the reader of published cards fills in, and no card states.
_FILLED_IN = "sampling"


@dataclass(frozen=True)
class MatchedRow:
    """A point of the grid with the row that each of two runs has for it; one of them at least."""

    parameters: dict[str, JsonValue]
    rows: tuple[RowSummary | None, RowSummary | None]


def match_rows(first: NamedRun, other: NamedRun) -> tuple[MatchedRow, ...]:
    """Match rows by their trials: the values of all parameters that either run sweeps.

    Where a run does not sweep one of them, the value that its config has for the whole run counts:
    a sweep over two values and another with one of them fixed share the rows with that one. Values
    are the same if the config takes them for the same: 1 and 1.0, and lists in any order. Of rows
    of one run that are the same point, the first is matched with the first of the other, and so on.

    Returns:
        Every point that either run has, in the order of the first run, then of the other.
    """
    names = swept_names(first, other)
    parameters: dict[tuple[str, int], dict[str, JsonValue]] = {}
    rows: list[dict[tuple[str, int], RowSummary]] = []
    for run in (first, other):
        fixed = fixed_parameters(run)
        seen: Counter[str] = Counter()
        found: dict[tuple[str, int], RowSummary] = {}
        for row in run.summary.rows:
            values = {name: row.parameters.get(name, _at(fixed, name)) for name in names}
            point = canonical_json({name: _normal(name, values[name]) for name in names})
            key = point, seen[point]
            seen[point] += 1
            found[key] = row
            parameters.setdefault(key, values)
        rows.append(found)
    return tuple(
        MatchedRow(parameters=values, rows=(rows[0].get(key), rows[1].get(key)))
        for key, values in parameters.items()
    )


def swept_names(first: NamedRun, other: NamedRun) -> tuple[str, ...]:
    """The parameters that either run sweeps, in their order."""
    found = (*first.summary.rows[0].parameters, *other.summary.rows[0].parameters)
    return tuple(dict.fromkeys(found))


def fixed_parameters(run: NamedRun) -> dict[str, Any]:
    """The config without what is swept; of a published card only what it states."""
    is_published = bool(run.result.published)
    return run.result.config.model_dump(
        mode="json",
        exclude={"benchmarked", _FILLED_IN} if is_published else {"benchmarked"},
        exclude_unset=is_published,
    )


def _at(fixed: dict[str, Any], name: str) -> JsonValue:
    """The value of a dotted name."""
    value: Any = fixed
    for part in name.split("."):
        value = value.get(part, _NOT_STATED) if isinstance(value, dict) else _NOT_STATED
    found: JsonValue = value
    return found


def _normal(name: str, value: JsonValue) -> JsonValue:
    """A value as its parameter holds it; one that it does not take is equal to itself alone."""
    if name not in SWEEPABLE:
        return value
    kind = _kind(name)
    try:
        found: JsonValue = kind.dump_python(kind.validate_json(json.dumps(value)), mode="json")
    except ValidationError:
        return value
    return sorted(found, key=canonical_json) if isinstance(found, list) else found


@cache
def _kind(name: str) -> TypeAdapter[Any]:
    """The type of a parameter, given its dotted name."""
    *parents, last = name.split(".")
    model: Any = SweepConfig
    for parent in parents:
        model = model.model_fields[parent].annotation
    return TypeAdapter(model.model_fields[last].rebuild_annotation())
