"""Making the files of a sweep: export, optimize, calibrate, quantize, each distinct thing once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from quantbench.core.calibration import Calibration
from quantbench.core.plan import Plan, Variant, calibrated_operators
from quantbench.core.preparation import FloatModel
from quantbench.core.quantization import Float32, Static
from quantbench.core.results import Artifact, ArtifactOutcome, Failed
from quantbench.core.steps import calibration_name
from quantbench.core.units import (
    CalibrateUnit,
    ExportUnit,
    Optimized,
    OptimizedAnswer,
    OptimizeUnit,
    QuantizeUnit,
    Ranges,
    RangesAnswer,
)
from quantbench.work import Work

_ARTIFACT: TypeAdapter[ArtifactOutcome] = TypeAdapter(ArtifactOutcome)


@dataclass(frozen=True)
class Files:
    """What became of each file of a sweep so far.

    By variant id; prepared float files and ranges by what they are of.
    """

    variants: dict[str, ArtifactOutcome] = field(default_factory=dict[str, ArtifactOutcome])
    prepared: dict[FloatModel, Optimized | Failed] = field(
        default_factory=dict[FloatModel, Optimized | Failed]
    )
    ranges: dict[tuple[FloatModel, Calibration], Ranges | Failed] = field(
        default_factory=dict[tuple[FloatModel, Calibration], Ranges | Failed]
    )

    def source(self, source: FloatModel) -> Artifact | Optimized | Failed:
        """A float file: exported, or given, and prepared if it is to be."""
        if source.is_prepared:
            return self.prepared[source]
        return self.variants[Variant(export=source.export, quantization=Float32()).id]


def making_jobs(work: Work, files: Files) -> dict[str, Callable[[], None]]:
    """What to do for each step that makes a file, by step id; outcomes are put into `files`."""
    jobs: dict[str, Callable[[], None]] = {}
    for variant in work.plan.variants:
        if isinstance(variant.quantization, Float32):
            jobs[f"export {variant.export.name}"] = functools.partial(_export, work, files, variant)
        else:
            jobs[f"quantize {variant.id}"] = functools.partial(_quantize, work, files, variant)
    for source in work.plan.prepared:
        jobs[f"optimize {source.name}"] = functools.partial(_optimize, work, files, source)
    for source, calibration in work.plan.calibrations:
        name = calibration_name(source, calibration)
        jobs[f"calibrate {name}"] = functools.partial(_calibrate, work, files, source, calibration)
    return jobs


def _export(work: Work, files: Files, variant: Variant) -> None:
    unit = ExportUnit(
        config=work.config,
        subject=work.prepared.subject,
        export=variant.export,
        levels=_levels(work.plan, variant),
    )
    files.variants[variant.id] = work.ask(variant.export.name, unit, _ARTIFACT)


def _optimize(work: Work, files: Files, source: FloatModel) -> None:
    exported = files.source(FloatModel(export=source.export))
    if isinstance(exported, Failed):
        files.prepared[source] = exported
        return
    unit = OptimizeUnit(
        config=work.config,
        subject=work.prepared.subject,
        exported_key=exported.key,
        preparation=source.preparation,
    )
    answer: TypeAdapter[OptimizedAnswer] = TypeAdapter(OptimizedAnswer)
    files.prepared[source] = work.ask(source.name, unit, answer)


def _calibrate(work: Work, files: Files, source: FloatModel, calibration: Calibration) -> None:
    found = files.source(source)
    if isinstance(found, Failed):
        files.ranges[source, calibration] = found
        return
    unit = CalibrateUnit(
        config=work.config,
        subject=work.prepared.subject,
        float_key=found.key,
        operators=calibrated_operators(work.plan, source, calibration),
        calibration=calibration,
    )
    answer: TypeAdapter[RangesAnswer] = TypeAdapter(RangesAnswer)
    name = calibration_name(source, calibration)
    files.ranges[source, calibration] = work.ask(name, unit, answer)


def _quantize(work: Work, files: Files, variant: Variant) -> None:
    scheme, source = variant.quantization, files.source(variant.source)
    found: Ranges | Failed | None = None
    if isinstance(scheme, Static):
        found = files.ranges[variant.source, scheme.calibration]
    if isinstance(source, Failed):
        files.variants[variant.id] = source
        return
    if isinstance(found, Failed):
        files.variants[variant.id] = found
        return
    unit = QuantizeUnit(
        config=work.config,
        subject=work.prepared.subject,
        variant=variant,
        float_key=source.key,
        ranges_key=None if found is None else found.key,
        levels=_levels(work.plan, variant),
    )
    made = work.ask(variant.id, unit, _ARTIFACT)
    if isinstance(made, Artifact) and isinstance(source, Optimized):
        made = made.model_copy(update={"prepared": source.facts})
    files.variants[variant.id] = made


def _levels(plan: Plan, variant: Variant) -> tuple[int, ...]:
    """The optimization levels that a file is opened with."""
    levels = {arm.optimization_level for arm in plan.arms if arm.variant == variant}
    return tuple(sorted(level for level in levels if level is not None))
