"""The result of a sweep on a terminal: one line a row, the advice, and where the card is."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quantbench.analysis.recommend import recommend
from quantbench.analysis.summary import ArmSummary, RowSummary, SweepSummary
from quantbench.reports import wording

# A longer list is cut: the card has it whole.
_MOST_ITEMS = 3

_STATUS = {
    "measured": "",
    "shared": "",
    "partial": "partly failed",
    "refused": "refused",
    "failed": "failed",
}


def print_result(summary: SweepSummary, run_dir: Path, stream: TextIO) -> None:
    """Print the rows of a summary, what to deploy, and the path of the card."""
    console = Console(file=stream, highlight=False)
    table = Table(title=f"{run_dir.name}: {len(summary.rows)} rows", title_justify="left")
    table.add_column("row", justify="right")
    for name in summary.rows[0].parameters:
        table.add_column(_heading(name), overflow="fold")
    for name in summary.metric_names:
        table.add_column(f"{name}\nΔ points [95 %]", justify="right", no_wrap=True)
    table.add_column("speedup\n[95 %]", justify="right", no_wrap=True)
    table.add_column("note")
    for row in summary.rows:
        values = [_written(value) for value in row.parameters.values()]
        metrics = [_metric(row.arm, name) for name in summary.metric_names]
        speedup = _two_lines(wording.ratio(row.arm.speedup)) if row.arm is not None else ""
        cells = [str(row.number), *values, *metrics, speedup, _note(row)]
        table.add_row(*(escape(cell) for cell in cells))
    console.print(table)
    advice = recommend(summary)
    what = {
        "row": f"row {advice.row}",
        "reference": "ONNX Runtime fp32: keep float32",
        "original": "the original",
        "none": "nothing",
    }[advice.choice]
    console.print(f"[bold]Recommended:[/bold] {escape(what)}. {escape(advice.why)}", soft_wrap=True)
    console.print(f"[bold]Card:[/bold] {escape(str(run_dir / 'README.md'))}", soft_wrap=True)


def _metric(arm: ArmSummary | None, name: str) -> str:
    found = [metric for metric in arm.metrics if metric.name == name] if arm is not None else []
    return f"{found[0].optimized:.3f}\n{wording.drop(found[0])}" if found else ""


def _two_lines(ratio: str) -> str:
    """A ratio above its interval."""
    return ratio.replace(" [", "\n[").replace(" (", "\n(")


def _note(row: RowSummary) -> str:
    if row.refused is not None:
        return f"refused: {row.refused}"
    if row.status == "shared":
        return f"= {row.shares_with}"
    if row.arm is not None and row.arm.failures:
        return f"{_STATUS[row.status]}: {row.arm.failures[0].error.splitlines()[0]}"
    return _STATUS[row.status]


def _heading(name: str) -> str:
    """A parameter's name, broken where it is long."""
    return name.replace(".", ".\n").replace("_to_", "_to_\n").replace("_exclusion", "_\nexclusion")


def _written(value: object) -> str:
    if not isinstance(value, list | tuple):
        return str(value)
    items = [str(item) for item in value]
    if len(items) > _MOST_ITEMS:
        items = [*items[: _MOST_ITEMS - 1], f"+{len(items) - _MOST_ITEMS + 1} more"]
    return ", ".join(items) or "none"
