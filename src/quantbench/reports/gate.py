"""The verdict of a gate: for a terminal, and as Markdown for the summary of a CI job."""

from __future__ import annotations

from typing import TextIO

from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quantbench.analysis.find_cell import shape_name
from quantbench.core.frozen import canonical_json
from quantbench.core.gate import Check, Gate
from quantbench.core.printable import printable
from quantbench.reports import markdown, wording

# Where nobody looks at a screen, lines are as long as they are.
_WIDE = 10_000
_LEVEL = "Intervals are of 95 %; an end that holds for all rows at once is of a higher level."
_COLOURS = {"pass": "green", "fail": "red", "undecided": "yellow", "skipped": "dim"}
_SIGNS = {"points": " points", "times": " ×", "percent": " %"}
_MEANING = {
    "pass": "every condition is met",
    "fail": "a condition is not met",
    "undecided": "the measurements do not show it",
}


def print_gate(gate: Gate, stream: TextIO) -> None:
    """Print the verdict, which row was looked at, and a line for each check."""
    console = Console(file=stream, highlight=False, width=None if stream.isatty() else _WIDE)
    colour = _COLOURS[gate.outcome]
    console.print(
        f"[bold {colour}]{gate.outcome}[/bold {colour}]: {_plain(headline(gate))}", soft_wrap=True
    )
    table = Table()
    table.add_column("check", overflow="fold")
    table.add_column(escape("value [interval]"), justify="right", no_wrap=True)
    table.add_column("outcome")
    table.add_column("why", overflow="fold", ratio=1)
    for check in gate.checks:
        colour = _COLOURS[check.outcome]
        table.add_row(
            _plain(check.condition),
            _plain(value_text(check)),
            f"[{colour}]{check.outcome}[/{colour}]",
            _plain(reason_text(check)),
        )
    console.print(table)
    console.print(_LEVEL, soft_wrap=True)
    for warning in gate.warnings:
        line = f"[bold yellow]Warning:[/bold yellow] {_plain(wording.sentence(warning))}"
        console.print(line, soft_wrap=True)


def gate_markdown(gate: Gate) -> str:
    """The same as Markdown, in which nothing from outside is markup."""
    header = ["check", "value [interval]", "outcome", "why"]
    rows = [
        [
            markdown.text(check.condition),
            markdown.text(value_text(check)),
            f"**{check.outcome}**",
            markdown.text(reason_text(check)),
        ]
        for check in gate.checks
    ]
    parts = [
        f"## quantbench gate: {gate.outcome}",
        markdown.text(wording.sentence(headline(gate))),
        markdown.table(header, rows),
        _LEVEL,
    ]
    if gate.parameters:
        values = (
            f"{markdown.code(name)} {markdown.code(written(value))}"
            for name, value in gate.parameters.items()
        )
        parts.append(f"Row {gate.row}: {', '.join(values)}")
    parts += [
        f"**Warning**: {markdown.text(wording.sentence(warning))}" for warning in gate.warnings
    ]
    return "\n\n".join(parts) + "\n"


def written(value: JsonValue) -> str:
    """A parameter's value: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else canonical_json(value)


def headline(gate: Gate) -> str:
    """Of which row of which run the verdict is, and what it means."""
    row = "no row" if gate.row is None else f"row {gate.row} ({gate.trial_id})"
    beside = "" if gate.baseline is None else f", beside {gate.baseline}"
    return f"{row} of {gate.run}{beside}: {_MEANING[gate.outcome]}"


def value_text(check: Check) -> str:
    """A value with its unit and interval."""
    if check.value is None or check.unit is None:
        return wording.NOTHING
    written = f"{wording.number(check.value)}{_SIGNS[check.unit]}"
    if check.low is None or check.high is None:
        return written
    return f"{written} [{wording.number(check.low)}, {wording.number(check.high)}]"


def reason_text(check: Check) -> str:
    """Why, and in which shape."""
    reason = wording.first_problem(check.reason)
    return reason if check.cell is None else f"shape {shape_name(check.cell)}: {reason}"


def _plain(text: str) -> str:
    """Text from outside: nothing in it is markup or moves the cursor."""
    return escape(printable(text))
