"""Runs beside the first of them, on a terminal: what differs, and a table for each other run."""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterable, Iterator, Sequence
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
_FIRST = "A"


def print_comparison(found: RunComparison, stream: TextIO) -> None:
    """Print what is compared, what differs, and a line for each row of the grid.

    The first run is called A, the others B, C and so on.
    """
    console = _console(stream)
    for letter, pair in zip(_letters(), found.pairs, strict=False):
        console.print(f"[bold]{_FIRST}[/bold]: {_plain(_what(found.first))}", soft_wrap=True)
        console.print(f"[bold]{letter}[/bold]: {_plain(_what(pair.other))}", soft_wrap=True)
        for item in pair.differences:
            said = f"{item.what}: {item.first} → {item.other}"
            console.print(f"   {_plain(said)}", soft_wrap=True)
        console.print(_rows(found, pair, letter))
        for line in _notes(found, pair, letter):
            console.print(_plain(line), soft_wrap=True)
        console.print()


def print_shapes(found: RunComparison, stream: TextIO) -> None:
    """Print a line for each row and shape, with the milliseconds of both runs side by side."""
    console = _console(stream)
    for letter, pair in zip(_letters(), found.pairs, strict=False):
        table = Table(title=f"{_FIRST} and {letter}, by shape", title_justify="left")
        table.add_column("row", justify="right")
        table.add_column("shape")
        table.add_column(f"ms (p50)\n{_FIRST}\n{letter}", justify="right", no_wrap=True)
        table.add_column(f"speedup [95 %]\n{_FIRST}\n{letter}", justify="right", no_wrap=True)
        table.add_column("change of\nspeedup\n[95 %]", justify="right", no_wrap=True)
        for row in pair.rows:
            for cell in row.speed.cells:
                table.add_row(*map(_plain, (_numbers(row), *_shape(cell))))
        console.print(table)
        noted = (
            (row, [cell.why_no_change])
            for row in pair.rows
            for cell in row.speed.cells
            if cell.why_no_change is not None
        )
        for line in _grouped("no change of speedup: ", noted):
            console.print(_plain(line), soft_wrap=True)
        console.print()


def _letters() -> Iterator[str]:
    """What the runs beside the first are called."""
    yield from string.ascii_uppercase[1:]
    yield from (f"run {number}" for number in itertools.count(len(string.ascii_uppercase) + 1))


def _console(stream: TextIO) -> Console:
    return Console(file=stream, highlight=False, width=None if stream.isatty() else _WIDE)


def _rows(found: RunComparison, pair: PairComparison, letter: str) -> Table:
    names = f"{_FIRST}\n{letter}"
    title = f"{found.first.name} ({_FIRST}) and {pair.other.name} ({letter})"
    table = Table(title=_plain(title), title_justify="left")
    table.add_column("row", justify="right")
    table.add_column(_plain(" / ".join(pair.parameters) or "row"), overflow="fold", ratio=1)
    metric = _plain(shortened(found.primary_metric, _LONGEST_NAME))
    table.add_column(f"{metric}\n{names}", justify="right", no_wrap=True)
    table.add_column("drop, points\n[95 %]", justify="right", no_wrap=True)
    is_divided = pair.yardstick is not None
    # Where there is a change, its interval is what counts: both do not fit a narrow screen.
    table.add_column(
        f"speedup\n{names}" if is_divided else f"speedup [95 %]\n{names}",
        justify="right",
        no_wrap=True,
    )
    if is_divided:
        table.add_column("change of\nspeedup\n[95 %]", justify="right", no_wrap=True)
    if pair.original:
        metrics = _metric(pair.original, found.primary_metric)
        table.add_row("", "the original", *map(_plain, metrics), end_section=True)
    for row in pair.rows:
        cells = (
            _numbers(row),
            _configuration(row),
            *_metric(row.metrics, found.primary_metric),
            *(_divided(row.speed) if is_divided else _undivided(row.speed)),
        )
        table.add_row(*map(_plain, cells))
    return table


def _notes(found: RunComparison, pair: PairComparison, letter: str) -> list[str]:
    lines = [f"Drop: {_FIRST} minus {letter}, on the same samples; above 0, {letter} is worse."]
    if pair.yardstick is None:
        lines.append(
            "Speedups are each over the run's own original, and not divided: "
            f"{pair.why_no_yardstick}."
        )
    else:
        lines.append(
            f"Speedups are over {pair.yardstick}, which is the same in both. Change: the speedup "
            f"in {letter} over that in {_FIRST}; above 1, the row is faster in {letter}."
        )
    lines += [f"Warning: {wording.sentence(text)}" for text in pair.warnings]
    lines += _grouped("", ((row, _problems(row, letter)) for row in pair.rows))
    lines += _grouped("not paired: ", ((row, _unpaired(row, found)) for row in pair.rows))
    if pair.yardstick is not None:
        lines += _grouped(
            "no change of speedup: ",
            (
                (row, [row.speed.why_no_change])
                for row in pair.rows
                if row.speed.why_no_change is not None
                and row.speed.first is not None
                and row.speed.other is not None
            ),
        )
    if pair.not_shared:
        shapes = ", ".join(map(shape_name, pair.not_shared))
        lines.append(f"In one of them only, and left out: shapes {shapes}.")
    return lines


def _grouped(head: str, noted: Iterable[tuple[RowChange, Sequence[str]]]) -> list[str]:
    """One line for all rows of which the same is to be said."""
    found = group_warnings((_number(row), texts) for row, texts in noted)
    return [
        f"{row_list(_once(rows))}: {head}{wording.sentence(wording.first_problem(text))}"
        for text, rows in found.items()
    ]


def _problems(row: RowChange, letter: str) -> list[str]:
    """What became of a row in either run, or in both."""
    if row.first_problems == row.other_problems:
        return [f"in both, {text}" for text in row.first_problems]
    return [
        *(f"in {_FIRST}, {text}" for text in row.first_problems),
        *(f"in {letter}, {text}" for text in row.other_problems),
    ]


def _unpaired(row: RowChange, found: RunComparison) -> list[str]:
    """Why a row's values are only side by side; nothing where one of them is missing."""
    return [
        item.why_unpaired
        for item in row.metrics
        if item.name == found.primary_metric and item.why_unpaired is not None
        if item.first is not None and item.other is not None
    ]


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
        is_there = found.first is not None and found.other is not None
        return values, "not paired" if is_there else wording.NOTHING
    return values, wording.drop(found.paired).replace(" [", "\n[")


def _undivided(speed: SpeedChange) -> tuple[str]:
    """Both speed-ups with their intervals."""
    return (f"{wording.ratio(speed.first)}\n{wording.ratio(speed.other)}",)


def _divided(speed: SpeedChange) -> tuple[str, str]:
    """Both speed-ups, and the change with its interval."""
    values = "\n".join(
        wording.number(None if ratio is None else ratio.value)
        for ratio in (speed.first, speed.other)
    )
    change = _change(speed.change, same_measurement=speed.same_measurement)
    if speed.change is not None and speed.num_compared < len(speed.cells):
        change += f"\n(in {speed.num_compared} of {len(speed.cells)}\nshapes)"
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
    """Name, model, data, machine and time of a run."""
    parts = [f"{run.name}: {run.model}", run.dataset]
    if run.cpu is not None and run.num_threads is not None:
        parts.append(f"{wording.plural(run.num_threads, 'thread')} on {run.cpu}")
    if run.measured_at is not None:
        parts.append(run.measured_at)
    if not run.measured:
        parts.append("published, means only")
    return ", ".join(parts)


def _plain(text: str) -> str:
    """Text from outside: nothing in it is markup or moves the cursor."""
    return escape(printable(text))
