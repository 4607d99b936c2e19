"""What `save-model` writes for a row: which files, under which names, with which digests."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from quantbench import __version__
from quantbench.analysis.find_row import find_row
from quantbench.core.errors import QuantbenchError
from quantbench.core.frozen import Frozen
from quantbench.core.onnx_names import dtype_of, file_name
from quantbench.core.plan import Plan, Variant
from quantbench.core.quantization import Float32
from quantbench.core.results import (
    ArmResult,
    Artifact,
    Environment,
    Failed,
    Subject,
    SweepResult,
)
from quantbench.core.summary import MetricSummary, Ratio, RowSummary, SweepSummary

_RUN_AGAIN = "Run `quantbench run` with the same config and --out again: it goes on where it was."


class PackagedModel(Frozen):
    """A model file: its path below the folder, and the artifact that it is a copy of.

    `dtype` is what transformers.js calls it. `key` is the store's, `sha256` the digest of the file
    that was measured.
    """

    path: str
    dtype: str
    key: str
    sha256: str
    num_bytes: int
    opset: int
    graph_digest: str


class Package(Frozen):
    """A row's model for others to load, and what was measured of it: `quantbench.json`.

    `models` has the fp32 export first, then the row's own file, if it has one; `row_file` is the
    path of the one that the numbers are of. `scheme` is how it was quantized, `optimization_level`
    that of the session that was measured. `files` has the SHA-256 of everything else in the folder.
    """

    schema_version: Literal[1] = 1
    quantbench_version: str = __version__
    row: int
    trial_id: str
    parameters: dict[str, JsonValue]
    measured_as: str
    row_file: str
    scheme: dict[str, JsonValue]
    optimization_level: int | None
    models: tuple[PackagedModel, ...]
    notes: tuple[str, ...]
    metrics: tuple[MetricSummary, ...]
    speedup: Ratio | None
    task: str
    subject: Subject
    environment: Environment
    files: dict[str, str] = Field(default_factory=dict)


def package(result: SweepResult, summary: SweepSummary, asked_row: str) -> Package:
    """The package of a row.

    Args:
        result: a measured sweep, finished or not.
        summary: of it.
        asked_row: the number of a row, or the start of its trial's id.

    Raises:
        UsageError: there is no such row.
        QuantbenchError: the row has no file: it was refused, it failed, or was not run yet; or the
            result is an imported card.
    """
    plan, subject, environment = result.plan, result.subject, result.environment
    if plan is None or subject is None or environment is None:
        raise QuantbenchError(
            "these results were published without their files", hint="Measure the model yourself."
        )
    row = find_row(summary, asked_row)
    own_id = plan.rows[row.number - 1].arm_id
    if own_id is None:
        raise QuantbenchError(
            f"row {row.number} was refused, so it has no file: {row.refused}",
            hint="Choose another --row.",
        )
    measured = _measured(result, own_id)
    if measured is None or measured.arm.variant is None:
        raise QuantbenchError(f"row {row.number} has not been run yet", hint=_RUN_AGAIN)
    _refuse_failed(row)
    variant = measured.arm.variant
    scheme = variant.quantization.model_dump(mode="json")
    own = _model(row.number, "its file", measured, variant)
    reference = _measured(result, row.reference_id)
    models = [own]
    if not isinstance(variant.quantization, Float32):
        exported = None if reference is None else reference.arm.variant
        if reference is None or exported is None:
            raise QuantbenchError(
                f"the fp32 export of row {row.number} has not been made yet", hint=_RUN_AGAIN
            )
        models.insert(0, _model(row.number, "its fp32 export", reference, exported))
    return Package(
        row=row.number,
        trial_id=row.trial_id,
        parameters=dict(row.parameters),
        measured_as=measured.arm.id,
        row_file=own.path,
        scheme=scheme,
        optimization_level=measured.arm.optimization_level,
        models=tuple(models),
        notes=_notes(row, plan, own_id, variant),
        metrics=() if row.arm is None else row.arm.metrics,
        speedup=None if row.arm is None else row.arm.speedup,
        task=result.config.task,
        subject=subject,
        environment=environment,
    )


def _refuse_failed(row: RowSummary) -> None:
    """Refuse a row without any number.

    Raises:
        QuantbenchError: with the failure that the run noted.
    """
    if row.status != "failed":
        return
    first = next(iter(() if row.arm is None else row.arm.failures), None)
    if first is None:
        raise QuantbenchError(f"row {row.number} has no measurements yet", hint=_RUN_AGAIN)
    raise QuantbenchError(
        f"row {row.number} failed, so there is nothing to save: {first.stage}: {first.error}",
        hint=first.hint,
    )


def _measured(result: SweepResult, arm_id: str | None) -> ArmResult | None:
    """The result of the arm that was measured in that arm's place; None if it was not run."""
    arms = {found.arm.id: found for found in result.arms}
    found = arms.get(arm_id or "")
    while found is not None and found.same_as is not None:
        found = arms.get(found.same_as)
    return found


def _model(row: int, what: str, found: ArmResult, variant: Variant) -> PackagedModel:
    outcome = found.artifact
    if isinstance(outcome, Failed):
        raise QuantbenchError(
            f"row {row}: {what} could not be made: {outcome.error}", hint=outcome.hint
        )
    if not isinstance(outcome, Artifact):
        raise QuantbenchError(f"row {row}: {what} has not been made yet", hint=_RUN_AGAIN)
    dtype = dtype_of(variant.quantization)
    return PackagedModel(
        path=file_name(dtype),
        dtype=dtype,
        key=outcome.key,
        sha256=outcome.sha256,
        num_bytes=outcome.num_bytes,
        opset=outcome.opset,
        graph_digest=outcome.graph_digest,
    )


def _notes(row: RowSummary, plan: Plan, own_id: str, variant: Variant) -> tuple[str, ...]:
    """What a person should know of the file."""
    notes: list[str] = []
    if isinstance(variant.quantization, Float32):
        notes.append(
            f"nothing is quantized in row {row.number}: its file is the fp32 export, "
            "and there is no other"
        )
    elif row.shares_with is not None:
        notes.append(
            f"row {row.number} has the file of {row.shares_with}, which was measured for both"
        )
    if row.arm is not None and row.arm.id != own_id:
        own = plan.arm(own_id)
        if own.variant != variant:
            notes.append(f"{own_id} computes the same as {row.arm.id}, whose file this is")
    if row.status == "partial":
        notes.append(f"row {row.number} is not complete: some of its measurements are missing")
    return tuple(notes)
