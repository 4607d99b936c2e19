"""What the timing of a seed grid cost beside the fixed way, and how much of it was resolved. Pure.

The fixed way is that of the seed cards: the original and the row, each for the whole duration, in
every row and shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quantbench.core.plan import Cell
from quantbench.core.results import Environment, SweepResult
from quantbench.core.summary import CellSummary, SweepSummary

MOST_OF_FIXED = 0.6
LEAST_RESOLVED = 0.9
# Models that the fixed way times for each row and shape: the original and the row's own.
FIXED_MODELS = 2


@dataclass(frozen=True)
class ShapeTime:
    """The seconds that one shape took, those of the fixed way, and its rows that are resolved."""

    cell: Cell
    seconds: float
    fixed_seconds: float
    num_resolved: int


@dataclass(frozen=True)
class TimeSpent:
    """What a grid's timing cost. `resolved_shapes` counts, by row number, those of its shapes."""

    shapes: tuple[ShapeTime, ...]
    resolved_shapes: dict[int, int]

    @property
    def seconds(self) -> float:
        """Of all timing sessions."""
        return sum(shape.seconds for shape in self.shapes)

    @property
    def of_fixed(self) -> float:
        """The share of the fixed way's seconds."""
        return self.seconds / sum(shape.fixed_seconds for shape in self.shapes)

    @property
    def resolved(self) -> float:
        """The share of rows × shapes whose ratios are known to the precision."""
        total = len(self.shapes) * len(self.resolved_shapes)
        return sum(self.resolved_shapes.values()) / total

    @property
    def meets_goals(self) -> bool:
        """Whether enough was saved, and enough is known."""
        return self.of_fixed <= MOST_OF_FIXED and self.resolved >= LEAST_RESOLVED


def time_spent(result: SweepResult, summary: SweepSummary) -> TimeSpent:
    """Add up the timing of a run.

    Args:
        result: a finished run; its plan has rows and shapes, `spent` has seconds by shape.
        summary: of that run.

    Raises:
        ValueError: a shape was not timed in this run, but taken from the store.
    """
    seconds: dict[str, float] = {}
    for unit in result.spent:
        if unit.stage == "time" and not unit.reused:
            seconds[unit.name] = seconds.get(unit.name, 0.0) + unit.seconds
    untimed = [cell.id for cell in summary.cells if cell.id not in seconds]
    if untimed:
        raise ValueError(f"not timed in this run: {', '.join(untimed)}")
    of_row = FIXED_MODELS * result.config.time_benchmark_args.duration
    known = {
        row.number: [_is_resolved(cell) for cell in (row.arm.cells if row.arm else ())]
        for row in summary.rows
    }
    return TimeSpent(
        shapes=tuple(
            ShapeTime(
                cell,
                seconds[cell.id],
                of_row * len(summary.rows),
                sum(found[place] for found in known.values() if found),
            )
            for place, cell in enumerate(summary.cells)
        ),
        resolved_shapes={number: sum(found) for number, found in known.items()},
    )


def _is_resolved(cell: CellSummary) -> bool:
    return cell.speedup is not None and not cell.unresolved


def report(result: SweepResult, spent: TimeSpent) -> str:
    """The table that the benchmark prints, in Markdown."""
    args = result.config.time_benchmark_args
    rows, shapes = len(spent.resolved_shapes), len(spent.shapes)
    fixed = sum(shape.fixed_seconds for shape in spent.shapes)
    lines = [
        "# What timing the seed grid costs (`python benchmarks/seed_grid.py --report RUN`)",
        "",
        f"{result.config.model_name_or_path.rpartition('/')[2]}, {rows} rows × {shapes} shapes, "
        f"precision {args.precision:.1%}, duration {args.duration:g} s. "
        f"The fixed way: {FIXED_MODELS} × {args.duration:g} s × rows × shapes.",
        *([] if result.environment is None else [_machine(result.environment)]),
        "",
        "| shape | timing, s | of the fixed way | rows resolved |",
        "|---|---|---|---|",
        *(
            f"| {shape.cell.id} | {shape.seconds:.0f} | {shape.seconds / shape.fixed_seconds:.0%} "
            f"| {shape.num_resolved} of {rows} |"
            for shape in spent.shapes
        ),
        f"| all | {spent.seconds:.0f} of {fixed:.0f} | {spent.of_fixed:.0%} "
        f"| {spent.resolved:.0%} of rows × shapes |",
        "",
        *_by_row(spent),
        "",
        f"Goals: timing <= {MOST_OF_FIXED:.0%} of the fixed way, >= {LEAST_RESOLVED:.0%} of "
        f"rows × shapes resolved: {'met' if spent.meets_goals else 'missed'}.",
    ]
    return "\n".join(lines)


def _by_row(spent: TimeSpent) -> Sequence[str]:
    return [
        "| row | shapes resolved |",
        "|---|---|",
        *(
            f"| {number} | {count} of {len(spent.shapes)} |"
            for number, count in spent.resolved_shapes.items()
        ),
    ]


def _machine(machine: Environment) -> str:
    memory = "" if machine.memory_bytes is None else f"{machine.memory_bytes / 2**30:.0f} GiB, "
    packages = ", ".join(f"{name} {machine.packages[name]}" for name in ("onnxruntime", "torch"))
    return (
        f"{machine.cpu.model}, {machine.cpu.physical_cores} cores, {machine.num_threads} threads, "
        f"{memory}{machine.operating_system}, Python {machine.python}, {packages}; "
        f"{machine.measured_at[:10]}."
    )
