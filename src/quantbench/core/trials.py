"""What is known of a row, taken together from its arm's results: for eyes and for queries."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from quantbench.core.plan import Row
from quantbench.core.results import (
    ArmResult,
    Evaluation,
    Failed,
    Timing,
    TimingFailed,
    TrialResult,
    TrialScore,
    TrialTiming,
)


def trial_result(row: Row, arm: ArmResult | None, original: ArmResult | None) -> TrialResult:
    """The state of a row.

    Args:
        row: of the plan.
        arm: what is known of the arm that is measured for it; None if the row was refused.
        original: what is known of the original, whose times of the same session go beside.
    """
    return TrialResult(
        row=row.number,
        trial_id=row.trial.id,
        parameters=row.trial.parameters,
        refused=row.refused,
        inert=row.inert,
        reference=row.reference_id,
        measured_as=None if arm is None else arm.arm.id,
        artifact=None if arm is None else arm.artifact,
        score=None if arm is None else _score(arm),
        timings=() if arm is None else tuple(_timing(item, original) for item in arm.timings),
    )


def _score(arm: ArmResult) -> TrialScore | Failed | None:
    found = arm.evaluation
    if isinstance(found, Evaluation):
        return TrialScore(num_samples=found.num_samples, metrics=found.metrics)
    return found


def _timing(
    timing: Timing | TimingFailed, original: ArmResult | None
) -> TrialTiming | TimingFailed:
    if isinstance(timing, TimingFailed):
        return timing
    beside = [
        item
        for item in (original.timings if original else ())
        if isinstance(item, Timing) and item.cell == timing.cell and item.session == timing.session
    ]
    times = _all(timing)
    return TrialTiming(
        batch_size=timing.cell.batch_size,
        input_length=timing.cell.input_length,
        num_forwards=len(times),
        median_ms=median(times) / 1e6,
        original_median_ms=median(_all(beside[0])) / 1e6 if beside else None,
    )


def _all(timing: Timing) -> Sequence[int]:
    return [value for block in timing.blocks for value in block.samples_ns]
