"""Units of work: what a worker is asked to do, and what it answers. Plain JSON data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from quantbench.core.config import SweepConfig
from quantbench.core.frozen import Frozen
from quantbench.core.plan import Arm, Cell, Variant
from quantbench.core.quantization import Calibration
from quantbench.core.results import Environment, Failed, Subject, TimingOutcome


class PrepareUnit(Frozen):
    """Find the model and the data, check that they fit the task, and pin them."""

    stage: Literal["prepare"] = "prepare"
    config: SweepConfig


class ExportUnit(Frozen):
    """Export the model, and run the file once at each of `levels`."""

    stage: Literal["export"] = "export"
    config: SweepConfig
    subject: Subject
    opset: int
    levels: tuple[int, ...]


class CalibrateUnit(Frozen):
    """Find the activation ranges of an exported model for all `operators`."""

    stage: Literal["calibrate"] = "calibrate"
    config: SweepConfig
    subject: Subject
    exported_key: str
    operators: tuple[str, ...]
    calibration: Calibration


class QuantizeUnit(Frozen):
    """Quantize an exported model, and run the file once at each of `levels`."""

    stage: Literal["quantize"] = "quantize"
    config: SweepConfig
    subject: Subject
    variant: Variant
    exported_key: str
    ranges_key: str | None
    levels: tuple[int, ...]


class EvaluateUnit(Frozen):
    """Measure an arm's accuracy. `artifact_key` is None for the original."""

    stage: Literal["evaluate"] = "evaluate"
    config: SweepConfig
    subject: Subject
    arm: Arm
    artifact_key: str | None
    graph_digest: str | None
    num_threads: int


class TimeUnit(Frozen):
    """Time arms against each other in one cell. Arms go with their artifact's key."""

    stage: Literal["time"] = "time"
    config: SweepConfig
    subject: Subject
    cell: Cell
    reference_id: str
    arms: tuple[tuple[Arm, str | None], ...]
    num_threads: int


Unit = Annotated[
    PrepareUnit | ExportUnit | CalibrateUnit | QuantizeUnit | EvaluateUnit | TimeUnit,
    Field(discriminator="stage"),
]
UNIT: TypeAdapter[Unit] = TypeAdapter(Unit)


class Prepared(Frozen):
    """The answer to `PrepareUnit`. `notes` are for the user: a name that moved, for example."""

    outcome: Literal["completed"] = "completed"
    subject: Subject
    environment: Environment
    notes: tuple[str, ...] = ()


class Ranges(Frozen):
    """The answer to `CalibrateUnit`: activation ranges in the store."""

    outcome: Literal["completed"] = "completed"
    key: str
    num_samples: int
    num_tensors: int
    seconds: float


class CellTimings(Frozen):
    """The answer to `TimeUnit`: raw times by arm id."""

    outcome: Literal["completed"] = "completed"
    timings: dict[str, TimingOutcome]


class Refused(Frozen):
    """The user has to change something before work can begin: the text of a `UsageError`."""

    outcome: Literal["refused"] = "refused"
    message: str


PrepareAnswer = Annotated[Prepared | Refused | Failed, Field(discriminator="outcome")]
RangesAnswer = Annotated[Ranges | Failed, Field(discriminator="outcome")]
CellAnswer = Annotated[CellTimings | Failed, Field(discriminator="outcome")]
