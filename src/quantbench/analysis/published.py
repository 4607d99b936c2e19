"""The summary of an imported card: means only, so no intervals."""

from __future__ import annotations

from quantbench.analysis.timing import overall
from quantbench.core.frozen import content_key
from quantbench.core.plan import Cell
from quantbench.core.results import PublishedRow, PublishedTiming, SweepResult
from quantbench.core.specs import TaskSpec
from quantbench.core.summary import (
    PYTORCH_EAGER,
    ArmSummary,
    CellSummary,
    Latency,
    MetricSummary,
    Ratio,
    RowSummary,
    SweepSummary,
)

METHOD_VERSION = "published-means"


def summarize_published(result: SweepResult, task: TaskSpec) -> SweepSummary:
    """Summarize an imported card. Speed-ups are ratios of its means, without intervals.

    The cards count forward passes as throughput; samples per second are made from them with the
    batch size.
    """
    rows = result.published
    names = tuple(rows[0].original)
    return SweepSummary(
        method_version=METHOD_VERSION,
        measured=False,
        original_name=PYTORCH_EAGER,
        primary_metric=names[0],
        metric_names=names,
        cells=tuple(_cell(timing) for timing in rows[0].timings),
        rows=tuple(_row(row, task) for row in rows),
    )


def _row(row: PublishedRow, task: TaskSpec) -> RowSummary:
    cells = tuple(_timing(timing) for timing in row.timings)
    return RowSummary(
        number=row.number,
        trial_id=content_key(row.parameters, 12),
        parameters=row.parameters,
        status="measured",
        arm=ArmSummary(
            id=f"published-row-{row.number}",
            metrics=tuple(
                MetricSummary(
                    name=name,
                    original=value,
                    optimized=row.optimized[name],
                    original_points=value * task.metric(name).scale,
                    drop=(value - row.optimized[name]) * task.metric(name).scale,
                )
                for name, value in row.original.items()
            ),
            cells=cells,
            speedup=overall([cell.speedup for cell in cells if cell.speedup]),
        ),
    )


def _cell(timing: PublishedTiming) -> Cell:
    return Cell(batch_size=timing.batch_size, input_length=timing.input_length)


def _timing(timing: PublishedTiming) -> CellSummary:
    cell = _cell(timing)
    original, optimized = timing.latency_mean_original_ms, timing.latency_mean_optimized_ms
    return CellSummary(
        cell=cell,
        original=_latency(cell, original, timing.throughput_original_per_s),
        optimized=_latency(cell, optimized, timing.throughput_optimized_per_s),
        speedup=Ratio(value=original / optimized),
    )


def _latency(cell: Cell, mean_ms: float, forwards_per_s: float) -> Latency:
    return Latency(
        mean_ms=mean_ms,
        p50_ms=None,
        p90_ms=None,
        p95_ms=None,
        p99_ms=None,
        num_forwards=None,
        throughput_per_s=forwards_per_s * cell.batch_size,
        forwards_per_s=forwards_per_s,
    )
