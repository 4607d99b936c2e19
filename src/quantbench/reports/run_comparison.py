"""Runs beside the first of them, on a terminal: what differs, and a table for each other run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quantbench.analysis.find_cell import shape_name
from quantbench.core.frozen import canonical_json
from quantbench.core.printable import printable, shortened
from quantbench.core.run_comparison import (
    CellChange,
    ComparedRun,
    MetricChange,
    PairComparison,
    RowChange,
    RunComparison,
    SpeedChange,
)
from quantbench.core.summary import Latency, Ratio
from quantbench.reports import wording
from quantbench.reports.inert import group_warnings, row_list

# Where nobody looks at a screen, lines are as long as they are.
_WIDE = 10_000
_LONGEST_NAME = 24


def print_comparison(found: RunComparison, stream: TextIO) -> None:
    """Print what is compared, what differs, and a line for each row of the grid."""
    console = _console(stream)
    for pair in found.pairs:
        console.print(f"[bold]{_name(found.first)}[/bold]: {_plain(_what(found.first))}")
        console.print(f"[bold]{_name(pair.other)}[/bold]: {_plain(_what(pair.other))}")
        for item in pair.differences:
            what = item.what.replace("_", " ") if item.kind == "machine" else item.what
            console.print(f"  {_plain(f'{what}: {item.first} → {item.other}')}")
        console.print(_rows(found, pair))
        for line in _notes(found, pair):
            console.print(_plain(line), soft_wrap=True)
        console.print()


def print_shapes(found: RunComparison, stream: TextIO) -> None:
    """Print a line for each row and shape, with the milliseconds of both runs side by side."""
    console = _console(stream)
    for pair in found.pairs:
        names = f"{_name(found.first)}\n{_name(pair.other)}"
        table = Table(title=f"{_name(found.first)} and {_name(pair.other)}, by shape")
        table.add_column("row", justify="right")
        table.add_column("shape")
        table.add_column(f"ms (p50)\n{names}", justify="right", no_wrap=True)
        table.add_column(f"speedup [95 %]\n{names}", justify="right", no_wrap=True)
        table.add_column("change of speedup\n[95 %]", justify="right", no_wrap=True)
        for row in pair.rows:
            for cell in row.speed.cells:
                table.add_row(*map(_plain, (_numbers(row), *_shape(cell))))
        console.print(table)
        why = group_warnings(
            (_number(row), [cell.why_no_change])
            for row in pair.rows
            for cell in row.speed.cells
            if cell.why_no_change is not None
        )
        for reason, rows in why.items():
            console.print(
                _plain(f"No change of speedup ({row_list(_once(rows))}): {reason}."),
                soft_wrap=True,
            )
        console.print()


def _console(stream: TextIO) -> Console:
    return Console(file=stream, highlight=False, width=None if stream.isatty() else _WIDE)


def _rows(found: RunComparison, pair: PairComparison) -> Table:
    names = f"{_name(found.first)}\n{_name(pair.other)}"
    table = Table(title=f"{_name(found.first)} and {_name(pair.other)}", title_justify="left")
    table.add_column("row", justify="right")
    table.add_column(_plain(" / ".join(found.parameters) or "row"), overflow="fold", ratio=1)
    metric = _plain(shortened(found.primary_metric, _LONGEST_NAME))
    table.add_column(f"{metric}\n{names}", justify="right", no_wrap=True)
    table.add_column("drop, points\n[95 %]", justify="right", no_wrap=True)
    table.add_column(f"speedup [95 %]\n{names}", justify="right", no_wrap=True)
    table.add_column("change of\nspeedup [95 %]", justify="right", no_wrap=True)
    if pair.original:
        metrics = _metric(pair.original, found.primary_metric)
        table.add_row("", "the original", *map(_plain, metrics), "", "", end_section=True)
    for row in pair.rows:
        cells = (
            _numbers(row),
            _configuration(row),
            *_metric(row.metrics, found.primary_metric),
            *_speed(row.speed),
        )
        table.add_row(*map(_plain, cells))
    return table


def _notes(found: RunComparison, pair: PairComparison) -> list[str]:
    first, other = found.first.name, pair.other.name
    lines = [f"Drop: {first} minus {other}, on the same samples; above 0, {other} is worse."]
    if pair.yardstick is None:
        lines.append(
            f"Speedups are each over the run's own original, and not divided: "
            f"{pair.why_no_yardstick}."
        )
    else:
        lines.append(
            f"Speedups are over {pair.yardstick}, which is the same in both. Change: the speedup "
            f"in {other} over that in {first}; above 1, the row is faster in {other}."
        )
    problems = group_warnings((_number(row), row.problems) for row in pair.rows)
    lines += [
        f"{row_list(rows)}: {wording.sentence(wording.first_problem(problem))}"
        for problem, rows in problems.items()
    ]
    unpaired = group_warnings(
        (_number(row), [item.why_unpaired])
        for row in pair.rows
        for item in row.metrics
        if item.name == found.primary_metric and item.why_unpaired is not None
    )
    lines += [f"Not paired ({row_list(rows)}): {why}." for why, rows in unpaired.items()]
    if pair.yardstick is not None:
        undivided = group_warnings(
            (_number(row), [row.speed.why_no_change])
            for row in pair.rows
            if row.speed.why_no_change is not None and row.first_row and row.other_row
        )
        lines += [f"Not divided ({row_list(rows)}): {why}." for why, rows in undivided.items()]
    if pair.not_shared:
        shapes = ", ".join(map(shape_name, pair.not_shared))
        lines.append(f"In one of them only, and left out: shapes {shapes}.")
    return lines


def _configuration(row: RowChange) -> str:
    written = " / ".join(map(_written, row.parameters.values())) or "as configured"
    return f"{written}\n(same file)" if row.same_file else written


def _written(value: JsonValue) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _metric(metrics: Sequence[MetricChange], name: str) -> tuple[str, str]:
    """Both values, and the drop between them."""
    found = next((item for item in metrics if item.name == name), None)
    if found is None:
        return wording.NOTHING, wording.NOTHING
    values = f"{wording.number(found.first, 3)}\n{wording.number(found.other, 3)}"
    if found.paired is None:
        return values, "not paired"
    return values, wording.drop(found.paired).replace(" [", "\n[")


def _speed(speed: SpeedChange) -> tuple[str, str]:
    """Both speed-ups, and the change."""
    values = f"{wording.ratio(speed.first)}\n{wording.ratio(speed.other)}"
    change = _change(speed.change, same_measurement=speed.same_measurement)
    if speed.change is not None and speed.num_compared < len(speed.cells):
        shapes = wording.plural(len(speed.cells), "shape")
        change += f"\n(in {speed.num_compared} of {shapes})"
    return values, change


def _shape(cell: CellChange) -> tuple[str, str, str, str]:
    return (
        shape_name(cell.cell),
        f"{_milliseconds(cell.first_latency)}\n{_milliseconds(cell.other_latency)}",
        f"{wording.ratio(cell.first)}\n{wording.ratio(cell.other)}",
        _change(cell.change, same_measurement=cell.same_measurement),
    )


def _milliseconds(latency: Latency | None) -> str:
    """The median; the mean where a published card has no more."""
    if latency is None:
        return wording.NOTHING
    if latency.p50_ms is None:
        return f"{wording.number(latency.mean_ms)} (mean)"
    return wording.number(latency.p50_ms)


def _change(change: Ratio | None, *, same_measurement: bool) -> str:
    if change is not None and same_measurement:
        return "1 (same\nmeasurement)"
    return wording.ratio(change).replace(" [", "\n[")


def _numbers(row: RowChange) -> str:
    """The row's number; both, the first run's above, where they differ."""
    if row.first_row == row.other_row:
        return str(row.first_row)
    return f"{row.first_row or wording.NOTHING}\n{row.other_row or wording.NOTHING}"


def _number(row: RowChange) -> int:
    return row.first_row or row.other_row or 0


def _once(rows: Iterable[int]) -> list[int]:
    return list(dict.fromkeys(rows))


def _what(run: ComparedRun) -> str:
    """Model, data, machine and time of a run."""
    parts = [run.model, run.dataset]
    if run.cpu is not None and run.num_threads is not None:
        parts.append(f"{wording.plural(run.num_threads, 'thread')} on {run.cpu}")
    if run.measured_at is not None:
        parts.append(run.measured_at)
    if not run.measured:
        parts.append("published, means only")
    return ", ".join(parts)


def _name(run: ComparedRun) -> str:
    return _plain(shortened(run.name, _LONGEST_NAME))


def _plain(text: str) -> str:
    """Text from outside: nothing in it is markup or moves the cursor."""
    return escape(printable(text))
