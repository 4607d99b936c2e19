"""Files that were timed beside each other, for people."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quantbench.core.printable import printable
from quantbench.core.summary import Ratio
from quantbench.core.timed_files import TimedFile, TimedFiles
from quantbench.reports import wording

# Where nobody looks at a screen, lines are as long as they are.
_WIDE = 10_000


def print_timed_files(found: TimedFiles, stream: TextIO) -> None:
    """Print a line for each file, how equal equal files measure, and what to be wary of.

    Args:
        found: of `analysis.timed_files`.
        stream: where to.
    """
    console = Console(file=stream, highlight=False, width=None if stream.isatty() else _WIDE)
    table = Table(title=_plain(_title(found)), title_justify="left")
    table.add_column("file", overflow="fold")
    for name in ("MB", "p50, ms", "p90, ms", "samples/s", "memory, MB"):
        table.add_column(name, justify="right")
    table.add_column("times as fast as\nthe first [95 %]", justify="right")
    for place, file in enumerate(found.files):
        table.add_row(*map(_plain, _cells(file, is_first=place == 0)))
    console.print(table)
    for line in _lines(found):
        console.print(line, soft_wrap=True)


def _title(found: TimedFiles) -> str:
    threads = wording.plural(found.environment.num_threads, "thread")
    return f"{found.cell.name}, {threads} on {found.environment.cpu.model}"


def _cells(file: TimedFile, *, is_first: bool) -> list[str]:
    latency = file.latency
    ratio = "1" if is_first else _ratio(file.speedup)
    if file.failure is not None:
        ratio = f"failed: {wording.first_problem(file.failure)}"
    elif file.unresolved:
        width = file.speedup.half_width if file.speedup else None
        ratio += " (unresolved" + (")" if width is None else f" ±{width:.1%})")
    return [
        file.name,
        wording.megabytes(file.num_bytes),
        wording.number(latency.p50_ms if latency else None),
        wording.number(latency.p90_ms if latency else None),
        wording.number(latency.throughput_per_s if latency else None, 1),
        wording.megabytes(file.peak_rss_bytes),
        ratio,
    ]


def _ratio(ratio: Ratio | None) -> str:
    """With three digits that count, as PyTorch may be many times slower."""
    if ratio is None:
        return wording.NOTHING
    if ratio.low is None or ratio.high is None:
        return f"{ratio.value:.3g}"
    return f"{ratio.value:.3g} [{ratio.low:.3g}, {ratio.high:.3g}]"


def _lines(found: TimedFiles) -> list[str]:
    shapes = (f"{name} {list(shape)}" for name, shape in found.shapes.items())
    sets = wording.plural(found.num_process_sets, "process set")
    lines = [f"Inputs: {_plain(', '.join(shapes))}. {sets} in {found.seconds:.0f} s."]
    lines.append(_plain(_machine(found)))
    if found.noise is None:
        lines.append("No second copy of the first file was timed: the noise floor is not known.")
    else:
        lines.append(
            f"Noise floor: a second copy of the first file took {_ratio(found.noise.ratio)} "
            "times as long as the first; differences of this size mean nothing."
        )
    if any(file.unresolved for file in found.files):
        lines.append(
            f"(unresolved): not known to ±{found.precision:.1%}; a longer --duration may help."
        )
    return [
        *lines,
        *(
            f"[bold yellow]Warning:[/bold yellow] {_plain(wording.sentence(warning))}"
            for warning in found.warnings
        ),
    ]


def _machine(found: TimedFiles) -> str:
    """The versions and settings that times belong to, in one line."""
    machine = found.environment
    bound = "left to the system"
    if found.affinity is not None:
        bound = f"{', '.join(map(str, found.affinity))} of {machine.cpu.logical_cores}"
    return (
        f"ONNX Runtime {machine.packages['onnxruntime']} at optimization level "
        f"{found.optimization_level}, PyTorch {machine.packages['torch']}, "
        f"{machine.operating_system}, processors: {bound}."
    )


def _plain(text: str) -> str:
    """Text from outside: nothing in it is markup or moves the cursor."""
    return escape(printable(text))
