"""Units of work: what a worker is asked to do, and what it answers. Plain JSON data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from quantbench.core.calibration import Calibration
from quantbench.core.config import SweepConfig
from quantbench.core.explanation import Explanation
from quantbench.core.exporters import Export
from quantbench.core.frozen import Frozen
from quantbench.core.plan import Arm, Cell, Variant
from quantbench.core.preparation import Preparation
from quantbench.core.results import (
    Environment,
    Failed,
    PreparedFacts,
    Subject,
    Timing,
    TimingOutcome,
)


class PrepareUnit(Frozen):
    """Find the model and the data, check that they fit the task, and pin them."""

    stage: Literal["prepare"] = "prepare"
    config: SweepConfig


class ExportUnit(Frozen):
    """Export the model, and run the file once at each of `levels`."""

    stage: Literal["export"] = "export"
    config: SweepConfig
    subject: Subject
    export: Export
    levels: tuple[int, ...]


class OptimizeUnit(Frozen):
    """Prepare an exported model to be calibrated and quantized."""

    stage: Literal["optimize"] = "optimize"
    config: SweepConfig
    subject: Subject
    exported_key: str
    preparation: Preparation


class CalibrateUnit(Frozen):
    """Find the activation ranges of a float model for all `operators`."""

    stage: Literal["calibrate"] = "calibrate"
    config: SweepConfig
    subject: Subject
    float_key: str
    operators: tuple[str, ...]
    calibration: Calibration


class QuantizeUnit(Frozen):
    """Quantize a float model, and run the file once at each of `levels`."""

    stage: Literal["quantize"] = "quantize"
    config: SweepConfig
    subject: Subject
    variant: Variant
    float_key: str
    ranges_key: str | None
    levels: tuple[int, ...]


class EvaluateUnit(Frozen):
    """Measure an arm's accuracy. `artifact_key` is None for what PyTorch runs."""

    stage: Literal["evaluate"] = "evaluate"
    config: SweepConfig
    subject: Subject
    arm: Arm
    artifact_key: str | None
    graph_digest: str | None
    num_threads: int


class TimedArm(Frozen):
    """An arm to be timed. `artifact_key` and `graph_digest` are None for what PyTorch runs.

    `compared_with` names the arms that its times are put in relation to; empty for the original
    and the references, which are there for the others.
    """

    arm: Arm
    artifact_key: str | None
    graph_digest: str | None
    compared_with: tuple[str, ...]


class TimeUnit(Frozen):
    """Time arms against each other in one cell."""

    stage: Literal["time"] = "time"
    config: SweepConfig
    subject: Subject
    cell: Cell
    reference_id: str
    arms: tuple[TimedArm, ...]
    num_threads: int


class ExplainUnit(Frozen):
    """Compare an arm's file with the float file that it was made from.

    The activations over the inputs of the first `num_samples` samples that are evaluated, the time
    by operator at the shape of `cell`.
    """

    stage: Literal["explain"] = "explain"
    config: SweepConfig
    subject: Subject
    arm: Arm
    float_key: str
    artifact_key: str
    cell: Cell
    num_samples: int
    num_threads: int


Unit = Annotated[
    PrepareUnit
    | ExportUnit
    | OptimizeUnit
    | CalibrateUnit
    | QuantizeUnit
    | EvaluateUnit
    | TimeUnit
    | ExplainUnit,
    Field(discriminator="stage"),
]
UNIT: TypeAdapter[Unit] = TypeAdapter(Unit)


class Prepared(Frozen):
    """The answer to `PrepareUnit`. `notes` are for the user: a name that moved, for example.

    `files` are patterns of the local files behind it, `stamp` a hash of their names, sizes and
    time stamps: as long as it is the same, so is the answer (see `data.stamps`).
    """

    outcome: Literal["completed"] = "completed"
    subject: Subject
    environment: Environment
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    stamp: str = ""


class Optimized(Frozen):
    """The answer to `OptimizeUnit`: a float model in the store, and what was done to it."""

    outcome: Literal["completed"] = "completed"
    key: str
    num_bytes: int
    sha256: str
    facts: PreparedFacts
    seconds: float


class Ranges(Frozen):
    """The answer to `CalibrateUnit`: activation ranges in the store."""

    outcome: Literal["completed"] = "completed"
    key: str
    num_samples: int
    num_tensors: int
    seconds: float


class TimedCell(Frozen):
    """Times in the store: of one arm, and of those that it is compared with, of one session.

    They are in the order of `TimedArm.compared_with`, the arm's own first, and `reference` is the
    place of the one that ran first and last: other runs have other names for the same.
    """

    timings: tuple[Timing, ...]
    reference: int

    def named(self, arm: TimedArm) -> dict[str, Timing]:
        """The times by the ids that a run has for the arm and those that it is compared with."""
        names = (arm.arm.id, *arm.compared_with)
        update = {"reference_id": names[self.reference]}
        return {
            name: timing.model_copy(update=update)
            for name, timing in zip(names, self.timings, strict=True)
        }

    def as_facts(self, _: Path) -> dict[str, Any]:
        """Plain data, for an artifact that has no files."""
        return self.model_dump(mode="json")


class CellTimings(Frozen):
    """The answer to `TimeUnit`: raw times by arm id."""

    outcome: Literal["completed"] = "completed"
    timings: dict[str, TimingOutcome]


class Refused(Frozen):
    """The user has to change something before work can begin: the text of a `UsageError`."""

    outcome: Literal["refused"] = "refused"
    message: str


PrepareAnswer = Annotated[Prepared | Refused | Failed, Field(discriminator="outcome")]
OptimizedAnswer = Annotated[Optimized | Failed, Field(discriminator="outcome")]
RangesAnswer = Annotated[Ranges | Failed, Field(discriminator="outcome")]
ExplanationAnswer = Annotated[Explanation | Failed, Field(discriminator="outcome")]
CellAnswer = Annotated[CellTimings | Failed, Field(discriminator="outcome")]
