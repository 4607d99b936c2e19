"""From the facts of a sweep to its summary: each row beside the original and the reference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quantbench.analysis import accuracy, distance, quiet, timing
from quantbench.analysis.consistent import check_consistent
from quantbench.analysis.facts import Facts
from quantbench.analysis.failures import failures, failures_of_others
from quantbench.analysis.idle import idle_in_graph
from quantbench.analysis.published import summarize_published
from quantbench.core import stats
from quantbench.core.errors import QuantbenchError
from quantbench.core.instructions import saturation
from quantbench.core.plan import ORIGINAL_ID, Cell
from quantbench.core.results import (
    Artifact,
    Block,
    Failed,
    SweepResult,
    Timing,
)
from quantbench.core.specs import TaskSpec
from quantbench.core.summary import (
    ArmSummary,
    CellSummary,
    Load,
    Noise,
    Ratio,
    RowSummary,
    Status,
    SweepSummary,
)
from quantbench.core.threads import too_many_threads

SAME = Ratio(value=1.0, low=1.0, high=1.0, shared=True)
THE_REFERENCE = "the reference"


def summarize(result: SweepResult, task: TaskSpec) -> SweepSummary:
    """Derive every number that reports print.

    Args:
        result: a measured sweep, finished or not, or an imported card.
        task: the spec of its task.

    Raises:
        QuantbenchError: the result holds neither a plan nor published rows, contradicts itself, or
            its evaluations cannot be paired.
    """
    if result.published:
        return summarize_published(result, task)
    if result.plan is None:
        raise QuantbenchError("these results hold neither a plan nor published rows")
    plan = result.plan
    has = tuple(metric.name for metric in task.metrics_with(result.config.task_args))
    names = result.config.metrics or has
    metrics = [task.metric(name) for name in names]
    check_consistent(result, plan, metrics)
    arms = {found.arm.id: found for found in result.arms}
    facts = Facts(result, plan, metrics, arms)
    loads = _loads(facts)
    return SweepSummary(
        method_version=stats.METHOD_VERSION,
        measured=True,
        scenario=result.config.time_benchmark_args.scenario,
        primary_metric=names[0],
        metric_names=tuple(names),
        cells=plan.cells,
        rows=_rows(facts),
        original_name=facts.original_name,
        original=_arm_summary(facts, ORIGINAL_ID, None),
        references=tuple(
            _arm_summary(facts, arm.id, arm.id)
            for arm in plan.arms
            if arm.role == "reference" and facts.resolve(arm.id) != ORIGINAL_ID
        ),
        noise=_noise(facts),
        loads=loads,
        inert=plan.inert,
        warnings=_warnings_for_all(facts, loads),
    )


def _warnings(facts: Facts, arm_id: str | None) -> tuple[str, ...]:
    """What of a row's numbers may be particular to the machine."""
    if arm_id is None or facts.environment is None:
        return ()
    found = saturation(facts.planned(arm_id), facts.environment.cpu.flags)
    return () if found is None else (found,)


def _warnings_for_all(facts: Facts, loads: Sequence[Load]) -> tuple[str, ...]:
    """What the times of all rows may suffer from."""
    found = [quiet.not_quiet(loads), _two_states(facts)]
    if facts.environment is not None:
        found.append(too_many_threads(facts.environment.num_threads, facts.environment.cpu))
    return tuple(warning for warning in found if warning is not None)


def _two_states(facts: Facts) -> str | None:
    """The cells in which the blocks of an arm were in two states."""
    arms = [item for arm in facts.plan.arms if (item := facts.own(arm.id)) is not None]
    found = {
        cell.name: sum(
            any(
                latency.is_bimodal
                for item in facts.own_timings(arm.arm.id, cell)
                if (latency := facts.latency(item)) is not None
            )
            for arm in arms
        )
        for cell in facts.plan.cells
    }
    named = [f"{name}: {count} of the models" for name, count in found.items() if count]
    if not named:
        return None
    return (
        f"times have two states, a fast and a slow one ({'; '.join(named)}): the milliseconds may "
        "be those of neither; compare by the ratios and their intervals"
    )


def _loads(facts: Facts) -> tuple[Load, ...]:
    found = (quiet.load(cell, *_sessions(facts.timings_of_all(cell))) for cell in facts.plan.cells)
    return tuple(load for load in found if load is not None)


def _sessions(timings: Iterable[Timing]) -> list[list[Block]]:
    """The blocks of all arms, session by session."""
    found: dict[str, list[Block]] = {}
    for item in timings:
        found.setdefault(item.session, []).extend(item.blocks)
    return list(found.values())


def _rows(facts: Facts) -> tuple[RowSummary, ...]:
    first_with: dict[str, int] = {}
    rows: list[RowSummary] = []
    config = facts.config
    asked = config.model_fields_set | config.benchmarked.keys()
    for row in facts.plan.rows:
        idle = idle_in_graph(facts.own(row.arm_id) if row.arm_id else None)
        # A mask that is not there is news to those alone who asked for it to be clamped.
        inert = (
            *row.inert,
            *(item for item in idle if item.parameter != "clamp_mask" or "clamp_mask" in asked),
        )
        base = RowSummary(
            number=row.number,
            trial_id=row.trial.id,
            parameters=row.trial.parameters,
            status="refused",
            refused=row.refused,
            inert=inert,
            warnings=_warnings(facts, row.arm_id),
            reference_id=row.reference_id and facts.resolve(row.reference_id),
        )
        if row.arm_id is None or row.reference_id is None:
            rows.append(base)
            continue
        measured_id = facts.resolve(row.arm_id)
        arm = _arm_summary(facts, row.arm_id, row.reference_id)
        shares_with = None
        if measured_id == facts.resolve(row.reference_id):
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
    if arm.failures:
        return "partial"
    return "measured" if shares_with is None else "shared"


def _arm_summary(facts: Facts, arm_id: str, reference_id: str | None) -> ArmSummary:
    """Summarize one arm against the original; `reference_id` is None for the original itself."""
    own = facts.own(arm_id)
    measured = facts.own(facts.resolve(arm_id))
    original, optimized = facts.evaluation(ORIGINAL_ID), facts.evaluation(arm_id)
    pair = (original, optimized) if original and optimized else None
    cells = tuple(_cell(facts, arm_id, reference_id, cell) for cell in facts.plan.cells)
    artifact = own.artifact if own and isinstance(own.artifact, Artifact) else None
    if artifact is None and measured and isinstance(measured.artifact, Artifact):
        artifact = measured.artifact
    level = facts.planned(arm_id).optimization_level
    same = facts.resolve(arm_id) == ORIGINAL_ID
    return ArmSummary(
        id=facts.resolve(arm_id),
        metrics=(
            accuracy.compare_metrics(
                *pair,
                facts.metrics,
                facts.config.seed,
                facts.num_compared if reference_id not in (None, arm_id) else 1,
            )
            if pair
            else ()
        ),
        agreement=accuracy.agreement(*pair) if pair else None,
        cosine=distance.cosine(*pair) if pair else None,
        kl_divergence_nats=distance.kl_divergence_nats(*pair) if pair else None,
        logit_rms=distance.logit_rms(*pair) if pair else None,
        cells=cells,
        speedup=SAME if same else timing.overall([c.speedup for c in cells if c.speedup]),
        quantization_speedup=timing.overall(
            [c.quantization_speedup for c in cells if c.quantization_speedup]
        ),
        num_bytes=artifact.num_bytes if artifact else None,
        opset=artifact.opset if artifact else None,
        nodes=artifact.nodes if artifact else {},
        executed_nodes=artifact.executed_nodes.get(str(level), {}) if artifact else {},
        exclusion_matches=artifact.exclusion_matches if artifact else {},
        max_abs_difference=artifact.max_abs_difference if artifact else None,
        prepared=artifact.prepared if artifact else None,
        failures=(
            *failures(facts, arm_id),
            *failures_of_others(facts, arm_id, reference_id, cells),
        ),
    )


def _cell(facts: Facts, arm_id: str, reference_id: str | None, cell: Cell) -> CellSummary:
    found = facts.timing(arm_id, cell)
    original = facts.timing(ORIGINAL_ID, cell, found)
    reference = facts.timing(reference_id, cell, found) if reference_id else None
    speedup = facts.ratio(ORIGINAL_ID, arm_id, cell, found)
    over_reference = facts.ratio(reference_id, arm_id, cell, found)
    timed = isinstance(found, Timing)
    if timed and facts.resolve(arm_id) == ORIGINAL_ID:
        speedup = SAME
    if timed and reference_id and facts.resolve(arm_id) == facts.resolve(reference_id):
        over_reference = SAME
    # A file against itself is 1 by definition: its width says nothing of what was measured.
    ratios = [item for item in (speedup, over_reference) if item is not None and not item.shared]
    widths = [item.half_width for item in ratios if item.half_width is not None]
    half_width = max(widths) if widths and len(widths) == len(ratios) else None
    precision = facts.config.time_benchmark_args.precision
    return CellSummary(
        cell=cell,
        original=facts.latency(original),
        reference=facts.latency(reference),
        optimized=facts.latency(found),
        speedup=speedup,
        quantization_speedup=over_reference,
        runtime_speedup=(
            facts.ratio(ORIGINAL_ID, reference_id, cell, found) if reference_id else None
        ),
        half_width=half_width,
        peak_rss_bytes=timing.peak_rss_bytes(found) if isinstance(found, Timing) else None,
        unresolved=bool(ratios) and (half_width is None or half_width > precision),
        missing=_missing(found, original, facts.original_name),
    )


def _missing(
    found: Timing | Failed | None, original: Timing | Failed | None, original_name: str
) -> str | None:
    if found is None:
        return "not timed"
    if isinstance(found, Failed):
        return found.error
    if not isinstance(original, Timing):
        error = " was not timed" if original is None else f": {original.error}"
        return f"{original_name}{error}"
    return None


def _noise(facts: Facts) -> tuple[Noise, ...]:
    twin = next((arm for arm in facts.plan.arms if arm.role == "reference_twin"), None)
    found = facts.own(twin.id) if twin else None
    if found is None:
        return ()
    # In a session with another anchor (its own reference failed) a twin is no copy of it.
    copies = [
        item
        for item in found.timings
        if isinstance(item, Timing)
        and item.reference_id == facts.resolve(found.arm.id.removesuffix("-twin"))
    ]
    pairs = [(copy, facts.anchor(copy)) for copy in copies]
    floors = [
        (copy, timing.noise(copy.cell, anchor, copy))
        for copy, anchor in pairs
        if anchor is not None
    ]
    return tuple(
        floor.model_copy(update={"rows": _rows_of(facts, copy)})
        for copy, floor in floors
        if floor is not None
    )


def _rows_of(facts: Facts, copy: Timing) -> tuple[int, ...]:
    """The rows whose times are of the session of that timing."""
    return tuple(
        row.number
        for row in facts.plan.rows
        if row.arm_id is not None
        and isinstance(found := facts.timing(row.arm_id, copy.cell), Timing)
        and found.session == copy.session
    )
