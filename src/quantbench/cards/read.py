"""A published card read back into results: every number, and what the header says."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import ConfigDict

from quantbench.cards.front_matter import FrontMatter, read_front_matter
from quantbench.cards.header import Header, read_header
from quantbench.cards.scan import Place, Scanner, place
from quantbench.cards.tables import Grid, TableRow, read_accuracy, read_times
from quantbench.core.config import SweepConfig
from quantbench.core.config_file import check_config
from quantbench.core.errors import ConfigError
from quantbench.core.frozen import Frozen
from quantbench.core.plan import Cell
from quantbench.core.printable import UNPRINTABLE
from quantbench.core.results import PublishedRow, PublishedTiming, SweepResult
from quantbench.core.specs import BackendSpec, Catalog

# Names of places, beside those of rows.
SAMPLES = "number of evaluation samples"
DURATION = "time metrics"

_DURATION = re.compile(
    r"Time\s+benchmarks\s+were\s+run\s+for\s+(\S{1,40})\s+seconds\s+per\s+config\."
)
_CELL = re.compile(
    r"Below,\s+time\s+metrics\s+for\s+batch\s+size\s+=\s+([0-9]{1,10}),"
    r"\s+input\s+length\s+=\s+([0-9]{1,10})\."
)
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?(e[+-]?[0-9]{1,2})?")


class _AnyArgs(Frozen):
    """Arguments of the backend of whoever wrote the card."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)


@dataclass(frozen=True)
class PublishedCard:
    """A card as it was published: its results, and where in its text they stand.

    `offsets` are by the names of `accuracy_place` and `time_place`, and `SAMPLES` and `DURATION`.
    """

    result: SweepResult
    text: str
    offsets: Mapping[str, int]

    def place(self, name: str) -> Place | None:
        """Where a row or a header line begins; None for what has no place of its own."""
        return place(self.text, self.offsets[name]) if name in self.offsets else None


def accuracy_place(row: int) -> str:
    """What the place of a row of the table of metrics is called."""
    return f"non-time metrics, row {row}"


def time_place(cell: Cell, row: int) -> str:
    """What the place of a row in the table of times of a cell is called."""
    return f"{cell.name}, row {row}"


def read_card(text: str, source: str, catalog: Catalog) -> PublishedCard:
    """Read a published card of this family.

    Args:
        text: the card, as Markdown or with its white space collapsed.
        source: what the text is called in messages, its file for example.
        catalog: the tasks and frameworks that exist. The backend may be any.

    Returns:
        Results with `published` rows, numbered in the order of the table of metrics. The config
        holds what the header says, and the cells of the tables.

    Raises:
        UsageError: it is no such card, or damaged or cut off. The message has line and column.
    """
    scanner = Scanner(text, source)
    odd = UNPRINTABLE.search(text.replace("\r\n", " \n"))
    if odd is not None:
        scanner.fail(f"the character {odd[0]!r} is not allowed in a card", odd.start())
    front = read_front_matter(scanner)
    header = read_header(scanner)
    scanner.take("# Evaluation")
    scanner.take("## Non-time metrics")
    grid = Grid(header.data["benchmarked"])
    start = scanner.skip()
    metrics, accuracy = read_accuracy(scanner, grid)
    _check_front(scanner, front, header, metrics)
    scanner.take("## Time metrics")
    duration, offsets = _duration(scanner)
    times = _times(scanner, grid)
    offsets[SAMPLES] = header.offsets["max_eval_samples"]
    config = _config(scanner, header, metrics, duration, list(times), catalog, start)
    _check_grid(scanner, config, accuracy, times, start)
    for number, row in enumerate(accuracy, 1):
        offsets[accuracy_place(number)] = row.offset
        for cell, table in times.items():
            offsets[time_place(cell, number)] = table[row.key].offset
    result = SweepResult(
        config=config,
        published=tuple(
            _published(number, row, metrics, times) for number, row in enumerate(accuracy, 1)
        ),
        model_type=front.tags[0] if front.tags else None,
    )
    return PublishedCard(result, text, offsets)


def _check_front(
    scanner: Scanner, front: FrontMatter, header: Header, metrics: Sequence[str]
) -> None:
    """The front matter says nothing that the rest of the card does not."""
    dataset = header.data.get("dataset", {})
    for key, above, below in (
        ("pipeline_tag", [front.pipeline_tag], [header.data["task"]]),
        ("datasets", list(front.datasets), [dataset.get("path")]),
        ("metrics", list(front.metrics), list(metrics)),
    ):
        if above != below:
            message = f"`{key}` is {above} here, but {below} in the card below"
            scanner.fail(message, front.offsets[key])


def _duration(scanner: Scanner) -> tuple[float, dict[str, int]]:
    start = scanner.skip()
    found = scanner.match(_DURATION)
    if found is None or _SECONDS.fullmatch(found[1]) is None:
        scanner.at = start
        scanner.fail_expected("`Time benchmarks were run for N seconds per config.`")
    return float(found[1]), {DURATION: start}


def _times(scanner: Scanner, grid: Grid) -> dict[Cell, dict[str, TableRow]]:
    """The tables of times, and the end of the card behind them."""
    tables: dict[Cell, dict[str, TableRow]] = {}
    while not (scanner.is_at_end() and tables):
        start = scanner.skip()
        found = scanner.match(_CELL)
        if found is None:
            scanner.fail_expected(
                "`Below, time metrics for batch size = B, input length = L.`"
                + (", or the end of the card" if tables else "")
            )
        cell = Cell(batch_size=int(found[1]), input_length=int(found[2]))
        if cell in tables:
            scanner.fail(f"the table of {cell.name} is there twice", start)
        rows = read_times(scanner, grid, cell.name)
        tables[cell] = {row.key: row for row in rows}
        for row in rows:
            if min(row.numbers[:2]) == 0:
                scanner.fail("a latency of 0.00 ms: nothing follows from it", row.offset)
    return tables


def _check_grid(
    scanner: Scanner,
    config: SweepConfig,
    accuracy: Sequence[TableRow],
    times: Mapping[Cell, Mapping[str, TableRow]],
    start: int,
) -> None:
    """Every row of the grid is in every table, and there is a table for every cell."""
    rows = math.prod(len(values) for values in config.benchmarked.values())
    hint = "Is the file cut off, or damaged?"
    if len(accuracy) != rows:
        message = f"this table has {len(accuracy):,} rows, the benchmarked parameters make {rows:,}"
        scanner.fail(message, start, hint)
    keys = {row.key for row in accuracy}
    for cell, table in times.items():
        if set(table) != keys:
            first = next(iter(table.values())).offset
            message = f"the table of {cell.name} has {len(table):,} of {rows:,} rows"
            scanner.fail(message, first, hint)
    pairs = itertools.product(config.batch_sizes, config.input_lengths)
    for batch_size, length in pairs:
        cell = Cell(batch_size=batch_size, input_length=length)
        if cell not in times:
            scanner.fail(f"there is no table of {cell.name}", len(scanner.text), hint)


def _config(
    scanner: Scanner,
    header: Header,
    metrics: Sequence[str],
    duration: float,
    cells: Sequence[Cell],
    catalog: Catalog,
    start: int,
) -> SweepConfig:
    """What the header and the tables say, checked as any config is.

    Raises:
        UsageError: with the first problem, at the place of its parameter.
    """
    data: dict[str, Any] = {
        **header.data,
        "metrics": list(metrics),
        # Not in the text; the system that wrote these cards took the first samples.
        "sampling": "head",
        "batch_sizes": list(dict.fromkeys(cell.batch_size for cell in cells)),
        "input_lengths": list(dict.fromkeys(cell.input_length for cell in cells)),
        "time_benchmark_args": {"duration": duration},
    }
    if data["max_eval_samples"] is None:
        del data["max_eval_samples"]
    backend = BackendSpec(data["backend"], _AnyArgs)
    known = Catalog(catalog.tasks, {backend.name: backend}, catalog.frameworks)
    try:
        return check_config(data, scanner.source, known)
    except ConfigError as error:
        _fail_config(scanner, header, error, start)


def _fail_config(scanner: Scanner, header: Header, error: ConfigError, start: int) -> NoReturn:
    problem = error.problems[0]
    path = re.sub(r"\[[0-9]+\].*", "", problem.path)
    parts = path.split(".")
    names = [".".join(parts[: len(parts) - n]) for n in range(len(parts))]
    known = [header.offsets[name] for name in names if name in header.offsets]
    scanner.fail(str(problem), known[0] if known else start)


def _published(
    number: int,
    row: TableRow,
    metrics: Sequence[str],
    times: Mapping[Cell, Mapping[str, TableRow]],
) -> PublishedRow:
    return PublishedRow(
        number=number,
        parameters=row.parameters,
        original=dict(zip(metrics, row.numbers[::2], strict=True)),
        optimized=dict(zip(metrics, row.numbers[1::2], strict=True)),
        timings=tuple(_timing(cell, table[row.key].numbers) for cell, table in times.items()),
    )


def _timing(cell: Cell, numbers: Sequence[float]) -> PublishedTiming:
    latency_original, latency_optimized, throughput_original, throughput_optimized = numbers
    return PublishedTiming(
        batch_size=cell.batch_size,
        input_length=cell.input_length or 0,
        latency_mean_original_ms=latency_original,
        latency_mean_optimized_ms=latency_optimized,
        throughput_original_per_s=throughput_original,
        throughput_optimized_per_s=throughput_optimized,
    )
