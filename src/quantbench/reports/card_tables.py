"""The two kinds of table under `# Evaluation`: metrics, and times by cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quantbench.core.config import Scenario
from quantbench.core.plan import Cell
from quantbench.core.results import SweepResult
from quantbench.core.specs import TaskSpec
from quantbench.core.summary import CellSummary, Latency, RowSummary, SweepSummary
from quantbench.reports.markdown import SEPARATOR, code, table, text
from quantbench.reports.wording import (
    NOTHING,
    drop,
    number,
    parameters,
    ratio,
    row_name,
    sentence,
    speedup,
)

# What the times are to tell; the terms are those of MLPerf Inference, which reports p90 latency in
# the one and samples per second in the other.
_SCENARIOS: dict[Scenario, str] = {
    "single-stream": "The scenario is single-stream: one query after the other, so what counts is "
    "latency; a query is a batch. p90 needs 64 forwards.",
    "offline": "The scenario is offline: batch after batch, so what counts is throughput.",
}


def non_time(summary: SweepSummary) -> str:
    """One row per configuration: each metric of original and optimized, and the paired drop."""
    names = summary.metric_names
    head = ["row", *map(text, summary.rows[0].parameters)]
    drops = "drop, points [95 %]" if summary.measured else "drop, points"
    for name in names:
        head += ["", f"{text(name)} (original)", f"{text(name)} (optimized)", drops]
    body: list[list[str]] = []
    for row in summary.rows:
        metrics = {metric.name: metric for metric in row.arm.metrics} if row.arm else {}
        cells = [row_name(row), *parameters(row, in_table=True)]
        for name in names:
            metric = metrics.get(name)
            values = (
                [number(metric.original, 3), number(metric.optimized, 3), drop(metric)]
                if metric
                else [NOTHING] * 3
            )
            cells += [SEPARATOR, *values]
        body.append(cells)
    return table(head, body)


def time_intro(result: SweepResult, summary: SweepSummary, task: TaskSpec) -> str:
    """How long was measured, and why an axis is missing if one is."""
    args = result.config.time_benchmark_args
    if not summary.measured:
        return f"Time benchmarks were run for {args.duration:g} seconds per config."
    lines = [
        f"Time benchmarks were run for up to {args.duration:g} seconds per config, or until every "
        f"ratio to the reference was known to ±{args.precision:.0%}. *Original* is "
        f"{summary.original_name}; "
        f"throughput is samples per measured second. {_SCENARIOS[summary.scenario]}"
    ]
    if any(_lacks_interval(cell) for row in summary.rows if row.arm for cell in row.arm.cells):
        lines.append("A speed-up without brackets has too few process sets for an interval.")
    if not task.uses_input_length:
        noted = [item for item in summary.inert if item.parameter == "input_lengths"]
        reason = noted[0].reason if noted else f"the inputs of {task.name} have no length"
        asked = f" (asked for: {code(noted[0].value)})" if noted else ""
        lines.append(f"There is no axis of input lengths{asked}: {sentence(text(reason))}")
    return "\n\n".join(lines)


def _lacks_interval(cell: CellSummary) -> bool:
    return any(
        item is not None and item.low is None for item in (cell.speedup, cell.quantization_speedup)
    )


def time_tables(summary: SweepSummary) -> list[str]:
    """For each cell a line that names it, and its table."""
    blocks: list[str] = []
    for place, cell in enumerate(summary.cells):
        blocks += [_title(cell), _time_table(summary, place)]
    return blocks


def _title(cell: Cell) -> str:
    length = "" if cell.input_length is None else f", input length = {cell.input_length}"
    return f"Below, time metrics for batch size = {cell.batch_size}{length}."


def _time_table(summary: SweepSummary, place: int) -> str:
    def pair(title: str, unit: str, read: Callable[[Latency], float | None]) -> list[_Column]:
        return [
            _Column(f"{title} (original, {unit})", lambda cell: _read(cell.original, read)),
            _Column(f"{title} (optimized, {unit})", lambda cell: _read(cell.optimized, read)),
        ]

    gap = _Column("", lambda _: SEPARATOR)
    mean = pair("latency_mean", "ms", lambda latency: latency.mean_ms)
    throughput = pair("throughput", "samples/s", lambda latency: latency.throughput_per_s)
    if not summary.measured:
        columns = [gap, *mean, gap, *throughput]
    elif summary.scenario == "offline":
        columns = [gap, *throughput, gap, *mean]
    else:
        p50 = pair("p50", "ms", lambda latency: latency.p50_ms)
        p90 = pair("p90", "ms", lambda latency: latency.p90_ms)
        columns = [gap, *mean, *p50, *p90, gap, *throughput]
    if summary.measured:
        columns += [
            gap,
            _Column("speedup [95 %]", speedup),
            _Column("quantization_speedup [95 %]", lambda cell: ratio(cell.quantization_speedup)),
        ]
    else:
        columns += [gap, _Column("speedup of means", lambda cell: ratio(cell.speedup))]
    head = ["row", *map(text, summary.rows[0].parameters), *(column.title for column in columns)]
    return table(head, [_cells(row, place, columns) for row in summary.rows])


class _Column:
    """A column of a time table: its title, and what it prints of a cell."""

    def __init__(self, title: str, read: Callable[[CellSummary], str]) -> None:
        self.title = title
        self.read = read


def _cells(row: RowSummary, place: int, columns: Sequence[_Column]) -> list[str]:
    start = [row_name(row), *parameters(row, in_table=True)]
    cell = row.arm.cells[place] if row.arm and place < len(row.arm.cells) else None
    if cell is None or cell.optimized is None:
        return start + [NOTHING if column.title else SEPARATOR for column in columns]
    return start + [column.read(cell) for column in columns]


def _read(latency: Latency | None, read: Callable[[Latency], float | None]) -> str:
    return NOTHING if latency is None else number(read(latency))
