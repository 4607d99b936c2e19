"""An explanation for people: advice, then the numbers behind it."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quantbench.analysis.explain import Why
from quantbench.analysis.explain_facts import sqnr_db
from quantbench.core.printable import printable
from quantbench.reports.wording import NOTHING, number

_MOST_ROWS = 12
# Where nobody looks at a screen, lines are as long as they are.
_WIDE = 10_000


def print_why(found: Why, stream: TextIO) -> None:
    """Print an explanation."""
    console = Console(file=stream, highlight=False, width=None if stream.isatty() else _WIDE)
    facts = found.explanation
    console.print(f"[bold]row {found.row}[/bold] ({escape(found.trial_id)})")
    console.print(escape(printable(found.advice)))
    for finding in found.findings:
        change = f"\n    change: {finding.change}" if finding.change else ""
        line = f"{finding.rule}: {finding.what}\n    {finding.evidence}{change}"
        console.print(escape(printable(line)))
    console.print(
        f"\nError by block, over {facts.num_samples} inputs, SQNR in dB (accumulated: all that was "
        "quantized before is in it; own rounding: what quantizing that tensor adds)"
    )
    console.print(_table(_LAYERS, layer_rows(found)))
    if weight_rows(found):
        console.print("\nWeights with the lowest SQNR")
        console.print(_table(_WEIGHTS, weight_rows(found)))
    console.print("\nActivations with the widest range for their values")
    console.print(_table(_OUTLIERS, outlier_rows(found)))
    console.print(f"\n{escape(profile_line(found))}")
    console.print(_table(TIMES, time_rows(found)))
    if found.left:
        console.print("\nLeft in floats")
        console.print(_table(LEFT, left_rows(found)))
    if found.idle_pairs:
        console.print("\nQuantize/dequantize pairs that only cost")
        pairs = [[pair.made_by, pair.read_by, str(pair.count)] for pair in found.idle_pairs]
        console.print(_table(["made by", "read by", "pairs"], pairs[:_MOST_ROWS]))
    for line in _left_out(found):
        console.print(line)


_LAYERS = [
    "block", "at its output", "worst tensor", "dB", "roughest rounding", "dB", "weights, dB",
    "quantized", "left",
]  # fmt: skip
_WEIGHTS = ["weight", "dB", "largest / median channel", "coarse channels", "scales"]
_OUTLIERS = ["tensor", "max / 99.9 %", "99.9 %", "step", "own rounding, dB"]
TIMES = ["operator", "nodes before", "after", "µs before", "after", "change"]
LEFT = ["operator", "nodes", "why"]


def layer_rows(found: Why) -> list[list[str]]:
    """A line per block."""
    return [
        [
            layer.name,
            decibels(layer.output_db),
            layer.worst,
            decibels(layer.worst_db),
            layer.roughest or NOTHING,
            NOTHING if layer.roughest is None else decibels(layer.roughest_db),
            NOTHING if layer.weights_db is None else decibels(layer.weights_db),
            str(layer.num_quantized),
            str(layer.num_left),
        ]
        for layer in found.layers
    ]


def weight_rows(found: Why) -> list[list[str]]:
    """The weights with the largest error, a line for each."""
    weights = sorted(
        (item for item in found.explanation.weights if item.num_channels > 1 and item.error.noise),
        key=lambda item: item.error.signal / item.error.noise,
    )
    return [
        [
            item.name,
            decibels(sqnr_db(item.error)),
            number(item.largest / item.median if item.median else None, 1),
            f"{item.num_coarse} of {item.num_channels}",
            "per channel or block" if item.per_channel else "one",
        ]
        for item in weights[:_MOST_ROWS]
    ]


def outlier_rows(found: Why) -> list[list[str]]:
    """The activations with the largest outliers, a line for each."""
    items = sorted(
        (item for item in found.explanation.activations if item.p999_abs > 0.0),
        key=lambda item: -item.max_abs / item.p999_abs,
    )
    return [
        [
            item.name,
            f"{item.max_abs / item.p999_abs:.3g}",
            f"{item.p999_abs:.3g}",
            NOTHING if item.scale is None else f"{item.scale:.3g}",
            NOTHING if item.rounding is None else decibels(sqnr_db(item.rounding)),
        ]
        for item in items[:_MOST_ROWS]
    ]


def profile_line(found: Why) -> str:
    """What was profiled, and how."""
    profile = found.explanation.profile
    return (
        f"Time per forward by operator, ONNX Runtime's own profile at {profile.cell.name}, "
        f"optimization level {found.explanation.optimization_level}, {profile.num_threads} "
        f"threads, {profile.num_forwards} forwards of each model in {profile.num_blocks} "
        f"alternating blocks; without profiling a forward takes "
        f"{profile.reference.microseconds:,.0f} µs in floats, {profile.row.microseconds:,.0f} µs "
        "quantized"
    )


def time_rows(found: Why) -> list[list[str]]:
    """The operators whose time changed most, a line for each."""
    return [
        [
            item.op_type,
            str(item.nodes_before),
            str(item.nodes_after),
            number(item.before_us, 0),
            number(item.after_us, 0),
            f"{item.after_us - item.before_us:+,.0f}",
        ]
        for item in found.times[:_MOST_ROWS]
    ]


def left_rows(found: Why) -> list[list[str]]:
    """What was not quantized and why, a line per operator and reason."""
    return [[item.op_type, str(item.count), item.reason] for item in found.left]


def decibels(value: float | None) -> str:
    """An SQNR; `exact` where nothing differs."""
    return "exact" if value is None else f"{value:.1f}"


def _left_out(found: Why) -> list[str]:
    facts = found.explanation
    lines: list[str] = []
    if facts.num_missing_activations:
        lines.append(
            f"{facts.num_missing_activations} activations of the float model are not in the "
            "quantized file, and could not be compared."
        )
    if facts.num_missing_weights:
        lines.append(f"{facts.num_missing_weights} quantized weights have no float form.")
    return lines


def _table(head: list[str], rows: list[list[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in head:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    return table
