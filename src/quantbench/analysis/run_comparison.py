"""The same rows in several runs: other versions, machines or models beside the first run."""

from __future__ import annotations

from collections.abc import Sequence

from quantbench.analysis.matched_rows import MatchedRow, match_rows, swept_names
from quantbench.analysis.metric_changes import metric_changes
from quantbench.analysis.named_run import NamedRun, row_problems
from quantbench.analysis.run_differences import differences
from quantbench.analysis.speed_changes import (
    Rows,
    Yardstick,
    is_same_shape,
    speed_change,
    yardstick,
)
from quantbench.core import stats
from quantbench.core.errors import UsageError
from quantbench.core.plan import Cell
from quantbench.core.run_comparison import (
    ComparedRun,
    MetricChange,
    PairComparison,
    RowChange,
    RunComparison,
)
from quantbench.core.specs import TaskSpec


def compare_runs(runs: Sequence[NamedRun], task: TaskSpec, row: int | None = None) -> RunComparison:
    """Every run beside the first.

    Args:
        runs: two or more, of one task.
        task: its spec.
        row: the number of the only row of the first run that is looked at; every row of either
            run when left out.

    Raises:
        UsageError: they are of different tasks, or have no row in common.
    """
    first, *others = runs
    for other in others:
        check_same_task(first, other)
    return RunComparison(
        method_version=stats.METHOD_VERSION,
        task=task.name,
        primary_metric=first.summary.primary_metric,
        first=_compared(first),
        pairs=tuple(_pair(first, other, task, row) for other in others),
    )


def check_same_task(first: NamedRun, other: NamedRun) -> None:
    """Refuse runs whose rows do different things. Raises UsageError."""
    tasks = first.result.config.task, other.result.config.task
    if tasks[0] != tasks[1]:
        raise UsageError(
            f"{first.name} is of the task {tasks[0]}, {other.name} of {tasks[1]}: neither their "
            "metrics nor their times can be compared",
            hint="Give runs of one task.",
        )


def _compared(run: NamedRun) -> ComparedRun:
    environment = run.result.environment
    return ComparedRun(
        name=run.name,
        measured=run.summary.measured,
        model=run.result.config.model_name_or_path,
        dataset=run.result.config.dataset.path,
        original_name=run.summary.original_name,
        cpu=environment.cpu.model if environment else None,
        num_threads=environment.num_threads if environment else None,
        measured_at=environment.measured_at if environment else None,
    )


def _pair(first: NamedRun, other: NamedRun, task: TaskSpec, only: int | None) -> PairComparison:
    matched = match_rows(first, other)
    names = swept_names(first, other)
    if not any(all(row.rows) for row in matched):
        raise UsageError(
            f"{first.name} and {other.name} have no row in common",
            hint=f"Rows are the same if all swept parameters are: {', '.join(names)}.",
        )
    if only is not None:
        matched = tuple(row for row in matched if row.rows[0] and row.rows[0].number == only)
    measure = yardstick(first, other, [row.rows for row in matched])
    known: dict[tuple[str | None, str | None], tuple[MetricChange, ...]] = {}
    changes: list[RowChange] = []
    for row in matched:
        old, new = row.rows
        arms = old.arm if old else None, new.arm if new else None
        # Rows that share a file share its numbers, which take a while to resample.
        files = arms[0].id if arms[0] else None, arms[1].id if arms[1] else None
        if files not in known:
            known[files] = metric_changes(first, other, arms, task) if old and new else ()
        changes.append(_row(first, other, row, known[files], measure))
    cells = first.summary.cells, other.summary.cells
    return PairComparison(
        other=_compared(other),
        parameters=names,
        differences=differences(first, other, names),
        yardstick=measure.name,
        why_no_yardstick=measure.why_none,
        warnings=_warnings(first, other, matched),
        original=_originals(first, other, task),
        not_shared=_not_shared(*cells),
        rows=tuple(changes),
    )


def _warnings(first: NamedRun, other: NamedRun, matched: Sequence[MatchedRow]) -> tuple[str, ...]:
    """What the times of either run suffer from."""
    found = (
        run.unknown_noise(row for item in matched if (row := item.rows[place]) is not None)
        for place, run in enumerate((first, other))
    )
    return tuple(text for text in found if text is not None)


def _row(
    first: NamedRun,
    other: NamedRun,
    matched: MatchedRow,
    metrics: tuple[MetricChange, ...],
    measure: Yardstick,
) -> RowChange:
    old, new = matched.rows
    return RowChange(
        parameters=matched.parameters,
        first_row=old.number if old else None,
        other_row=new.number if new else None,
        first_problems=row_problems(old),
        other_problems=row_problems(new),
        same_file=_is_same_file(first, other, matched.rows),
        metrics=metrics,
        speed=speed_change(first, other, matched.rows, measure),
    )


def _originals(first: NamedRun, other: NamedRun, task: TaskSpec) -> tuple[MetricChange, ...]:
    """What the originals answer; nothing where a published card gives that for each row."""
    if first.facts is None or other.facts is None:
        return ()
    return metric_changes(first, other, (first.summary.original, other.summary.original), task)


def _is_same_file(first: NamedRun, other: NamedRun, rows: Rows) -> bool | None:
    old, new = (
        run.artifact(row.arm.id if row and row.arm else None)
        for run, row in zip((first, other), rows, strict=True)
    )
    return None if old is None or new is None else old.graph_digest == new.graph_digest


def _not_shared(first: Sequence[Cell], other: Sequence[Cell]) -> tuple[Cell, ...]:
    return tuple(
        cell
        for cell in dict.fromkeys((*first, *other))
        if not all(any(is_same_shape(cell, each) for each in cells) for cells in (first, other))
    )
