"""Which rows of a run are meant, in which order, with which columns: what `show` is asked for.

A filter is `COLUMN=VALUE`, or with != < <= > >= or ~ (a list holds an item, a text holds a part).
A column is one of the table `rows`; `NAME@1x128` is one of the table `cells` in that shape. The
start `parameter.` may be left out, `speedup` is the overall one, and a metric's name is its value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import yaml
from pydantic import JsonValue

from quantbench.core.errors import UsageError, nearest_name
from quantbench.core.frozen import canonical_json
from quantbench.core.plan import Cell
from quantbench.core.summary import SweepSummary

_FILTER = re.compile(r"\s*([^=!<>~\s]+)\s*(!=|<=|>=|=|<|>|~)(.*)", re.DOTALL)
_DESCENDING, _ASCENDING = ":desc", ":asc"

Values = Mapping[str, JsonValue]


@dataclass(frozen=True)
class Filter:
    """What a column must be for a row to be shown."""

    column: str
    operator: str
    value: JsonValue


@dataclass(frozen=True)
class Sort:
    """What rows are ordered by; those without a value come last either way."""

    column: str
    descending: bool


@dataclass(frozen=True)
class Query:
    """What is asked for, every column by its full name. Without `columns`, the usual table."""

    columns: tuple[str, ...] = ()
    sorts: tuple[Sort, ...] = ()
    filters: tuple[Filter, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every column that has to be known."""
        found = (*self.columns, *(s.column for s in self.sorts), *(f.column for f in self.filters))
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class Known:
    """The columns that may be named: those of rows, and those of cells in each shape."""

    rows: tuple[str, ...]
    cells: tuple[str, ...]
    shapes: tuple[str, ...]
    short: Mapping[str, str]

    def full_name(self, asked: str, option: str) -> str:
        """A column's full name.

        Raises:
            UsageError: there is no such column; the message lists those that there are.
        """
        name, _, shape = asked.partition("@")
        if shape and name in self.cells and shape in self.shapes:
            return asked
        if not shape and asked in self.rows:
            return asked
        if asked in self.short:
            return self.short[asked]
        if shape and name in self.cells:
            raise UsageError(
                f"{option} {asked!r}: {shape!r} is no shape of this run; "
                f"there are: {', '.join(self.shapes)}"
            )
        names = self.cells if shape else (*self.rows, *self.short)
        near = nearest_name(name, names)
        hints = [f"Did you mean {near}{'@' + shape if shape else ''}?"] if near else []
        if not shape and name in self.cells:
            hints = [f"It differs by shape: {name}@{self.shapes[0]}."]
        raise UsageError(
            f"{option} {asked!r} is no column of this run. Columns: {', '.join(self.rows)}; "
            f"short names: {', '.join(self.short)}; in a shape, as NAME@{self.shapes[0]}: "
            f"{', '.join(self.cells)}",
            hint=" ".join(hints) or None,
        )


def shape_name(cell: Cell) -> str:
    """For example `4x128`; `4` where inputs have no length."""
    return str(cell.batch_size) + ("" if cell.input_length is None else f"x{cell.input_length}")


def known_columns(summary: SweepSummary, rows: Iterable[str], cells: Iterable[str]) -> Known:
    """The columns of a run.

    Args:
        summary: of the run.
        rows: names of the columns that rows have.
        cells: names of those that rows have in a shape.
    """
    short = {name: f"parameter.{name}" for name in summary.rows[0].parameters}
    short |= {name: f"{name}.optimized" for name in summary.metric_names}
    short |= {"speedup": "overall_speedup", "drop": f"{summary.primary_metric}.drop_points"}
    shapes = tuple(map(shape_name, summary.cells))
    return Known(tuple(rows), tuple(cells), shapes, short)


def read_query(
    known: Known, columns: str | None, sorts: Sequence[str], filters: Sequence[str]
) -> Query:
    """What a person asked for.

    Args:
        known: the columns that there are.
        columns: names between commas.
        sorts: columns, the first one first, each with `:desc` behind it if largest come first.
        filters: all of them must hold.

    Raises:
        UsageError: there is no such column, or a filter cannot be read.
    """
    asked = [name.strip() for name in (columns or "").split(",")]
    if columns is not None and not all(asked):
        raise UsageError(
            "--columns needs names between commas", hint="For example: --columns row,speedup."
        )
    return Query(
        columns=tuple(known.full_name(name, "--columns") for name in asked if name),
        sorts=tuple(_sort(known, text) for text in sorts),
        filters=tuple(_filter(known, text) for text in filters),
    )


def select(rows: Iterable[Values], query: Query) -> list[Values]:
    """The rows that pass all filters, in the order that was asked for.

    Args:
        rows: values by column; each has all of `query.names`.
        query: what is asked for.

    Raises:
        UsageError: a filter compares a number with what is none.
    """
    found = [row for row in rows if all(_passes(row[f.column], f) for f in query.filters)]
    for sort in reversed(query.sorts):  # the last first: sorting keeps the order of equals
        has = [row for row in found if row[sort.column] is not None]
        lacks = [row for row in found if row[sort.column] is None]
        has.sort(key=lambda row: _order(row[sort.column]), reverse=sort.descending)
        found = [*has, *lacks]
    return found


def _sort(known: Known, text: str) -> Sort:
    name = text.removesuffix(_DESCENDING).removesuffix(_ASCENDING)
    return Sort(known.full_name(name, "--sort"), text.endswith(_DESCENDING))


def _filter(known: Known, text: str) -> Filter:
    match = _FILTER.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--filter {text!r} is no comparison",
            hint="Give COLUMN=VALUE, or != < <= > >= or ~ (holds) in place of =.",
        )
    name, operator, written = match.groups()
    column = known.full_name(name, "--filter")
    value = _value(written.strip(), text)
    if operator in ("<", "<=", ">", ">=") and not _is_number(value):
        raise UsageError(
            f"--filter {text!r}: {operator} compares numbers, and {written.strip()!r} is none"
        )
    return Filter(column, operator, value)


def _value(written: str, text: str) -> JsonValue:
    """A value as a config has it: true, 4, null, MatMul, [Add, MatMul]."""
    try:
        value = yaml.safe_load(written)
        canonical_json(value)  # dates and sets are no values of a config
    except (yaml.YAMLError, TypeError, ValueError, RecursionError):
        raise UsageError(
            f"--filter {text!r}: the value cannot be read",
            hint="Write it as in a config: true, 4, null, MatMul, [Add, MatMul].",
        ) from None
    found: JsonValue = value
    return found


def _passes(value: JsonValue, asked: Filter) -> bool:
    match asked.operator:
        case "=":
            return _same(value, asked.value)
        case "!=":
            return not _same(value, asked.value)
        case "~":
            return _holds(value, asked.value)
    if value is None:
        return False
    if not _is_number(value):
        raise UsageError(
            f"--filter: {asked.column} is no number ({canonical_json(value)}), so it cannot be "
            f"compared by {asked.operator}",
            hint="= != and ~ compare anything.",
        )
    left, right = float(str(value)), float(str(asked.value))
    return {
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[asked.operator]


def _same(value: JsonValue, asked: JsonValue) -> bool:
    """Equal as JSON has it: true is not 1, but 1 is 1.0. A number may have been meant as text."""
    if _is_number(value) and _is_number(asked):
        return value == asked
    if isinstance(value, str) and not isinstance(asked, str):
        return False if asked is None else value == str(asked)
    return canonical_json(value) == canonical_json(asked)


def _holds(value: JsonValue, asked: JsonValue) -> bool:
    if isinstance(value, list):
        return any(_same(item, asked) for item in value)
    return isinstance(value, str) and str(asked).lower() in value.lower()


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _order(value: JsonValue) -> tuple[int, float, str]:
    """Truths, then numbers, then text, then lists, item by item, and the rest."""
    if isinstance(value, bool):
        return (0, float(value), "")
    if isinstance(value, int | float):
        return (1, float(value), "")
    if isinstance(value, list):
        return (3, 0.0, "\0".join(map(canonical_json, value)))
    return (2, 0.0, value) if isinstance(value, str) else (4, 0.0, canonical_json(value))
