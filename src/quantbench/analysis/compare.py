"""From the facts of a sweep to its summary: each row beside the original and the reference."""

from __future__ import annotations

from collections.abc import Sequence

from quantbench.analysis import accuracy, timing
from quantbench.analysis.published import summarize_published
from quantbench.analysis.summary import (
    ArmSummary,
    CellSummary,
    Failure,
    Noise,
    Ratio,
    RowSummary,
    Status,
    SweepSummary,
)
from quantbench.core import stats
from quantbench.core.errors import QuantbenchError
from quantbench.core.plan import ORIGINAL_ID, Arm, Cell, Plan, Row
from quantbench.core.quantization import Inert
from quantbench.core.results import (
    ArmResult,
    Artifact,
    Evaluation,
    Failed,
    SweepResult,
    Timing,
    TimingFailed,
)
from quantbench.core.specs import MetricSpec, TaskSpec

SAME = Ratio(value=1.0, low=1.0, high=1.0, shared=True)
THE_REFERENCE = "the reference"


def summarize(result: SweepResult, task: TaskSpec) -> SweepSummary:
    """Derive every number that reports print.

    Args:
        result: a measured sweep, finished or not, or an imported card.
        task: the spec of its task.

    Raises:
        QuantbenchError: the result holds neither a plan nor published rows, or its evaluations
            cannot be paired.
    """
    if result.published:
        return summarize_published(result, task)
    if result.plan is None:
        raise QuantbenchError("these results hold neither a plan nor published rows")
    plan = result.plan
    names = result.config.metrics or tuple(metric.name for metric in task.metrics)
    metrics = [task.metric(name) for name in names]
    arms = {found.arm.id: found for found in result.arms}
    context = _Context(result, plan, metrics, arms)
    return SweepSummary(
        method_version=stats.METHOD_VERSION,
        measured=True,
        primary_metric=names[0],
        metric_names=tuple(names),
        cells=plan.cells,
        rows=_rows(context),
        original=_arm_summary(context, ORIGINAL_ID, None),
        references=tuple(
            _arm_summary(context, arm.id, arm.id) for arm in plan.arms if arm.role == "reference"
        ),
        noise=_noise(context),
        inert=plan.inert,
    )


class _Context:
    """What every step looks things up in."""

    def __init__(
        self,
        result: SweepResult,
        plan: Plan,
        metrics: Sequence[MetricSpec],
        arms: dict[str, ArmResult],
    ) -> None:
        self.config = result.config
        self.plan = plan
        self.metrics = metrics
        self._arms = arms
        # The reference that every round starts and ends with: ratios go through it.
        self.anchor_id = next(arm.id for arm in plan.arms if arm.role == "reference")

    def own(self, arm_id: str) -> ArmResult | None:
        """The result of exactly that arm; None if it was never run."""
        return self._arms.get(arm_id)

    def resolve(self, arm_id: str) -> str:
        """The id of the arm that was measured in that arm's place."""
        found = self._arms.get(arm_id)
        return arm_id if found is None or found.same_as is None else self.resolve(found.same_as)

    def evaluation(self, arm_id: str) -> Evaluation | None:
        found = self._arms.get(self.resolve(arm_id))
        return found.evaluation if found and isinstance(found.evaluation, Evaluation) else None

    def timing(self, arm_id: str, cell: Cell) -> Timing | TimingFailed | None:
        found = self._arms.get(self.resolve(arm_id))
        timings = found.timings if found else ()
        return next((item for item in timings if item.cell == cell), None)

    def log_ratios(self, arm_id: str, cell: Cell) -> dict[int, float]:
        """Logs of the arm over the anchor by round; empty where one of them is missing."""
        arm, anchor = self.timing(arm_id, cell), self.timing(self.anchor_id, cell)
        if not isinstance(arm, Timing) or not isinstance(anchor, Timing):
            return {}
        return stats.ratio_per_round(arm.blocks, anchor.blocks)


def _rows(context: _Context) -> tuple[RowSummary, ...]:
    first_with: dict[str, int] = {}
    rows: list[RowSummary] = []
    for row in context.plan.rows:
        inert = (*row.inert, *_unmatched(context, row))
        base = RowSummary(
            number=row.number,
            trial_id=row.trial.id,
            parameters=row.trial.parameters,
            status="refused",
            refused=row.refused,
            inert=inert,
            reference_id=row.reference_id,
        )
        if row.arm_id is None or row.reference_id is None:
            rows.append(base)
            continue
        measured_id = context.resolve(row.arm_id)
        arm = _arm_summary(context, row.arm_id, row.reference_id)
        shares_with = None
        if measured_id == context.resolve(row.reference_id):
            shares_with = THE_REFERENCE
        elif measured_id in first_with:
            shares_with = f"row {first_with[measured_id]}"
        first_with.setdefault(measured_id, row.number)
        update = {"status": _status(arm, shares_with), "shares_with": shares_with, "arm": arm}
        rows.append(base.model_copy(update=update))
    return tuple(rows)


def _status(arm: ArmSummary, shares_with: str | None) -> Status:
    timed = any(cell.optimized is not None for cell in arm.cells)
    if not timed and not arm.metrics:
        return "failed"
    if shares_with is not None:
        return "shared"
    return "partial" if arm.failures else "measured"


def _arm_summary(context: _Context, arm_id: str, reference_id: str | None) -> ArmSummary:
    """Summarize one arm against the original; `reference_id` is None for the original itself."""
    own = context.own(arm_id)
    measured = context.own(context.resolve(arm_id))
    original, optimized = context.evaluation(ORIGINAL_ID), context.evaluation(arm_id)
    both = original is not None and optimized is not None
    cells = tuple(_cell(context, arm_id, reference_id, cell) for cell in context.plan.cells)
    artifact = own.artifact if own and isinstance(own.artifact, Artifact) else None
    if artifact is None and measured and isinstance(measured.artifact, Artifact):
        artifact = measured.artifact
    level = context.plan.arm(arm_id).optimization_level
    same = arm_id == ORIGINAL_ID
    return ArmSummary(
        id=context.resolve(arm_id),
        metrics=(
            accuracy.compare_metrics(original, optimized, context.metrics, context.config.seed)
            if original and optimized
            else ()
        ),
        agreement=accuracy.agreement(original, optimized)
        if both and original and optimized
        else None,
        cells=cells,
        speedup=SAME if same else timing.overall([c.speedup for c in cells if c.speedup]),
        num_bytes=artifact.num_bytes if artifact else None,
        opset=artifact.opset if artifact else None,
        nodes=artifact.nodes if artifact else {},
        executed_nodes=artifact.executed_nodes.get(str(level), {}) if artifact else {},
        exclusion_matches=artifact.exclusion_matches if artifact else {},
        max_abs_difference=artifact.max_abs_difference if artifact else None,
        failures=_failures(measured, context.plan.arm(arm_id)),
    )


def _cell(context: _Context, arm_id: str, reference_id: str | None, cell: Cell) -> CellSummary:
    found = context.timing(arm_id, cell)
    original = context.timing(ORIGINAL_ID, cell)
    reference = context.timing(reference_id, cell) if reference_id else None
    original_logs = context.log_ratios(ORIGINAL_ID, cell)
    arm_logs = context.log_ratios(arm_id, cell)
    reference_logs = context.log_ratios(reference_id, cell) if reference_id else {}
    timed = isinstance(found, Timing)
    speedup = timing.ratio(original_logs, arm_logs) if timed else None
    over_reference = timing.ratio(reference_logs, arm_logs) if timed else None
    if timed and arm_id == ORIGINAL_ID:
        speedup = SAME
    elif timed and reference_id and context.resolve(arm_id) == context.resolve(reference_id):
        over_reference = SAME
    ratios = [item for item in (speedup, over_reference) if item is not None]
    widths = [item.half_width for item in ratios]
    known = [width for width in widths if width is not None]
    precision = context.config.time_benchmark_args.precision
    return CellSummary(
        cell=cell,
        original=timing.latency(original) if isinstance(original, Timing) else None,
        reference=timing.latency(reference) if isinstance(reference, Timing) else None,
        optimized=timing.latency(found) if isinstance(found, Timing) else None,
        speedup=speedup,
        quantization_speedup=over_reference,
        runtime_speedup=timing.ratio(original_logs, reference_logs),
        half_width=max(known, default=None),
        unresolved=bool(widths) and (None in widths or max(known) > precision),
        missing=_missing(found, original),
    )


def _missing(found: Timing | Failed | None, original: Timing | Failed | None) -> str | None:
    if found is None:
        return "not timed"
    if isinstance(found, Failed):
        return found.error
    if not isinstance(original, Timing):
        return "PyTorch eager was not timed" if original is None else original.error
    return None


def _failures(found: ArmResult | None, arm: Arm) -> tuple[Failure, ...]:
    if found is None:
        return (Failure(stage="run", error=f"{arm.id} has not been run", hint="Run again."),)
    failures = [
        Failure(stage=item.stage, error=item.error, hint=item.hint)
        for item in (found.artifact, found.evaluation)
        if isinstance(item, Failed)
    ]
    failures += [
        Failure(stage=item.stage, error=item.error, hint=item.hint, cell=item.cell)
        for item in found.timings
        if isinstance(item, TimingFailed)
    ]
    return tuple(failures)


def _unmatched(context: _Context, row: Row) -> list[Inert]:
    """Exclusions that describe no node of this row's graph."""
    own = context.own(row.arm_id) if row.arm_id else None
    if own is None or not isinstance(own.artifact, Artifact):
        return []
    asked = row.trial.parameters.get("node_exclusion", list(context.config.node_exclusion))
    known = {item.value for item in row.inert if item.parameter == "node_exclusion"}
    return [
        Inert(parameter="node_exclusion", value=name, reason="matches no node of this model")
        for name in (asked if isinstance(asked, list | tuple) else ())
        if isinstance(name, str)
        and name not in known
        and own.artifact.exclusion_matches.get(name) == 0
    ]


def _noise(context: _Context) -> tuple[Noise, ...]:
    twin = next((arm for arm in context.plan.arms if arm.role == "reference_twin"), None)
    found = context.own(twin.id) if twin else None
    if found is None:
        return ()
    copies = [item for item in found.timings if isinstance(item, Timing)]
    pairs = [(copy, context.timing(context.anchor_id, copy.cell)) for copy in copies]
    floors = [timing.noise(c.cell, a, c) for c, a in pairs if isinstance(a, Timing)]
    return tuple(floor for floor in floors if floor is not None)
