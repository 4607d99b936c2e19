"""Which samples one model answers worse, or better, than the original: what a drop is made of."""

from __future__ import annotations

from collections.abc import Sequence

from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.frozen import Frozen
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import Evaluation, Failed, Prediction, SweepResult
from quantbench.core.summary import RowSummary


class Flip(Frozen):
    """A sample whose score changed in some metric.

    `change` is that of the primary metric, or of the first that changed: negative is worse.
    Scores are per sample as the task gives them, 0 to 1 in most.
    """

    sample_id: str
    change: float
    original: Prediction
    optimized: Prediction
    original_scores: dict[str, float]
    optimized_scores: dict[str, float]


class Flips(Frozen):
    """All samples whose score changed in a row, worst first.

    `num_other` counts those that are answered differently, and no better or worse.
    """

    row: int
    trial_id: str
    metrics: tuple[str, ...]
    num_samples: int
    num_other: int
    flips: tuple[Flip, ...]


def find_flips(result: SweepResult, row: RowSummary, metrics: Sequence[str]) -> Flips:
    """Compare the answers of a row's model with the original's, sample by sample.

    Args:
        result: a measured sweep.
        row: one of its rows.
        metrics: those that are reported, the primary one first.

    Raises:
        UsageError: the row was refused.
        QuantbenchError: the row or the original was not evaluated.
    """
    if row.refused is not None or row.arm is None:
        raise UsageError(f"row {row.number} was not made: {row.refused or 'it has no results'}")
    if result.plan is None:
        raise QuantbenchError("these results were published without the answers behind them")
    before, after = (_evaluation(result, arm_id) for arm_id in (ORIGINAL_ID, row.arm.id))
    if before.sample_ids != after.sample_ids:
        raise QuantbenchError(
            f"row {row.number} and the original were evaluated on different samples",
            hint="Evaluate both again: run the sweep with --fresh.",
        )
    flips: list[Flip] = []
    num_other = 0
    for place, sample_id in enumerate(before.sample_ids):
        old, new = (
            {name: item.per_sample[name][place] for name in metrics} for item in (before, after)
        )
        changes = [new[name] - old[name] for name in metrics if new[name] != old[name]]
        answers = before.predictions[place], after.predictions[place]
        if changes:
            flips.append(
                Flip(
                    sample_id=sample_id,
                    change=changes[0],
                    original=answers[0],
                    optimized=answers[1],
                    original_scores=old,
                    optimized_scores=new,
                )
            )
        elif answers[0].answer != answers[1].answer:
            num_other += 1
    # Of equal losses the one that the original was surest of: it is the least expected.
    flips.sort(key=lambda flip: (flip.change, -(flip.original.score or 0.0)))
    return Flips(
        row=row.number,
        trial_id=row.trial_id,
        metrics=tuple(metrics),
        num_samples=before.num_samples,
        num_other=num_other,
        flips=tuple(flips),
    )


def _evaluation(result: SweepResult, arm_id: str) -> Evaluation:
    known = any(item.arm.id == arm_id for item in result.arms)
    arm = result.arm(arm_id) if known else None
    found = None if arm is None else arm.evaluation
    if isinstance(found, Evaluation):
        return found
    if found is None and arm is not None and isinstance(arm.artifact, Failed):
        found = arm.artifact
    name = "the original" if arm_id == ORIGINAL_ID else arm_id
    why = "was not evaluated" if found is None else f"could not be evaluated: {found.error}"
    raise QuantbenchError(f"{name} {why}", hint="Run the sweep again: it goes on where it ended.")
