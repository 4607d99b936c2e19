"""The plan as a person reads it: rows, what is inert or the same, and the work."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quantbench.core.config import SweepConfig
from quantbench.core.plan import Plan, naive_evaluations
from quantbench.core.quantization import Float32
from quantbench.core.steps import steps
from quantbench.reports.inert import group_inert, row_list


def print_plan_table(plan: Plan, config: SweepConfig, stream: TextIO) -> None:
    """Print the rows of a plan and the work behind them."""
    console = Console(file=stream, highlight=False)
    table = Table(title=f"{len(plan.rows)} rows", title_justify="left")
    table.add_column("row", justify="right")
    for name in config.benchmarked:
        table.add_column(name, overflow="fold")
    table.add_column("what is run")
    first: dict[str, int] = {}
    references = {row.reference_id for row in plan.rows}
    for row in plan.rows:
        values = [escape(_written(value)) for value in row.trial.parameters.values()]
        if row.arm_id is None:
            what = f"[red]refused[/red]: {escape(row.refused or '')}"
        elif row.arm_id in references:
            what = "[yellow]= ONNX Runtime fp32[/yellow], nothing is quantized"
        elif row.arm_id in first:
            what = f"[yellow]= row {first[row.arm_id]}[/yellow]"
        else:
            first[row.arm_id] = row.number
            what = "own file"
        table.add_row(str(row.number), *values, what)
    console.print(table)
    _print_inert(console, plan)
    _print_work(console, plan, config)


def _print_inert(console: Console, plan: Plan) -> None:
    notes = group_inert((row.number, row.inert) for row in plan.rows)
    lines = [f"{item.parameter} {item.value}: {item.reason}, all rows" for item in plan.inert]
    lines += [
        f"{note.parameter} {', '.join(note.values)}: {note.reason}; {row_list(note.rows)}"
        for note in notes
    ]
    if lines:
        console.print("\n[bold]Inert[/bold] (given, but changes nothing):")
    for line in lines:
        console.print(f"  {escape(line)}", soft_wrap=True)


def _print_work(console: Console, plan: Plan, config: SweepConfig) -> None:
    quantized = [item for item in plan.variants if not isinstance(item.quantization, Float32)]
    exports = {variant.opset for variant in plan.variants}
    timed = steps(plan, config)
    budget = sum(step.seconds for step in timed if step.stage == "time")
    rows = len(plan.rows)
    work = Table(title="Work", title_justify="left")
    for name in ("stage", "here", "one row at a time"):
        work.add_column(name, justify="left" if name == "stage" else "right")
    work.add_row("export", str(len(exports)), str(rows))
    work.add_row("calibrate", str(len(plan.calibrations)), str(_static_rows(plan)))
    work.add_row("quantize", str(len(quantized)), str(rows))
    work.add_row("evaluate", str(len(plan.measured_arms)), str(naive_evaluations(plan)))
    work.add_row(
        "time (cells × arms)",
        f"{len(plan.cells)} × {len(plan.arms)}",
        f"{len(plan.cells)} × {2 * rows}",
    )
    console.print()
    console.print(work)
    console.print(
        f"Timing takes up to {budget / 60:.1f} min: {len(plan.arms)} arms × "
        f"{len(plan.cells)} cells × {config.time_benchmark_args.duration:g} s; "
        f"it stops early where ±{100 * config.time_benchmark_args.precision:g} % is reached.",
        soft_wrap=True,
    )


def _static_rows(plan: Plan) -> int:
    static = {variant.id for variant in plan.variants if variant.quantization.approach == "static"}
    arms = {arm.id for arm in plan.arms if arm.variant is not None and arm.variant.id in static}
    return sum(row.arm_id in arms for row in plan.rows)


def _written(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)
