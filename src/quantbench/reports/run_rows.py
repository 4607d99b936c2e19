"""The rows of a run that were asked for: the usual table, chosen columns, or JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from typing import TextIO

from pydantic import JsonValue
from rich.console import Console
from rich.table import Table

from quantbench.analysis.row_query import Known, Query, known_columns, shape_name
from quantbench.core.summary import RowSummary, SweepSummary
from quantbench.reports.table_files import Line
from quantbench.reports.tables import cell_line, row_line, spec_of
from quantbench.reports.terminal import plain
from quantbench.reports.wording import NOTHING

# Longer text is whole in the JSON.
_LONGEST_TEXT = 300
# Where nobody looks at a screen, lines are as long as they are.
_WIDE = 10_000


def columns_of(summary: SweepSummary) -> Known:
    """The columns that may be asked for."""
    rows = tuple(column.name for column in spec_of("rows", summary).columns)
    cells = tuple(column.name for column in spec_of("cells", summary).columns[len(rows) :])
    return known_columns(summary, rows, cells)


def row_values(summary: SweepSummary, query: Query) -> list[Line]:
    """Every row with its columns, and with those of its shapes that are asked for."""
    in_shapes = [name for name in query.names if "@" in name]
    return [row_line(row, summary) | _in_shapes(row, summary, in_shapes) for row in summary.rows]


def _in_shapes(row: RowSummary, summary: SweepSummary, names: Sequence[str]) -> Line:
    cells = {shape_name(cell.cell): cell for cell in row.arm.cells} if names and row.arm else {}
    lines: dict[str, Line] = {}
    found: Line = {}
    for asked in names:
        name, shape = asked.split("@")
        if shape not in lines:
            lines[shape] = cell_line(cells.get(shape), summary)
        found[asked] = lines[shape][name]
    return found


def print_columns(
    names: Sequence[str], rows: Sequence[Mapping[str, JsonValue]], stream: TextIO
) -> None:
    """Print chosen columns as a table: as wide as the terminal, or as the text where there is none.

    Args:
        names: full names of the columns, in their order.
        rows: values by column.
        stream: where to print.
    """
    width = shutil.get_terminal_size().columns if stream.isatty() else _WIDE
    console = Console(file=stream, highlight=False, width=width)
    table = Table()
    for name in names:
        numbers = all(isinstance(row[name], int | float | None) for row in rows)
        table.add_column(plain(name), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(plain(_written(row[name])) for name in names))
    console.print(table)


def _written(value: JsonValue) -> str:
    match value:
        case None:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case str():
            return value if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]}…"
        case list() if all(isinstance(item, str) for item in value):
            return ", ".join(map(str, value)) or "none"
        case _:
            return json.dumps(value)
