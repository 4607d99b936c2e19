"""Making the files of a sweep: export, calibrate, quantize, each distinct thing once."""

from __future__ import annotations

from pydantic import TypeAdapter

from quantbench.core.plan import Plan, Variant, calibrated_operators
from quantbench.core.quantization import Float32, Static
from quantbench.core.results import ArtifactOutcome, Failed
from quantbench.core.steps import calibration_name
from quantbench.core.units import CalibrateUnit, ExportUnit, QuantizeUnit, Ranges, RangesAnswer
from quantbench.work import Work


def make_artifacts(work: Work) -> dict[str, ArtifactOutcome]:
    """Export, calibrate and quantize: the outcome of each distinct file, by variant id."""
    plan, subject = work.plan, work.prepared.subject
    outcome: TypeAdapter[ArtifactOutcome] = TypeAdapter(ArtifactOutcome)
    exported: dict[int, ArtifactOutcome] = {}
    ranges: dict[tuple[int, str], Ranges | Failed] = {}
    made: dict[str, ArtifactOutcome] = {}
    for opset in dict.fromkeys(variant.opset for variant in plan.variants):
        levels = _levels(plan, Variant(opset=opset, quantization=Float32()))
        unit = ExportUnit(config=work.config, subject=subject, opset=opset, levels=levels)
        exported[opset] = work.ask(f"opset {opset}", unit, outcome)
    for opset, calibration in plan.calibrations:
        export = exported[opset]
        if isinstance(export, Failed):
            continue
        calibrate = CalibrateUnit(
            config=work.config,
            subject=subject,
            exported_key=export.key,
            operators=calibrated_operators(plan, opset, calibration),
            calibration=calibration,
        )
        ranges[opset, calibration.model_dump_json()] = work.ask(
            calibration_name(opset, calibration), calibrate, TypeAdapter(RangesAnswer)
        )
    for variant in plan.variants:
        scheme, export = variant.quantization, exported[variant.opset]
        if isinstance(export, Failed) or isinstance(scheme, Float32):
            made[variant.id] = export
            continue
        found: Ranges | Failed | None = None
        if isinstance(scheme, Static):
            found = ranges[variant.opset, scheme.calibration.model_dump_json()]
        if isinstance(found, Failed):
            made[variant.id] = found
            continue
        quantize = QuantizeUnit(
            config=work.config,
            subject=subject,
            variant=variant,
            exported_key=export.key,
            ranges_key=None if found is None else found.key,
            levels=_levels(plan, variant),
        )
        made[variant.id] = work.ask(variant.id, quantize, outcome)
    return made


def _levels(plan: Plan, variant: Variant) -> tuple[int, ...]:
    """The optimization levels that a file is opened with."""
    levels = {arm.optimization_level for arm in plan.arms if arm.variant == variant}
    return tuple(sorted(level for level in levels if level is not None))
