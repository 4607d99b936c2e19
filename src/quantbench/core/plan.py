"""What is to be done: the rows of the grid, and the distinct work behind them.

Pure: a plan is made from the config alone, before any model is seen.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import JsonValue

from quantbench.core.calibration import Calibration, methods_with
from quantbench.core.config import SweepConfig
from quantbench.core.config_file import with_values
from quantbench.core.effective import NOTHING, effective, of_other_approaches
from quantbench.core.exporters import Export, export_refusal
from quantbench.core.frozen import Frozen, content_key
from quantbench.core.preparation import FloatModel, Preparation, Smoothing
from quantbench.core.quantization import (
    APPROACHES_OF,
    Float32,
    Inert,
    Quantization,
    Static,
)
from quantbench.core.refusals import refusal
from quantbench.core.specs import TaskSpec

ORIGINAL_ID = "original"
REFERENCE_FRAMEWORK = "onnxruntime"
# What ONNX Runtime does if it is told nothing.
DEFAULT_LEVEL = 99
_FUSED = "framework_args.optimize_before_quantization"

Role = Literal["original", "reference", "reference_twin", "row"]


class Variant(Frozen):
    """One distinct model file: an export, quantized or as it is.

    `fused` says that ONNX Runtime's fused operators are written into it before.
    """

    export: Export
    fused: bool = False
    quantization: Quantization

    @property
    def id(self) -> str:
        """Readable, and different for different variants."""
        scheme = self.quantization.approach
        if isinstance(self.quantization, Float32):
            dynamo = "-dynamo" if self.export.exporter == "dynamo" else ""
            return f"{scheme}-opset{self.export.opset}{dynamo}"
        return f"{scheme}-{content_key(self.model_dump(mode='json'), 8)}"

    @property
    def source(self) -> FloatModel:
        """The float file that it is quantized from."""
        scheme, smoothing = self.quantization, None
        if isinstance(scheme, Static) and scheme.smooth_quant_alpha is not None:
            smoothing = Smoothing(
                alpha=scheme.smooth_quant_alpha,
                num_calibration_samples=scheme.calibration.num_calibration_samples,
            )
        clamp = isinstance(scheme, Static) and scheme.clamp_mask
        prepared = Preparation(fuse=self.fused, clamp_mask=clamp, smoothing=smoothing)
        return FloatModel(export=self.export, preparation=prepared)


class Arm(Frozen):
    """One model in one runtime: what is evaluated, and timed in a process of its own.

    `variant` is None for what PyTorch runs eagerly. A `reference_twin` is a second copy of the
    reference: the ratio of the two shows the noise floor.
    """

    id: str
    role: Role
    framework: str
    variant: Variant | None
    optimization_level: int | None


class Trial(Frozen):
    """One point of the grid: the swept parameters with their values, in the config's order."""

    parameters: dict[str, JsonValue]

    @property
    def id(self) -> str:
        """A hash of the parameters, whatever their order."""
        return content_key(self.parameters, 12)


class Row(Frozen):
    """A trial, what stands behind it, and what of it cannot act.

    `number` counts from 1 in the order of the card's tables. `refused` says why the row cannot
    be made at all; `arm_id` is then None.
    """

    number: int
    trial: Trial
    arm_id: str | None
    reference_id: str | None
    inert: tuple[Inert, ...]
    refused: str | None = None


class Cell(Frozen):
    """One shape that is timed. `input_length` is None where the task's inputs have no length."""

    batch_size: int
    input_length: int | None

    @property
    def id(self) -> str:
        """For example `b4-l128`."""
        length = "" if self.input_length is None else f"-l{self.input_length}"
        return f"b{self.batch_size}{length}"

    @property
    def name(self) -> str:
        """For example `batch size 4, input length 128`."""
        length = "" if self.input_length is None else f", input length {self.input_length}"
        return f"batch size {self.batch_size}{length}"


class Plan(Frozen):
    """Rows, and the distinct work that they share.

    `variants` are the files to make, `arms` what is evaluated and timed, `calibrations` the sets
    of activation ranges that static variants need, per float file.
    """

    rows: tuple[Row, ...]
    variants: tuple[Variant, ...]
    calibrations: tuple[tuple[FloatModel, Calibration], ...]
    arms: tuple[Arm, ...]
    cells: tuple[Cell, ...]
    inert: tuple[Inert, ...]

    def arm(self, arm_id: str) -> Arm:
        """The arm with that id."""
        return next(arm for arm in self.arms if arm.id == arm_id)

    @property
    def prepared(self) -> tuple[FloatModel, ...]:
        """The float files that differ from their export."""
        sources = dict.fromkeys(variant.source for variant in self.variants)
        return tuple(source for source in sources if source.is_prepared)

    @property
    def measured_arms(self) -> tuple[Arm, ...]:
        """The arms whose accuracy is evaluated: all but the twins."""
        return tuple(arm for arm in self.arms if arm.role != "reference_twin")


def make_plan(config: SweepConfig, task: TaskSpec) -> Plan:
    """Expand the grid and count what is distinct in it.

    Args:
        config: a checked config.
        task: the spec of its task.
    """
    names = list(config.benchmarked)
    combinations = itertools.product(*config.benchmarked.values())
    trials = sorted(
        (Trial(parameters=dict(zip(names, values, strict=True))) for values in combinations),
        key=lambda trial: [repr(value) for value in trial.parameters.values()],
    )
    data = config.model_dump(mode="json", exclude={"benchmarked"}, exclude_unset=True)
    settings = [_settings(data, trial) for trial in trials]

    rows: list[Row] = []
    arms: dict[str, Arm] = {}
    original = _original(config)
    arms[original.id] = original
    for row in settings:
        if export_refusal(row.export()) is None:
            reference = _reference(row.export(), row.framework_args.optimization_level)
            arms[reference.id] = reference
    first = next(arm for arm in arms.values() if arm.role == "reference")
    twin = first.model_copy(update={"id": f"{first.id}-twin", "role": "reference_twin"})
    arms[twin.id] = twin

    for number, (trial, row) in enumerate(zip(trials, settings, strict=True), 1):
        scheme, inert = effective(row.quantization())
        inert = [item for item in inert if item.parameter in row.model_fields_set]
        inert += _swept_for_others(trial, row.quantization_approach)
        if isinstance(scheme, Static):
            inert += _unused_calibration(scheme.calibration)
            acting = scheme.calibration.effective()
            scheme = scheme.model_copy(update={"calibration": acting})
        fused = row.framework_args.optimize_before_quantization
        if fused and isinstance(scheme, Float32):
            inert.append(Inert(parameter=_FUSED, value=repr(fused), reason=NOTHING))
            fused = False
        export, level = row.export(), row.framework_args.optimization_level
        not_exported = export_refusal(export)
        refused = not_exported or refusal(scheme, export.opset)
        variant = Variant(export=export, fused=fused, quantization=scheme)
        arm = _arm("row", row.framework, variant, level)
        if refused is None:
            arms.setdefault(arm.id, arm)
        rows.append(
            Row(
                number=number,
                trial=trial,
                arm_id=None if refused else arm.id,
                reference_id=None if not_exported else _reference(export, level).id,
                inert=tuple(inert),
                refused=refused,
            )
        )
    used = [arm.variant for arm in arms.values() if arm.variant is not None]
    variants = tuple({variant.id: variant for variant in used}.values())
    calibrations = {
        (variant.source, variant.quantization.calibration): None
        for variant in variants
        if isinstance(variant.quantization, Static)
    }
    return Plan(
        rows=tuple(rows),
        variants=variants,
        calibrations=tuple(calibrations),
        arms=tuple(arms.values()),
        cells=_cells(config, task),
        inert=tuple(_inert_for_all(config, task)),
    )


def calibrated_operators(
    plan: Plan, source: FloatModel, calibration: Calibration
) -> tuple[str, ...]:
    """The operator types whose tensors need ranges: one calibration serves all rows."""
    found = {
        operator
        for variant in plan.variants
        if variant.source == source
        and isinstance(variant.quantization, Static)
        and variant.quantization.calibration == calibration
        for operator in variant.quantization.operators
    }
    return tuple(sorted(found))


def naive_evaluations(plan: Plan) -> int:
    """Evaluations that one-row-at-a-time needs: original and optimized for every row."""
    return 2 * len(plan.rows)


def _settings(data: dict[str, Any], trial: Trial) -> SweepConfig:
    return SweepConfig.model_validate_json(json.dumps(with_values(data, trial.parameters)))


def _arm(role: Role, framework: str, variant: Variant, level: int) -> Arm:
    return Arm(
        id=f"{framework}-{variant.id}-level{level}",
        role=role,
        framework=framework,
        variant=variant,
        optimization_level=level,
    )


def _original(config: SweepConfig) -> Arm:
    """The model as it is without quantization: in PyTorch, or the ONNX file that was given."""
    if config.is_onnx_file():
        return Arm(
            id=ORIGINAL_ID,
            role="original",
            framework=REFERENCE_FRAMEWORK,
            variant=Variant(export=config.export(), quantization=Float32()),
            optimization_level=DEFAULT_LEVEL,
        )
    return Arm(
        id=ORIGINAL_ID,
        role="original",
        framework="pytorch",
        variant=None,
        optimization_level=None,
    )


def _reference(export: Export, level: int) -> Arm:
    """ONNX Runtime fp32, whatever the framework of the rows."""
    variant = Variant(export=export, quantization=Float32())
    return _arm("reference", REFERENCE_FRAMEWORK, variant, level)


def _unused_calibration(calibration: Calibration) -> list[Inert]:
    """Parameters of other methods than the row's: another row of the sweep uses them."""
    return [
        Inert(
            parameter=f"calibration.{name}",
            value=repr(getattr(calibration, name)),
            reason=f"the method of this row is {calibration.method}: "
            f"only {', '.join(methods_with(name))} reads it",
        )
        for name in calibration.unused_fields()
    ]


def _swept_for_others(trial: Trial, approach: str) -> list[Inert]:
    """Swept parameters that the row's approach does not read."""
    reasons = of_other_approaches(approach)
    return [
        Inert(parameter=name, value=repr(value), reason=reasons[name.split(".")[0]])
        for name, value in trial.parameters.items()
        if name.split(".")[0] in reasons
    ]


def _cells(config: SweepConfig, task: TaskSpec) -> tuple[Cell, ...]:
    lengths: Sequence[int | None] = config.input_lengths if task.uses_input_length else [None]
    return tuple(
        Cell(batch_size=batch_size, input_length=length)
        for batch_size in config.batch_sizes
        for length in lengths
    )


def _inert_for_all(config: SweepConfig, task: TaskSpec) -> list[Inert]:
    """Parameters that were given and change nothing in any row."""
    inert: list[Inert] = []
    given = config.model_fields_set
    if "input_lengths" in given and not task.uses_input_length:
        reason = f"the inputs of {task.name} have no length: each batch size is timed once"
        inert.append(
            Inert(parameter="input_lengths", value=repr(list(config.input_lengths)), reason=reason)
        )
    if config.is_onnx_file() and config.framework_args.exporter is not None:
        reason = "the model is given as an ONNX file: nothing is exported"
        exporter = config.framework_args.exporter
        inert.append(Inert(parameter="framework_args.exporter", value=exporter, reason=reason))
    is_calibrated = config.is_calibrated()
    nothing = "no row is static: nothing is calibrated"
    plain = config.model_dump(mode="json")
    for name, owners in APPROACHES_OF.items():
        if name in given and not set(owners) & set(config.approaches()):
            reason = nothing if name == "calibration" else f"no row is {' or '.join(owners)}"
            inert.append(Inert(parameter=name, value=repr(plain[name]), reason=reason))
    split = config.dataset.calibration_split
    if split is not None and not is_calibrated:
        inert.append(Inert(parameter="dataset.calibration_split", value=split, reason=nothing))
    if config.dataset.allow_shared_samples and not is_calibrated:
        name = "dataset.allow_shared_samples"
        inert.append(Inert(parameter=name, value="True", reason=nothing))
    if "sampling" in given and config.max_eval_samples is None and not is_calibrated:
        reason = "all samples are evaluated and none are calibrated on"
        inert.append(Inert(parameter="sampling", value=config.sampling, reason=reason))
    return inert
