"""The same rows in several runs: other versions, machines or models beside the first run."""

from __future__ import annotations

from collections.abc import Sequence

from quantbench.analysis.matched_rows import MatchedRow, match_rows, swept_names
from quantbench.analysis.metric_changes import metric_changes
from quantbench.analysis.named_run import NamedRun, row_problems
from quantbench.analysis.run_differences import differences
from quantbench.analysis.speed_changes import Yardstick, speed_change, yardstick
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
from quantbench.core.summary import RowSummary

Rows = tuple[RowSummary | None, RowSummary | None]


def compare_runs(runs: Sequence[NamedRun], task: TaskSpec) -> RunComparison:
    """Every run beside the first.

    Args:
        runs: two or more, of one task.
        task: its spec.

    Raises:
        UsageError: they are of different tasks, or have no row in common.
    """
    first, *others = runs
    for other in others:
        check_same_task(first, other)
    matched = match_rows(runs)
    names = swept_names(runs)
    for place, other in enumerate(others, start=1):
        if not any(row.rows[0] and row.rows[place] for row in matched):
            raise UsageError(
                f"{first.name} and {other.name} have no row in common",
                hint=f"Rows are the same if all swept parameters are: {', '.join(names)}.",
            )
    return RunComparison(
        method_version=stats.METHOD_VERSION,
        task=task.name,
        primary_metric=first.summary.primary_metric,
        parameters=names,
        first=_compared(first),
        pairs=tuple(
            _pair(first, other, [(row, (row.rows[0], row.rows[place])) for row in matched], task)
            for place, other in enumerate(others, start=1)
        ),
    )


def only_row(found: RunComparison, number: int) -> RunComparison:
    """The comparison of one row of the first run alone."""
    pairs = (
        pair.model_copy(update={"rows": tuple(row for row in pair.rows if row.first_row == number)})
        for pair in found.pairs
    )
    return found.model_copy(update={"pairs": tuple(pairs)})


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


def _pair(
    first: NamedRun,
    other: NamedRun,
    matched: Sequence[tuple[MatchedRow, Rows]],
    task: TaskSpec,
) -> PairComparison:
    measure = yardstick(first, other)
    known: dict[tuple[str | None, str | None], tuple[MetricChange, ...]] = {}
    changes: list[RowChange] = []
    for row, rows in matched:
        if not any(rows):
            continue  # a row of another pair
        arms = rows[0].arm if rows[0] else None, rows[1].arm if rows[1] else None
        # Rows that share a file share its numbers, which take a while to resample.
        files = arms[0].id if arms[0] else None, arms[1].id if arms[1] else None
        if files not in known:
            known[files] = metric_changes(first, other, arms, task) if all(rows) else ()
        changes.append(_row(first, other, row, rows, known[files], measure))
    cells = first.summary.cells, other.summary.cells
    return PairComparison(
        other=_compared(other),
        differences=differences(first, other, swept_names((first, other))),
        yardstick=measure.name,
        why_no_yardstick=measure.why_none,
        original=_originals(first, other, task),
        not_shared=_not_shared(*cells),
        rows=tuple(changes),
    )


def _row(
    first: NamedRun,
    other: NamedRun,
    matched: MatchedRow,
    rows: Rows,
    metrics: tuple[MetricChange, ...],
    measure: Yardstick,
) -> RowChange:
    old, new = rows
    return RowChange(
        parameters=matched.parameters,
        first_row=old.number if old else None,
        other_row=new.number if new else None,
        first_problems=row_problems(old),
        other_problems=row_problems(new),
        same_file=_is_same_file(first, other, rows),
        metrics=metrics,
        speed=speed_change(first, other, rows, measure),
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
        cell for cell in dict.fromkeys((*first, *other)) if cell not in first or cell not in other
    )
