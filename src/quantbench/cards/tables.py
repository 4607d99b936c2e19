"""The tables of a published card: rows are told apart by the number of columns, not by lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from quantbench.cards.literals import LONGEST_VALUE, literal_value
from quantbench.cards.scan import Scanner
from quantbench.core.frozen import canonical_json
from quantbench.core.printable import shortened

TIME_COLUMNS = (
    "",
    "latency_mean (original, ms)",
    "latency_mean (optimized, ms)",
    "",
    "throughput (original, /s)",
    "throughput (optimized, /s)",
)
SEPARATOR = r"\|"

_RULE = re.compile(r":-+:")
_METRIC = re.compile(r"(\S+) \((original|optimized)\)")
_THREE_DECIMALS = re.compile(r"-?[0-9]{1,12}\.[0-9]{3}")
_TWO_DECIMALS = re.compile(r"[0-9]{1,12}\.[0-9]{2}")
# No table of a card has as many; a text full of bars is read no further.
_MOST_COLUMNS = 200

Parameters = dict[str, JsonValue]


@dataclass(frozen=True)
class TableRow:
    """The numbers of a row by column, in their order; `offset` is where it begins in the text."""

    key: str
    parameters: Parameters
    numbers: tuple[float, ...]
    offset: int


class Grid:
    """The swept parameters, and their values by how they are written in cells."""

    def __init__(self, benchmarked: dict[str, list[JsonValue]]) -> None:
        self.names = tuple(benchmarked)
        self._values = {
            name: {canonical_json(value): value for value in values}
            for name, values in benchmarked.items()
        }
        self._read: dict[tuple[str, str], tuple[str, JsonValue]] = {}

    def value(self, scanner: Scanner, name: str, cell: tuple[int, str]) -> tuple[str, JsonValue]:
        """The value that a cell names, and its key. Raises UsageError if it is none of the grid."""
        offset, written = cell
        if (name, written) not in self._read:
            found = self._lookup(name, written)
            if found is None:
                message = f"{shortened(written)!r} is no value of `{name}` in the header"
                scanner.fail(message, offset)
            self._read[name, written] = found
        return self._read[name, written]

    def _lookup(self, name: str, written: str) -> tuple[str, JsonValue] | None:
        fence = re.match(r"`+", written)
        if fence is None or len(written) > 2 * LONGEST_VALUE:
            return None
        ticks = len(fence[0])
        content = written[ticks:-ticks].strip().replace(SEPARATOR, "|")
        key = canonical_json(literal_value(content))
        return (key, self._values[name][key]) if key in self._values[name] else None


def read_accuracy(scanner: Scanner, grid: Grid) -> tuple[tuple[str, ...], list[TableRow]]:
    """Take the table of metrics.

    Returns:
        The metrics, and the rows: original and optimized value of each metric.

    Raises:
        UsageError: with the place of what is not as in a published card.
    """
    start = scanner.skip()
    head = _head(scanner)
    metrics = _metrics(scanner, grid, head, start)
    return metrics, _rows(scanner, grid, head, _THREE_DECIMALS, "non-time metrics")


def read_times(scanner: Scanner, grid: Grid, name: str) -> list[TableRow]:
    """Take the table of times of a cell, which is called `name`: four numbers a row.

    Raises:
        UsageError: with the place of what is not as in a published card.
    """
    start = scanner.skip()
    head = _head(scanner)
    wanted = (*grid.names, *TIME_COLUMNS)
    if head != wanted:
        _fail_head(scanner, head, wanted, start)
    return _rows(scanner, grid, head, _TWO_DECIMALS, name)


def _head(scanner: Scanner) -> tuple[str, ...]:
    """The names of the columns; takes the line below them too."""
    start = scanner.skip()
    scanner.take("|")
    head: list[str] = []
    while True:
        cell = scanner.cell()
        if cell is None or len(head) > _MOST_COLUMNS:
            scanner.fail("this table has no line `| :---: | …` below its head", start)
        if _RULE.fullmatch(cell[1]):
            break
        head.append(cell[1])
    # Between the last bar of the head and the first of the line below it is white space.
    if len(head) < 2 or head.pop():
        scanner.fail("this table has no line `| :---: | …` of its own below its head", start)
    for _ in head[1:]:
        cell = scanner.cell()
        if cell is None or not _RULE.fullmatch(cell[1]):
            message = f"the line below this head needs {len(head)} cells `:---:`"
            scanner.fail(message, start)
    return tuple(head)


def _metrics(scanner: Scanner, grid: Grid, head: tuple[str, ...], start: int) -> tuple[str, ...]:
    found = [_METRIC.fullmatch(name) for name in head[len(grid.names) + 2 :: 3]]
    metrics = [match[1] for match in found if match]
    wanted = list(grid.names)
    for name in metrics:
        wanted += ["", f"{name} (original)", f"{name} (optimized)"]
    if not metrics or list(head) != wanted:
        _fail_head(scanner, head, wanted, start)
    if len(set(metrics)) < len(metrics):
        scanner.fail("a metric is there twice", start)
    return tuple(metrics)


def _fail_head(scanner: Scanner, head: Sequence[str], wanted: Sequence[str], start: int) -> None:
    listing = shortened(" | ".join(head), 400)
    hint = shortened(f"Expected: | {' | '.join(wanted)} |", 400)
    scanner.fail(f"these columns are not those of a published card: | {listing} |", start, hint)


def _rows(
    scanner: Scanner, grid: Grid, head: Sequence[str], number: re.Pattern[str], table: str
) -> list[TableRow]:
    rows: list[TableRow] = []
    seen: set[str] = set()
    while scanner.has("|"):
        start = scanner.skip()
        scanner.take("|")
        cells = [scanner.cell() for _ in head]
        given = [cell for cell in cells if cell is not None]
        where = f"{table}, row {len(rows) + 1}"
        if len(given) < len(head):
            message = f"{where}: the card ends after {len(given)} of {len(head)} cells"
            scanner.fail(message, start, "Is the file cut off?")
        row = _row(scanner, grid, given, number, where, start)
        if row.key in seen:
            scanner.fail(f"{where}: the same parameters as in a row above", start)
        seen.add(row.key)
        rows.append(row)
    if not rows:
        scanner.fail_expected(f"a row of the table ({table})")
    return rows


def _row(
    scanner: Scanner,
    grid: Grid,
    cells: list[tuple[int, str]],
    number: re.Pattern[str],
    where: str,
    start: int,
) -> TableRow:
    parameters: Parameters = {}
    keys: list[str] = []
    for name, cell in zip(grid.names, cells, strict=False):
        key, parameters[name] = grid.value(scanner, name, cell)
        keys.append(key)
    numbers: list[float] = []
    for place, (offset, written) in enumerate(cells[len(grid.names) :]):
        if place % 3 == 0:
            if written != SEPARATOR:
                scanner.fail(f"{where}: expected the cell `{SEPARATOR}` that separates", offset)
        elif number.fullmatch(written) is None:
            digits = "three" if number is _THREE_DECIMALS else "two"
            shown = repr(shortened(written))
            scanner.fail(f"{where}: {shown} is no number with {digits} decimals", offset)
        else:
            numbers.append(float(written))
    return TableRow("\n".join(keys), parameters, tuple(numbers), start)
