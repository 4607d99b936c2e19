"""The plan as a person reads it: rows, what is inert or the same, and the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quantbench.core.config import SweepConfig
from quantbench.core.forecast import Forecast
from quantbench.core.instructions import saturation
from quantbench.core.plan import Plan, Variant, naive_evaluations
from quantbench.core.results import CpuInfo
from quantbench.core.threads import too_many_threads
from quantbench.reports.inert import group_inert, group_warnings, row_list


def print_plan_table(
    plan: Plan, config: SweepConfig, found: Forecast, cpu: CpuInfo, stream: TextIO
) -> None:
    """Print the rows of a plan and the work behind them.

    Args:
        plan: of the config.
        config: what was asked for.
        found: what the work takes.
        cpu: the processor that it would run on.
        stream: where to print.
    """
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
    _print_warnings(console, plan, config, cpu)
    _print_work(console, plan, found)


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


def _print_warnings(console: Console, plan: Plan, config: SweepConfig, cpu: CpuInfo) -> None:
    arms = [(row.number, plan.arm(row.arm_id)) for row in plan.rows if row.arm_id is not None]
    warned = ((number, saturation(arm, cpu.flags)) for number, arm in arms)
    noted = group_warnings((number, [found] if found else []) for number, found in warned)
    crowded = too_many_threads(config.num_threads or cpu.allowed_cores, cpu)
    if noted or crowded:
        console.print("\n[bold]Warnings[/bold] (for this processor):")
    for warning, rows in noted.items():
        console.print(f"  {escape(warning)}; {row_list(rows)}", soft_wrap=True)
    if crowded:
        console.print(f"  {crowded}; all rows", soft_wrap=True)


def _print_work(console: Console, plan: Plan, found: Forecast) -> None:
    rows = len(plan.rows)
    naive = {
        "export": str(rows),
        "optimize": str(_prepared_rows(plan)),
        "calibrate": str(_static_rows(plan)),
        "quantize": str(rows),
        "evaluate": str(naive_evaluations(plan)),
        "time": f"{len(plan.cells)} × {2 * rows}",
    }
    work = Table(title="Work", title_justify="left")
    for name in ("stage", "to do", "stored", "takes about", "one row at a time"):
        work.add_column(name, justify="left" if name == "stage" else "right")
    for stage, alone in naive.items():
        if stage == "optimize" and not plan.prepared:
            continue
        steps = [step for step in found.steps if step.stage == stage]
        todo = [step for step in steps if not step.is_stored]
        arms = f" × {len(plan.arms)}" if stage == "time" and todo else ""
        name = "time (cells × arms)" if stage == "time" else stage
        stored = str(len(steps) - len(todo)) if found.is_known else "?"
        seconds = sum(step.seconds for step in todo)
        work.add_row(name, f"{len(todo)}{arms}", stored, _duration(seconds), alone)
    console.print()
    console.print(work)
    console.print(_total(found), soft_wrap=True)
    if not found.is_known:
        console.print(
            "The model and the data of this config were not looked at yet, or changed since: what "
            "the store has of them is not known, and times are guesses.",
            soft_wrap=True,
        )


def _total(found: Forecast) -> str:
    """Time, memory and disk in a sentence or two."""
    todo = [step for step in found.steps if not step.is_stored]
    work = [step for step in todo if step.stage not in ("prepare", "report")]
    if not work:
        return f"All of it is stored: about {_duration(found.seconds)} to write the reports."
    learned = all(step.learned for step in work)
    source = "from what such work took on this machine" if learned else "partly guessed"
    parts = [f"About {_duration(found.seconds)} in all ({source}; timing stops early where it can)"]
    parts.append(f"one row at a time would take about {_duration(found.naive_seconds)}")
    if found.peak_rss_bytes is not None:
        parts.append(f"a process had up to {found.peak_rss_bytes / 2**30:.1f} GiB of memory")
    if found.disk_bytes is not None:
        parts.append(f"the model files take at most {found.disk_bytes / 2**20:,.0f} MiB of disk")
    return "; ".join(parts) + "."


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _static_rows(plan: Plan) -> int:
    return _rows_of(plan, lambda variant: variant.quantization.approach == "static")


def _prepared_rows(plan: Plan) -> int:
    return _rows_of(plan, lambda variant: variant.source.is_prepared)


def _rows_of(plan: Plan, is_meant: Callable[[Variant], bool]) -> int:
    """The number of rows whose file is such a variant."""
    arms = {arm.id for arm in plan.arms if arm.variant is not None and is_meant(arm.variant)}
    return sum(row.arm_id in arms for row in plan.rows)


def _written(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)
