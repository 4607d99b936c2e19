"""Runs for people: a line or two for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.table import Table

from quantbench.analysis.overview import Overview
from quantbench.reports.terminal import plain
from quantbench.reports.wording import NOTHING, first_problem

_CHOICES = {"reference": "fp32", "original": "original", "none": NOTHING, "row": ""}


def print_runs(runs: Sequence[tuple[Path, Overview | str]], stream: TextIO) -> None:
    """Print runs, each with what it is of, how far it came and what came out.

    Args:
        runs: a folder and its overview, or why it cannot be read.
        stream: where to print.
    """
    console = Console(file=stream, highlight=False)
    if not runs:
        console.print("There is no run.")
        return
    table = Table()
    table.add_column("run", overflow="fold", ratio=2)
    table.add_column("measured", no_wrap=True)
    table.add_column("model and task", overflow="fold", ratio=2)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("state", overflow="fold", ratio=1)
    table.add_column("advice", no_wrap=True)
    for path, found in runs:
        table.add_row(*map(plain, (str(path), *_cells(found))))
    console.print(table)


def _cells(found: Overview | str) -> list[str]:
    if isinstance(found, str):
        return [NOTHING, NOTHING, NOTHING, f"damaged: {first_problem(found)}", NOTHING]
    state: str = found.state
    if found.num_bad_rows and found.state == "finished":
        state = f"{state}, {found.num_bad_rows:,} without all numbers"
    return [
        NOTHING if found.measured_at is None else found.measured_at[:16].replace("T", " "),
        f"{found.model}\n{found.task}",
        f"{found.num_rows:,}",
        state,
        f"row {found.recommended_row}" if found.choice == "row" else _CHOICES[found.choice],
    ]
