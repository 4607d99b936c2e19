"""Making the files of a sweep: export, calibrate, quantize, each distinct thing once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from quantbench.core.calibration import Calibration
from quantbench.core.exporters import Export
from quantbench.core.plan import Plan, Variant, calibrated_operators
from quantbench.core.quantization import Float32, Static
from quantbench.core.results import ArtifactOutcome, Failed
from quantbench.core.steps import calibration_name
from quantbench.core.units import CalibrateUnit, ExportUnit, QuantizeUnit, Ranges, RangesAnswer
from quantbench.work import Work

_ARTIFACT: TypeAdapter[ArtifactOutcome] = TypeAdapter(ArtifactOutcome)


@dataclass(frozen=True)
class Files:
    """What became of each file of a sweep so far: by variant id, and ranges by calibration."""

    variants: dict[str, ArtifactOutcome] = field(default_factory=dict[str, ArtifactOutcome])
    ranges: dict[tuple[Export, Calibration], Ranges | Failed] = field(
        default_factory=dict[tuple[Export, Calibration], Ranges | Failed]
    )

    def exported(self, export: Export) -> ArtifactOutcome:
        """The file that was exported, or given, in that way."""
        return self.variants[Variant(export=export, quantization=Float32()).id]


def making_jobs(work: Work, files: Files) -> dict[str, Callable[[], None]]:
    """What to do for each step that makes a file, by step id; outcomes are put into `files`."""
    jobs: dict[str, Callable[[], None]] = {}
    for variant in work.plan.variants:
        if isinstance(variant.quantization, Float32):
            jobs[f"export {variant.export.name}"] = functools.partial(_export, work, files, variant)
        else:
            jobs[f"quantize {variant.id}"] = functools.partial(_quantize, work, files, variant)
    for export, calibration in work.plan.calibrations:
        name = calibration_name(export, calibration)
        jobs[f"calibrate {name}"] = functools.partial(_calibrate, work, files, export, calibration)
    return jobs


def _export(work: Work, files: Files, variant: Variant) -> None:
    unit = ExportUnit(
        config=work.config,
        subject=work.prepared.subject,
        export=variant.export,
        levels=_levels(work.plan, variant),
    )
    files.variants[variant.id] = work.ask(variant.export.name, unit, _ARTIFACT)


def _calibrate(work: Work, files: Files, export: Export, calibration: Calibration) -> None:
    exported = files.exported(export)
    if isinstance(exported, Failed):
        files.ranges[export, calibration] = exported
        return
    unit = CalibrateUnit(
        config=work.config,
        subject=work.prepared.subject,
        exported_key=exported.key,
        operators=calibrated_operators(work.plan, export, calibration),
        calibration=calibration,
    )
    answer: TypeAdapter[RangesAnswer] = TypeAdapter(RangesAnswer)
    name = calibration_name(export, calibration)
    files.ranges[export, calibration] = work.ask(name, unit, answer)


def _quantize(work: Work, files: Files, variant: Variant) -> None:
    scheme, exported = variant.quantization, files.exported(variant.export)
    found: Ranges | Failed | None = None
    if isinstance(scheme, Static):
        found = files.ranges[variant.export, scheme.calibration]
    if isinstance(exported, Failed):
        files.variants[variant.id] = exported
        return
    if isinstance(found, Failed):
        files.variants[variant.id] = found
        return
    unit = QuantizeUnit(
        config=work.config,
        subject=work.prepared.subject,
        variant=variant,
        exported_key=exported.key,
        ranges_key=None if found is None else found.key,
        levels=_levels(work.plan, variant),
    )
    files.variants[variant.id] = work.ask(variant.id, unit, _ARTIFACT)


def _levels(plan: Plan, variant: Variant) -> tuple[int, ...]:
    """The optimization levels that a file is opened with."""
    levels = {arm.optimization_level for arm in plan.arms if arm.variant == variant}
    return tuple(sorted(level for level in levels if level is not None))
