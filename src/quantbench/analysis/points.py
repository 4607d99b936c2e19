"""The points of the accuracy-speed picture, as plain data."""

from __future__ import annotations

from typing import Literal

from quantbench.core.frozen import Frozen
from quantbench.core.summary import ArmSummary, SweepSummary

Kind = Literal["original", "reference", "quantized"]


class Point(Frozen):
    """One file: how much faster it is, and how much its primary metric drops, in points.

    `source` is what a recommendation calls it: ("row", number), ("reference", id) or
    ("original", None).
    """

    label: str
    kind: Kind
    source: tuple[str, int | str | None]
    speedup: float
    speedup_low: float
    speedup_high: float
    drop: float
    drop_low: float
    drop_high: float


def accuracy_speed_points(summary: SweepSummary, place: int | None = None) -> tuple[Point, ...]:
    """The distinct rows with both numbers, the reference, and the original.

    Args:
        summary: of a sweep.
        place: which cell's speed-up; the geometric mean over cells when left out.

    Returns:
        Nothing when no row has both numbers. Where there is no interval, its ends are the value.
    """
    rows = [
        _point(
            f"row {row.number}",
            "quantized",
            ("row", row.number),
            row.arm,
            summary.primary_metric,
            place,
        )
        for row in summary.distinct_rows
        if row.arm is not None
    ]
    found = [point for point in rows if point is not None]
    if not found:
        return ()
    references = [
        _point(
            _reference_name(summary, arm),
            "reference",
            ("reference", arm.id),
            arm,
            summary.primary_metric,
            place,
        )
        for arm in summary.references
    ]
    original = Point(
        label=summary.original_name,
        kind="original",
        source=("original", None),
        speedup=1.0,
        speedup_low=1.0,
        speedup_high=1.0,
        drop=0.0,
        drop_low=0.0,
        drop_high=0.0,
    )
    return (original, *(point for point in references if point is not None), *found)


def _reference_name(summary: SweepSummary, arm: ArmSummary) -> str:
    if len(summary.references) == 1:
        return "ONNX Runtime fp32"
    return f"fp32 {arm.id.rsplit('float32-', 1)[-1]}"


def _point(
    label: str,
    kind: Kind,
    source: tuple[str, int | str | None],
    arm: ArmSummary,
    metric_name: str,
    place: int | None,
) -> Point | None:
    metric = next((metric for metric in arm.metrics if metric.name == metric_name), None)
    speedup = arm.speedup if place is None else arm.cells[place].speedup
    if metric is None or speedup is None:
        return None
    return Point(
        label=label,
        kind=kind,
        source=source,
        speedup=speedup.value,
        speedup_low=speedup.value if speedup.low is None else speedup.low,
        speedup_high=speedup.value if speedup.high is None else speedup.high,
        drop=metric.drop,
        drop_low=metric.drop if metric.low is None else metric.low,
        drop_high=metric.drop if metric.high is None else metric.high,
    )
