"""Which row to explain, and what has to be read for it."""

from __future__ import annotations

from quantbench.core.config import SweepConfig
from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.plan import Arm
from quantbench.core.quantization import Float32
from quantbench.core.results import Artifact, SweepResult
from quantbench.core.summary import MetricSummary, RowSummary, SweepSummary
from quantbench.core.units import ExplainUnit

# What is explained without being asked for is to cost little.
WORST_ROW_SAMPLES = 2


def worst_row(summary: SweepSummary) -> tuple[RowSummary, str] | None:
    """The row that most needs an explanation, and why; None if nothing quantized was measured.

    The one with the largest drop in the primary metric; if no row has a drop, the slowest.
    """
    rows = [row for row in summary.distinct_rows if row.arm is not None]
    dropped = [(row, metric.drop) for row in rows if (metric := _primary(row, summary))]
    if dropped:
        row, drop = max(dropped, key=lambda item: item[1])
        if drop > 0:
            return row, f"it has the largest drop in {summary.primary_metric}, {drop:.2f} points"
    timed = [(row, row.arm.speedup.value) for row in rows if row.arm and row.arm.speedup]
    if not timed:
        return None
    row, _ = min(timed, key=lambda item: item[1])
    return row, f"no row has a drop in {summary.primary_metric}, and it is the slowest"


def explain_unit(
    result: SweepResult, config: SweepConfig, row: RowSummary, num_samples: int
) -> ExplainUnit:
    """The unit of work that explains a row: its file, and the float file that it was made from.

    Args:
        result: a measured sweep.
        config: with the commits that its names stand for.
        row: one with a file.
        num_samples: whose activations are compared, at most as many as were evaluated.

    Raises:
        UsageError: the row has no file, or nothing is quantized in it.
        QuantbenchError: the result is an imported card.
    """
    if result.plan is None or result.subject is None or result.environment is None:
        raise QuantbenchError("these results were published without the models they are of")
    if row.arm is None or row.refused is not None:
        raise UsageError(f"row {row.number} was not made: {row.refused or 'it has no results'}")
    arm = result.plan.arm(row.arm.id)
    if arm.variant is None or isinstance(arm.variant.quantization, Float32):
        reasons = "".join(f"\n    {i.parameter} {i.value}: {i.reason}" for i in row.inert)
        raise UsageError(
            f"nothing is quantized in row {row.number}: its file is the one in floats{reasons}",
            hint="Give a row whose file is quantized.",
        )
    return ExplainUnit(
        config=config,
        subject=result.subject,
        arm=arm,
        float_key=_float_key(result, arm),
        artifact_key=_artifact(result, arm).key,
        cell=result.plan.cells[0],
        num_samples=min(num_samples, result.subject.num_eval_samples),
        num_threads=result.environment.num_threads,
    )


def _primary(row: RowSummary, summary: SweepSummary) -> MetricSummary | None:
    metrics = row.arm.metrics if row.arm else ()
    return next((item for item in metrics if item.name == summary.primary_metric), None)


def _float_key(result: SweepResult, arm: Arm) -> str:
    """The key of the float file that an arm's file was quantized from."""
    found = _artifact(result, arm).float_key
    if found is None:
        raise QuantbenchError(
            f"the results do not say what the file of {arm.id} was made from",
            hint="They are of an older version: run the sweep again.",
        )
    return found


def _artifact(result: SweepResult, arm: Arm) -> Artifact:
    found = result.arm(arm.id).artifact
    if not isinstance(found, Artifact):
        raise UsageError(f"the file of {arm.id} could not be made: there is nothing to explain")
    return found
