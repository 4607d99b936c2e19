"""Everything about one row, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table

from quantbench.analysis.row_detail import RowDetail
from quantbench.core.summary import ArmSummary, CellSummary, Failure, Latency
from quantbench.reports import wording
from quantbench.reports.terminal import plain
from quantbench.reports.wording import NOTHING, megabytes, number


def print_detail(found: RowDetail, stream: TextIO) -> None:
    """Print a row, the most important first; what is empty is left out."""
    console = Console(file=stream, highlight=False)
    _head(found, console)
    arm = found.row.arm
    if arm is not None:
        _accuracy(arm, console)
        _times(found, arm, console)
    _failures(found, console)
    if arm is not None:
        _nodes(arm, console)
    if found.files:
        _title("Files", console)
        for file in found.files:
            size = f"{file.of}: {megabytes(file.num_bytes)} MB, opset {file.opset}"
            _line(f"  {size}, made in {file.seconds:.1f} s", console)
            for name in ("sha256", "key", "graph_digest"):
                _line(f"    {name} {getattr(file, name)}", console)
    if found.explanation is not None:
        _title("Explanation", console)
        _line(f"  {found.explanation.advice}", console)
    if found.commands:
        _title("Commands", console)
        for what, command in found.commands.items():
            _line(f"  {what}:", console)
            _line(f"    {command}", console)


def _head(found: RowDetail, console: Console) -> None:
    row = found.row
    mark = ", recommended" if found.is_recommended else ""
    status = row.status if row.shares_with is None else f"its file is the one of {row.shares_with}"
    _title(f"Row {row.number}{mark}: {status}", console, first=True)
    _line(f"  {found.run.model}, {found.run.task}; run {found.run.state}", console)
    _line(f"  trial {row.trial_id}", console)
    for name, value in row.parameters.items():
        _line(f"  {name}: {_value(value)}", console)
    if found.optimization_level is not None:
        _line(f"  optimization level of the session: {found.optimization_level}", console)
    if row.refused is not None:
        _line(f"  refused: {row.refused}", console)
    for item in row.inert:
        _line(f"  inert: {item.parameter} {item.value}: {item.reason}", console)
    for warning in (*row.warnings, *found.warnings):
        _line(f"  warning: {wording.sentence(warning)}", console)
    if found.scheme is not None:
        _title("Scheme", console)
        for name, value in found.scheme.items():
            _line(f"  {name}: {_value(value)}", console)


def _accuracy(arm: ArmSummary, console: Console) -> None:
    if not arm.metrics:
        return
    _title("Accuracy, over the same samples as the original", console)
    rows = [
        [
            item.name,
            number(item.original, 3),
            number(item.optimized, 3),
            _two_lines(wording.drop(item)),
            f"{item.worse} / {item.better}" if item.worse is not None else NOTHING,
            NOTHING if item.mcnemar_p is None else f"{item.mcnemar_p:.2g}",
            NOTHING if item.num_samples is None else f"{item.num_samples:,}",
        ]
        for item in arm.metrics
    ]
    head = ["metric", "original", "row", "drop, points\n[95 %]", "worse /\nbetter", "p", "samples"]
    _table(head, rows, console)
    if arm.agreement is not None:
        _line(f"  answers like the original's: {arm.agreement:.1%}", console)
    for name, value in (
        ("Kullback-Leibler divergence, nats", arm.kl_divergence_nats),
        ("root mean square change of logits", arm.logit_rms),
        ("cosine to the original's vectors", arm.cosine),
    ):
        if value is not None:
            _line(f"  {name}: {value:.4g}", console)


def _times(found: RowDetail, arm: ArmSummary, console: Console) -> None:
    if not arm.cells:
        return
    _title(f"Times; speedup is over {found.original_name}", console)
    quiet = {load.cell: load.quiet for load in found.loads}
    rows = [
        [
            _shape(cell),
            _percentile(cell.original, "p50_ms"),
            _percentile(cell.reference, "p50_ms"),
            _percentile(cell.optimized, "p50_ms"),
            _two_lines(wording.speedup(cell)),
            _two_lines(wording.ratio(cell.quantization_speedup)),
            megabytes(cell.peak_rss_bytes),
        ]
        for cell in arm.cells
    ]
    head = [
        "shape", "original\np50, ms", "fp32\np50, ms", "row\np50, ms", "speedup\n[95 %]",
        "over fp32\n[95 %]", "memory,\nMB",
    ]  # fmt: skip
    _table(head, rows, console)
    details = [
        [
            _shape(cell),
            *(_percentile(cell.optimized, name) for name in ("mean_ms", "p90_ms", "p99_ms")),
            number(cell.optimized.throughput_per_s),
            f"{cell.optimized.num_forwards or 0:,}",
            NOTHING if cell.half_width is None else f"±{cell.half_width:.1%}",
            "no" if cell.unresolved else "yes",
            {True: "yes", False: "no", None: NOTHING}[quiet.get(cell.cell)],
        ]
        for cell in arm.cells
        if cell.optimized is not None
    ]
    head = [
        "shape", "mean, ms", "p90, ms", "p99, ms", "samples/s", "forwards", "half\nwidth",
        "resolved", "quiet",
    ]  # fmt: skip
    if details:
        _table(head, details, console)
    for cell in arm.cells:
        if cell.missing is not None:
            _line(f"  {cell.cell.name}: {wording.first_problem(cell.missing)}", console)
    _line(f"  all shapes: speedup {wording.overall_speedup(arm)}", console)


def _failures(found: RowDetail, console: Console) -> None:
    failures = found.row.arm.failures if found.row.arm else ()
    if failures:
        _title("What is missing, and why", console)
    for item in failures:
        _line(f"  {_failure(item)}", console)
    for log in found.logs:
        if log.log:
            place = "" if log.cell is None else f" at {log.cell}"
            _title(f"End of the log: {log.stage} of {log.of}{place}", console)
            for line in log.log.splitlines():
                _line(f"  {line}", console)


def _failure(item: Failure) -> str:
    of = "" if item.of is None else f" of {item.of}"
    place = "" if item.cell is None else f" at {item.cell.name}"
    hint = f" {item.hint}" if item.hint else ""
    return f"{item.stage}{of}{place}: {wording.sentence(' '.join(item.error.split()))}{hint}"


def _nodes(arm: ArmSummary, console: Console) -> None:
    shown = {name: counts for name, counts in sorted(arm.nodes.items()) if counts.total}
    if shown:
        _title("Nodes by operator", console)
        names = ("total", "matched", "excluded", "quantized", "left")
        rows = [[name, *(f"{getattr(c, part):,}" for part in names)] for name, c in shown.items()]
        _table(["operator", *names], rows, console)
    if arm.exclusion_matches:
        told = ", ".join(f"{name} {count:,}" for name, count in arm.exclusion_matches.items())
        _line(f"  exclusions describe: {told}", console)
    if arm.executed_nodes:
        told = ", ".join(f"{name} {count:,}" for name, count in sorted(arm.executed_nodes.items()))
        _line(f"  the session ran: {told}", console)


def _percentile(latency: Latency | None, name: str) -> str:
    return NOTHING if latency is None else number(getattr(latency, name))


def _shape(cell: CellSummary) -> str:
    length = "" if cell.cell.input_length is None else f" × {cell.cell.input_length}"
    return f"{cell.cell.batch_size}{length}"


def _two_lines(value: str) -> str:
    return value.replace(" [", "\n[").replace(" (", "\n(")


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return NOTHING if value is None else str(value)


def _title(text: str, console: Console, *, first: bool = False) -> None:
    before = "" if first else "\n"
    console.print(f"{before}[bold]{plain(text)}[/bold]", soft_wrap=True)


def _line(text: str, console: Console) -> None:
    console.print(plain(text), soft_wrap=True)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for place, title in enumerate(head):
        table.add_column(title, justify="right" if place else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    console.print(table)
