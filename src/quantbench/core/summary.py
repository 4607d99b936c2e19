"""The types of a summary: every number a report prints, derived from the facts of a sweep."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from quantbench.core.config import Scenario
from quantbench.core.frozen import Frozen
from quantbench.core.plan import Cell
from quantbench.core.quantization import Inert
from quantbench.core.results import NodeCounts, PreparedFacts

# What drops and speed-ups are over.
PYTORCH_EAGER = "PyTorch eager"
GIVEN_FILE = "the given ONNX file"

Status = Literal["measured", "shared", "partial", "refused", "failed"]


class Ratio(Frozen):
    """A ratio of times with its 95 % interval; the bounds are None where none can be given.

    `shared` says that both sides are one file, measured once: the ratio is 1 by definition.
    """

    value: float
    low: float | None = None
    high: float | None = None
    shared: bool = False

    @property
    def half_width(self) -> float | None:
        """Half the interval's width over the value."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2 / self.value


class MetricSummary(Frozen):
    """One metric of one arm against the original.

    `original` and `optimized` are as the official script gives them. `drop` is original minus
    optimized in points (positive is worse), `low` and `high` its 95 % interval; `family_high` is
    the upper end at the level at which those of all `num_compared` models hold together at 95 %,
    so that one of them may be chosen by it. `worse` and
    `better` count the samples whose score fell and rose: the flips, for right/wrong metrics,
    for which `mcnemar_p` is the exact p; `is_mean` says that the metric is a mean over samples.
    `effective_samples` is `num_samples` over the design
    effect of the clusters.
    """

    name: str
    original: float
    optimized: float
    original_points: float
    drop: float
    low: float | None = None
    high: float | None = None
    family_high: float | None = None
    num_compared: int = 1
    method: Literal["score", "bootstrap"] | None = None
    worse: int | None = None
    better: int | None = None
    mcnemar_p: float | None = None
    is_mean: bool = True
    num_samples: int | None = None
    effective_samples: float | None = None


class LatencyMode(Frozen):
    """A state that blocks were in (`core.modes`): the median of theirs, and their share."""

    median_ms: float
    share: float


class Latency(Frozen):
    """Times of one arm in one cell. A percentile is None with too few samples for it.

    `modes` are the states that the blocks were in, fast first; empty where there are no blocks.
    `throughput_per_s` counts samples, `forwards_per_s` forward passes, per measured second.
    """

    mean_ms: float
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    num_forwards: int | None
    throughput_per_s: float
    forwards_per_s: float
    modes: tuple[LatencyMode, ...] = ()

    @property
    def is_bimodal(self) -> bool:
        """Whether its blocks were in two states: then the median is that of neither."""
        return len(self.modes) > 1


class CellSummary(Frozen):
    """One arm in one cell beside the original and its reference.

    `peak_rss_bytes` is the largest resident memory of the arm's processes.

    `speedup` = original / arm, `quantization_speedup` = reference / arm, `runtime_speedup` =
    original / reference. `half_width` is the wider one of the first two's relative half-widths,
    ratios of one file to itself left out; None where one of them has no interval. `unresolved`
    says that it is above the config's precision, or unknown for want of process sets.
    `missing` says why numbers are not there.
    """

    cell: Cell
    original: Latency | None = None
    reference: Latency | None = None
    optimized: Latency | None = None
    speedup: Ratio | None = None
    quantization_speedup: Ratio | None = None
    runtime_speedup: Ratio | None = None
    half_width: float | None = None
    unresolved: bool = False
    peak_rss_bytes: int | None = None
    missing: str | None = None


class Failure(Frozen):
    """A unit of work that failed, or was not done; `cell` where it was one cell's timing.

    `of` names whose it is, where an arm lacks numbers because of another one: what it is compared
    with. `was_tried` is False where it was not done yet.
    """

    stage: str
    error: str
    hint: str | None
    cell: Cell | None = None
    of: str | None = None
    was_tried: bool = True


class ArmSummary(Frozen):
    """One distinct model file: what it is, how right and how fast.

    `agreement` is the share of samples that are answered as the original does, `cosine` the mean
    cosine of its vectors and the original's, where vectors are what the model makes.
    `kl_divergence_nats` is how far its probabilities of the classes are from the original's, where
    one class is right, `logit_rms` how far other logits are (`analysis.distance`).

    `speedup` is the geometric mean over cells, `quantization_speedup` that of the step from the
    reference to this arm alone; their bounds are the geometric means of the cells'
    bounds, which is never too narrow, however the cells' errors go together.
    """

    id: str
    metrics: tuple[MetricSummary, ...] = ()
    agreement: float | None = None
    cosine: float | None = None
    kl_divergence_nats: float | None = None
    logit_rms: float | None = None
    cells: tuple[CellSummary, ...] = ()
    speedup: Ratio | None = None
    quantization_speedup: Ratio | None = None
    num_bytes: int | None = None
    opset: int | None = None
    nodes: dict[str, NodeCounts] = Field(default_factory=dict)
    executed_nodes: dict[str, int] = Field(default_factory=dict)
    exclusion_matches: dict[str, int] = Field(default_factory=dict)
    max_abs_difference: float | None = None
    prepared: PreparedFacts | None = None
    failures: tuple[Failure, ...] = ()

    @property
    def num_compared(self) -> int:
        """In how many cells there is a speed-up: the mean is over those."""
        return sum(cell.speedup is not None for cell in self.cells)

    @property
    def unresolved(self) -> bool:
        """Whether a speed-up in some cell has no interval, or a wider one than was asked for."""
        return any(cell.unresolved for cell in self.cells)


class RowSummary(Frozen):
    """One row of the grid. `shares_with` names what was measured in its place.

    `status` is "failed" without any number, "partial" with some missing, and else "shared" or
    "measured".
    `reference_id` is the arm of ONNX Runtime fp32 at the row's opset and optimization level.
    `warnings` say what of the row's numbers may be particular to the machine.
    """

    number: int
    trial_id: str
    parameters: dict[str, JsonValue]
    status: Status
    shares_with: str | None = None
    refused: str | None = None
    inert: tuple[Inert, ...] = ()
    warnings: tuple[str, ...] = ()
    reference_id: str | None = None
    arm: ArmSummary | None = None


class Noise(Frozen):
    """The second copy of the reference against the first, in one cell: what "equal" looks like.

    `invalid` says that the interval excludes 1 by more than 1 %. `rows` are those that were timed
    in the same session.
    """

    cell: Cell
    ratio: Ratio
    invalid: bool
    rows: tuple[int, ...] = ()


class Load(Frozen):
    """What disturbed the timing of one cell, over the blocks of all of its arms.

    `others` is the share of the processors' time that other processes took, `stolen` that of the
    hypervisor; `disturbed_rounds` the share of the rounds in which both took much of it
    (`analysis.quiet`). `switches_per_forward` counts how often an arm lost its processor,
    `thermal_throttles` and `quota_throttles` how often heat or the container's quota held it up.
    `quiet` is the verdict; None, as anything else, where the system does not tell.
    """

    cell: Cell
    others: float | None
    stolen: float | None
    disturbed_rounds: float | None
    switches_per_forward: float | None
    lowest_mhz: float | None
    highest_mhz: float | None
    thermal_throttles: int | None
    quota_throttles: int | None
    quiet: bool | None


class SweepSummary(Frozen):
    """Everything derived from one sweep.

    `original_name` says what drops and speed-ups are over: PyTorch eager, or the given ONNX file.
    `references` are those that are not the original itself. `measured` is False for an imported
    card, which has means without intervals. `inert` holds what changes nothing in any row.
    `scenario` says which of the times count, `warnings` are clauses on what all of them suffer
    from.
    """

    method_version: str
    measured: bool
    scenario: Scenario = "single-stream"
    original_name: str
    primary_metric: str
    metric_names: tuple[str, ...]
    cells: tuple[Cell, ...]
    rows: tuple[RowSummary, ...]
    original: ArmSummary | None = None
    references: tuple[ArmSummary, ...] = ()
    noise: tuple[Noise, ...] = ()
    loads: tuple[Load, ...] = ()
    inert: tuple[Inert, ...] = ()
    warnings: tuple[str, ...] = ()

    def noise_of(self, cell: Cell, row_number: int) -> Noise | None:
        """The noise floor of the session in which a row was timed; None if none is known."""
        here = [noise for noise in self.noise if noise.cell == cell]
        return next((noise for noise in here if row_number in noise.rows), None)

    @property
    def invalid_session(self) -> bool:
        """Whether equal files measured as different in some cell."""
        return any(noise.invalid for noise in self.noise)

    @property
    def distinct_rows(self) -> tuple[RowSummary, ...]:
        """The rows with a file of their own and any numbers."""
        found = (row for row in self.rows if row.status in ("measured", "partial"))
        return tuple(row for row in found if row.shares_with is None)

    def reference(self, arm_id: str | None) -> ArmSummary | None:
        """The reference of that id; the first one for None."""
        if arm_id is None:
            return self.references[0] if self.references else None
        if self.original is not None and self.original.id == arm_id:
            return self.original
        return next((arm for arm in self.references if arm.id == arm_id), None)
