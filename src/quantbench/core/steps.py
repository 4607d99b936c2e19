"""The work of a sweep as a graph: each distinct unit once, with the units that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from quantbench.core.calibration import METHOD_DEFAULTS, Calibration
from quantbench.core.config import SweepConfig
from quantbench.core.frozen import Frozen
from quantbench.core.plan import Arm, Plan, Variant
from quantbench.core.preparation import FloatModel
from quantbench.core.quantization import Float32, Static

Cores = Literal["share", "all"]

REPORT_NAME = "card, table and pictures"
EXPLAIN_NAME = "the worst row"


class Step(Frozen):
    """One unit of work: its stage, what tells it from others of the stage, and what it needs.

    `needs` are ids of steps that must be over before. `cores` says what it computes with: steps
    of one share of the cores may run side by side, one of all cores runs alone. Steps of one stage
    and `kind` take a time that grows with `amount`: samples, or the seconds that timing may take.
    `rows` are those whose model is made or evaluated, for whoever watches.
    """

    stage: str
    name: str
    needs: tuple[str, ...] = ()
    cores: Cores = "all"
    kind: str = ""
    amount: float = 1.0
    rows: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """For example `evaluate original`."""
        return f"{self.stage} {self.name}"


# So many arms may be evaluated side by side: about as many as a sweep has.
EVALUATED_SIDE_BY_SIDE = 8
# Of a split whose size nobody knows yet.
GUESSED_SAMPLES = 500
PREPARE = Step(stage="prepare", name="model and data")


def steps(plan: Plan, config: SweepConfig, num_eval_samples: int) -> tuple[Step, ...]:
    """All steps of a sweep, each after those that it needs.

    Which arms share a file is known once all files are there, so accuracy comes after that; and
    nothing else runs while time is measured, so time comes last. Then it is known which row is the
    worst, and that one is explained.
    """
    planned = {arm.id: arm for arm in plan.arms}
    of_arms: dict[str, tuple[int, ...]] = {}
    of_variants: dict[str, tuple[int, ...]] = {}
    for row in plan.rows:
        if row.arm_id is None:
            continue
        of_arms[row.arm_id] = (*of_arms.get(row.arm_id, ()), row.number)
        variant = planned[row.arm_id].variant
        if variant is not None:
            of_variants[variant.id] = (*of_variants.get(variant.id, ()), row.number)
    exports = {
        export: Step(stage="export", name=export.name, needs=(PREPARE.id,), cores="share")
        for export in dict.fromkeys(variant.export for variant in plan.variants)
    }
    optimized = [_optimize_step(source) for source in plan.prepared]
    calibrations = [
        Step(
            stage="calibrate",
            name=calibration_name(source, calibration),
            needs=(_float_file(source),),
            amount=calibration.num_calibration_samples,
        )
        for source, calibration in plan.calibrations
    ]
    quantized = [
        Step(
            stage="quantize",
            name=item.id,
            needs=_needed_files(item),
            cores="share",
            kind=item.quantization.approach,
            rows=of_variants.get(item.id, ()),
        )
        for item in plan.variants
        if not isinstance(item.quantization, Float32)
    ]
    made = (*exports.values(), *optimized, *calibrations, *quantized)
    files = _ids(made)
    evaluated = [
        Step(
            stage="evaluate",
            name=arm.id,
            needs=files,
            cores="share",
            kind=_kind(arm),
            amount=num_eval_samples,
            rows=of_arms.get(arm.id, ()),
        )
        for arm in sorted(plan.measured_arms, key=_evaluated_after)
    ]
    seconds = len(plan.arms) * config.time_benchmark_args.duration
    timed = [
        Step(stage="time", name=cell.id, needs=_ids(evaluated), amount=seconds)
        for cell in plan.cells
    ]
    measured = (*_ids(evaluated), *_ids(timed))
    explained = [Step(stage="explain", name=EXPLAIN_NAME, needs=measured)] if quantized else []
    report = Step(stage="report", name=REPORT_NAME, needs=(*measured, *_ids(explained)))
    return (PREPARE, *made, *evaluated, *timed, *explained, report)


def evaluation_threads(num_threads: int, cores: int) -> int:
    """The threads that one arm is evaluated with, so that others fit beside it.

    They follow from the machine and not from the plan, so that a row more evaluates nothing anew.
    With one sample at a time, two threads are only 1.6 to 1.9 times as fast as one (decision 0064).

    Args:
        num_threads: what every runtime may have, at least 1.
        cores: physical cores that are allowed.
    """
    return min(num_threads, max(1, cores // EVALUATED_SIDE_BY_SIDE))


def calibration_name(source: FloatModel, calibration: Calibration) -> str:
    """For example `opset 11, minmax, 100 samples`; what is not the method's default is named."""
    own = METHOD_DEFAULTS[calibration.method]
    changed = [
        f"{name} {value}"
        for name, value in calibration.reads().items()
        if name != "method" and value != own[name]
    ]
    samples = f"{calibration.num_calibration_samples} samples"
    return ", ".join([source.name, calibration.method, *changed, samples])


def _optimize_step(source: FloatModel) -> Step:
    """Prepare a float file: for SmoothQuant samples are run, which takes most of the time."""
    smoothing = source.preparation.smoothing
    return Step(
        stage="optimize",
        name=source.name,
        needs=(f"export {source.export.name}",),
        cores="share" if smoothing is None else "all",
        kind="" if smoothing is None else "smoothing",
        amount=1.0 if smoothing is None else smoothing.num_calibration_samples,
    )


def _float_file(source: FloatModel) -> str:
    """The step that makes a float file."""
    if source.is_prepared:
        return f"optimize {source.name}"
    return f"export {source.export.name}"


def _needed_files(variant: Variant) -> tuple[str, ...]:
    source, scheme = variant.source, variant.quantization
    if isinstance(scheme, Static):
        name = calibration_name(source, scheme.calibration)
        return (_float_file(source), f"calibrate {name}")
    return (_float_file(source),)


def _evaluated_after(arm: Arm) -> int:
    """The longest come first, so that those beside each other end together.

    Below optimization level 2 static files take longest; dynamic ones take the least anywhere.
    """
    approach = None if arm.variant is None else arm.variant.quantization.approach
    return {"static": 0, "dynamic": 2}.get(approach or "", 1)


def _kind(arm: Arm) -> str:
    """What an arm computes with, for example `onnxruntime static`."""
    scheme = "" if arm.variant is None else f" {arm.variant.quantization.approach}"
    return f"{arm.framework}{scheme}"


def _ids(found: Sequence[Step]) -> tuple[str, ...]:
    return tuple(step.id for step in found)
