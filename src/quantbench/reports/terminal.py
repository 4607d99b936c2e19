"""The result of a sweep on a terminal: one line a row, the advice, and where the card is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape

from quantbench.analysis.recommend import Recommendation, recommend
from quantbench.core.printable import printable
from quantbench.core.summary import ArmSummary, Failure, RowSummary, SweepSummary
from quantbench.reports import wording
from quantbench.reports.inert import group_warnings, row_list
from quantbench.reports.text_table import TextColumn, draw

# A longer list is cut: the card has it whole.
_MOST_ITEMS = 2


def print_result(summary: SweepSummary, run_dir: Path, stream: TextIO) -> None:
    """Print the rows of a summary, what to deploy, and the path of the card.

    Of the metrics only the first is shown, which the advice goes by.
    """
    console = Console(file=stream, highlight=False)
    title = f"{run_dir.name}: {wording.plural(len(summary.rows), 'row')}"
    print_rows(summary, summary.rows, title, console)
    print_advice(summary, recommend(summary), run_dir, console)


def print_rows(
    summary: SweepSummary, rows: Sequence[RowSummary], title: str, console: Console
) -> None:
    """Print some rows of a summary as a table, each with its drop and its speed-up."""
    metric = summary.primary_metric
    columns = (
        TextColumn("row"),
        TextColumn(printable(" / ".join(summary.rows[0].parameters)), right=False, folds=True),
        TextColumn(printable(metric)),
        TextColumn("drop, points\n[95 %]"),
        TextColumn("speedup\n[95 %]"),
    )
    texts = [
        [printable(cell) for cell in (str(row.number), _configuration(row), *_numbers(row, metric))]
        for row in rows
    ]
    head, body = draw(columns, texts, console.width)
    console.print(plain(title), style="italic", soft_wrap=True)
    for line in head:
        console.print(line, style="bold", markup=False, soft_wrap=True)
    for line in body:
        console.file.write(f"{line}\n")


def print_advice(
    summary: SweepSummary, advice: Recommendation, run_dir: Path, console: Console
) -> None:
    """Print what the numbers may suffer from, what to deploy, and the path of the card."""
    if any(row.arm.unresolved for row in summary.rows if row.arm):
        console.print(
            "unresolved: too few process sets, or in some shape a wider interval than asked for.",
            soft_wrap=True,
        )
    noted = group_warnings((row.number, row.warnings) for row in summary.rows)
    for warning, rows in noted.items():
        console.print(
            f"[bold yellow]Warning[/bold yellow] ({row_list(rows)}): {plain(warning)}.",
            soft_wrap=True,
        )
    for warning in summary.warnings:
        line = f"[bold yellow]Warning:[/bold yellow] {plain(wording.sentence(warning))}"
        console.print(line, soft_wrap=True)
    what = {
        "row": f"row {advice.row}",
        "reference": "keep fp32, in ONNX Runtime",
        "original": "keep the original",
        "none": "nothing",
    }[advice.choice]
    for caution in advice.cautions:
        console.print(f"[bold red]Caution:[/bold red] {plain(caution)}", soft_wrap=True)
    why = plain(wording.sentence(advice.why))
    console.print(f"[bold]Recommended:[/bold] {plain(what)}: {why}", soft_wrap=True)
    console.print(f"[bold]Card:[/bold] {plain(str(run_dir / 'README.md'))}", soft_wrap=True)


def plain(text: str) -> str:
    """Text from outside: nothing in it is markup or moves the cursor."""
    return escape(printable(text))


def _configuration(row: RowSummary) -> str:
    """The row's values, and what became of it where that is not plain."""
    written = " / ".join(_written(value) for value in row.parameters.values()) or "as configured"
    if row.refused is not None:
        return f"{written}\nrefused: {row.refused}"
    if row.shares_with is not None:
        return f"{written}\n= {row.shares_with}"
    if row.arm is not None and row.arm.failures:
        return f"{written}\n{_failure(row.arm.failures[0])}"
    return written


def _failure(failure: Failure) -> str:
    of = "" if failure.of is None else f" ({failure.of})"
    if not failure.was_tried:
        return f"not run yet{of}"
    return f"failed{of}: {wording.first_problem(failure.error)}"


def _numbers(row: RowSummary, metric: str) -> list[str]:
    arm: ArmSummary | None = row.arm
    found = next((item for item in arm.metrics if item.name == metric), None) if arm else None
    return [
        wording.number(None if found is None else found.optimized, 3),
        wording.NOTHING if found is None else _two_lines(wording.drop(found)),
        _two_lines(wording.overall_speedup(arm)),
    ]


def _two_lines(value: str) -> str:
    """A value above its interval."""
    return value.replace(" [", "\n[").replace(" (", "\n(")


def _written(value: JsonValue) -> str:
    if not isinstance(value, list | tuple):
        return str(value)
    items = [str(item) for item in value]
    if len(items) > _MOST_ITEMS:
        items = [*items[: _MOST_ITEMS - 1], f"+{len(items) - _MOST_ITEMS + 1} more"]
    return ", ".join(items) or "none"
