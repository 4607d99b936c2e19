"""Making the files of a sweep: export, calibrate, quantize, each distinct thing once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from quantbench.core.calibration import Calibration
from quantbench.core.plan import Plan, Variant, calibrated_operators
from quantbench.core.quantization import Float32, Static
from quantbench.core.results import ArtifactOutcome, Failed
from quantbench.core.steps import calibration_name, export_name
from quantbench.core.units import CalibrateUnit, ExportUnit, QuantizeUnit, Ranges, RangesAnswer
from quantbench.work import Work

_ARTIFACT: TypeAdapter[ArtifactOutcome] = TypeAdapter(ArtifactOutcome)


@dataclass(frozen=True)
class Files:
    """What became of each file of a sweep so far: by variant id, and ranges by calibration."""

    variants: dict[str, ArtifactOutcome] = field(default_factory=dict[str, ArtifactOutcome])
    ranges: dict[tuple[int, Calibration], Ranges | Failed] = field(
        default_factory=dict[tuple[int, Calibration], Ranges | Failed]
    )

    def export(self, opset: int) -> ArtifactOutcome:
        """The exported file of that opset."""
        return self.variants[Variant(opset=opset, quantization=Float32()).id]


def making_jobs(work: Work, files: Files) -> dict[str, Callable[[], None]]:
    """What to do for each step that makes a file, by step id; outcomes are put into `files`."""
    jobs: dict[str, Callable[[], None]] = {}
    for variant in work.plan.variants:
        if isinstance(variant.quantization, Float32):
            name = export_name(variant.opset)
            jobs[f"export {name}"] = functools.partial(_export, work, files, variant)
        else:
            jobs[f"quantize {variant.id}"] = functools.partial(_quantize, work, files, variant)
    for opset, calibration in work.plan.calibrations:
        name = calibration_name(opset, calibration)
        jobs[f"calibrate {name}"] = functools.partial(_calibrate, work, files, opset, calibration)
    return jobs


def _export(work: Work, files: Files, variant: Variant) -> None:
    unit = ExportUnit(
        config=work.config,
        subject=work.prepared.subject,
        opset=variant.opset,
        levels=_levels(work.plan, variant),
    )
    files.variants[variant.id] = work.ask(export_name(variant.opset), unit, _ARTIFACT)


def _calibrate(work: Work, files: Files, opset: int, calibration: Calibration) -> None:
    export = files.export(opset)
    if isinstance(export, Failed):
        files.ranges[opset, calibration] = export
        return
    unit = CalibrateUnit(
        config=work.config,
        subject=work.prepared.subject,
        exported_key=export.key,
        operators=calibrated_operators(work.plan, opset, calibration),
        calibration=calibration,
    )
    answer: TypeAdapter[RangesAnswer] = TypeAdapter(RangesAnswer)
    name = calibration_name(opset, calibration)
    files.ranges[opset, calibration] = work.ask(name, unit, answer)


def _quantize(work: Work, files: Files, variant: Variant) -> None:
    scheme, export = variant.quantization, files.export(variant.opset)
    found: Ranges | Failed | None = None
    if isinstance(scheme, Static):
        found = files.ranges[variant.opset, scheme.calibration]
    if isinstance(export, Failed):
        files.variants[variant.id] = export
        return
    if isinstance(found, Failed):
        files.variants[variant.id] = found
        return
    unit = QuantizeUnit(
        config=work.config,
        subject=work.prepared.subject,
        variant=variant,
        exported_key=export.key,
        ranges_key=None if found is None else found.key,
        levels=_levels(work.plan, variant),
    )
    files.variants[variant.id] = work.ask(variant.id, unit, _ARTIFACT)


def _levels(plan: Plan, variant: Variant) -> tuple[int, ...]:
    """The optimization levels that a file is opened with."""
    levels = {arm.optimization_level for arm in plan.arms if arm.variant == variant}
    return tuple(sorted(level for level in levels if level is not None))
