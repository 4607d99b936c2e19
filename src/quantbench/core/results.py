"""The facts of a sweep: what was made and measured, raw; every statistic is derived from them.

Results are plain data with a schema version. Times are nanoseconds, sizes bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from quantbench.core.config import SweepConfig
from quantbench.core.explanation import Explained
from quantbench.core.frozen import Frozen
from quantbench.core.plan import Arm, Cell, Plan
from quantbench.core.quantization import Inert

SCHEMA_VERSION: Literal[4] = 4


class Failed(Frozen):
    """A unit of work that did not succeed: where, why, and what to try.

    `may_pass` says that the same could succeed if it were tried again: the process that did it was
    killed from outside, for example.
    """

    outcome: Literal["failed"] = "failed"
    stage: str
    error: str
    hint: str | None = None
    log: str = ""
    may_pass: bool = False


class NodeCounts(Frozen):
    """What happened to the nodes of one operator type.

    `total` counts the exported graph, `matched` the nodes that the exclusions describe,
    `excluded` those of them that would otherwise have been quantized, `quantized` the nodes that
    really are, `left` the rest: total = quantized + left.
    """

    total: int
    matched: int
    excluded: int
    quantized: int
    left: int


class PreparedFacts(Frozen):
    """What was done to a float file before it was calibrated and quantized.

    `num_masks` constants were clamped. `num_folded` activations were smoothed in what makes them,
    `num_multiplied` by a node before what reads them. `fused` counts the fused operators by type.
    `largest_difference` is that of an output to the exported file's, as a part of its largest
    value.
    """

    num_masks: int = 0
    num_folded: int = 0
    num_multiplied: int = 0
    fused: dict[str, int] = Field(default_factory=dict)
    largest_difference: float = 0.0


class Artifact(Frozen):
    """A model file. `graph_digest` is equal for files that compute the same in the same way.

    `nodes` is by operator type; `exclusion_matches` counts the nodes that each exclusion
    describes in this graph, `exclusion_effects` those of them that would otherwise have been
    quantized; `executed_nodes` counts the operator types of the graph that the
    session really ran, after its own optimization, by `optimization_level`.
    `max_abs_difference` is to PyTorch, over the outputs, for an exported model. `float_key` is the
    key of the float file that a quantized one was made from; `num_masked_nodes` counts the nodes
    that stay in floats because they see the attention mask, None where none was looked for.
    `prepared` says what the float file is beside the exported one; None if it is that.
    """

    outcome: Literal["completed"] = "completed"
    key: str
    num_bytes: int
    sha256: str
    graph_digest: str
    opset: int
    seconds: float
    nodes: dict[str, NodeCounts] = Field(default_factory=dict)
    exclusion_matches: dict[str, int] = Field(default_factory=dict)
    exclusion_effects: dict[str, int] = Field(default_factory=dict)
    executed_nodes: dict[str, dict[str, int]] = Field(default_factory=dict)
    max_abs_difference: float | None = None
    float_key: str | None = None
    num_masked_nodes: int | None = None
    prepared: PreparedFacts | None = None


class Prediction(Frozen):
    """What a model answered for one sample.

    Two models agree on a sample if their `answer` is equal. `name` says it in words where the
    answer is a number (a class); `score` is the model's own, and differs by rounding. `top` lists
    the most likely classes, the answer first, where the task was asked for them; `vector` is what
    the model made of the texts, each part of length 1, where that is what it is for.

    For the distance of two models, `log_probabilities` are those of all classes, an entry for the
    sample or one for each of its words, where exactly one class is right; `logits` are the logits
    where they stand each for itself. Both are rounded, and empty where one is not finite, or where
    an evaluation has more of them than are kept.
    """

    answer: JsonValue
    name: str | None = None
    score: float | None = None
    top: tuple[int, ...] = ()
    vector: tuple[float, ...] = ()
    log_probabilities: tuple[tuple[float, ...], ...] = ()
    logits: tuple[float, ...] = ()


class Evaluation(Frozen):
    """Accuracy with everything that it was computed from, one entry per sample, in one order.

    `metrics` are as the official script gives them; `per_sample[metric][i]` is the score of
    sample i; `parts[metric][i]` what it contributes to a metric that is no mean of such scores
    (`core.metric_values`); `predictions[i]` what the model answered; `clusters[i]` names what
    sample i shares with others (its context), None where samples are independent.
    """

    outcome: Literal["completed"] = "completed"
    num_samples: int
    metrics: dict[str, float]
    sample_ids: tuple[str, ...]
    clusters: tuple[str, ...] | None
    predictions: tuple[Prediction, ...]
    per_sample: dict[str, tuple[float, ...]]
    parts: dict[str, tuple[tuple[float, ...], ...]] = Field(default_factory=dict)
    seconds: float


class Block(Frozen):
    """One arm's turn in one round: raw times and what could have disturbed them.

    `process_set` counts the sets of fresh processes of a session, `round` the rounds of the
    session, `position` is the place in the round (0 = first). What follows is of the processors
    that the arm may use, and None where the system does not tell or an earlier version did not ask:
    `processor_ticks` is all of their time, `busy_ticks` what of it anyone computed in, `own_ticks`
    what of that the arm did, `steal_ticks` what the hypervisor gave to others, in clock ticks.
    `involuntary_switches` are those of the arm's process, `frequency_mhz` is that of the first of
    the processors after the block; `thermal_throttles` counts how often the
    processors slowed down for heat, `quota_throttles` how often the container's quota stopped them.
    """

    process_set: int = 0
    round: int
    position: int
    samples_ns: tuple[int, ...]
    processor_ticks: int | None = None
    busy_ticks: int | None = None
    own_ticks: float | None = None
    steal_ticks: int | None = None
    involuntary_switches: int | None = None
    frequency_mhz: float | None = None
    thermal_throttles: int | None = None
    quota_throttles: int | None = None


class ArmProcess(Frozen):
    """The process that held the arm's model, as read from inside it."""

    num_threads: int
    affinity: tuple[int, ...] | None
    peak_rss_bytes: int | None
    warmup_runs: int


class Timing(Frozen):
    """Raw times of one arm in one cell.

    `session` names the measuring session: only blocks of one session were interleaved, and may
    be compared. `reference_id` is the arm that ran first and last in its rounds. `processes` has
    one entry per process set. `stopped` says why no more rounds were run.
    """

    outcome: Literal["completed"] = "completed"
    cell: Cell
    session: str
    reference_id: str
    blocks: tuple[Block, ...]
    processes: tuple[ArmProcess, ...]
    stopped: Literal["precise", "budget"]


class TimingFailed(Failed):
    """A cell that could not be timed for an arm."""

    cell: Cell


ArtifactOutcome = Annotated[Artifact | Failed, Field(discriminator="outcome")]
EvaluationOutcome = Annotated[Evaluation | Failed, Field(discriminator="outcome")]
TimingOutcome = Annotated[Timing | TimingFailed, Field(discriminator="outcome")]


class ArmResult(Frozen):
    """What is known of one arm. `same_as` names the arm with the same file, measured for both."""

    schema_version: Literal[4] = SCHEMA_VERSION
    arm: Arm
    same_as: str | None = None
    artifact: ArtifactOutcome | None = None
    evaluation: EvaluationOutcome | None = None
    timings: tuple[TimingOutcome, ...] = ()


class TrialScore(Frozen):
    """The metrics of a row, as the official script gives them, over `num_samples` samples."""

    outcome: Literal["completed"] = "completed"
    num_samples: int
    metrics: dict[str, float]


class TrialTiming(Frozen):
    """The times of a row in one cell: the median of its forwards, and of the original's."""

    outcome: Literal["completed"] = "completed"
    batch_size: int
    input_length: int | None
    num_forwards: int
    median_ms: float
    original_median_ms: float | None


class TrialResult(Frozen):
    """What is known of one row so far, without raw data: those are with its arm.

    `measured_as` names the arm that has the row's file. What is None has not been done yet.
    """

    schema_version: Literal[4] = SCHEMA_VERSION
    row: int
    trial_id: str
    parameters: dict[str, JsonValue]
    refused: str | None
    inert: tuple[Inert, ...]
    reference: str | None
    measured_as: str | None
    artifact: ArtifactOutcome | None
    score: Annotated[TrialScore | Failed, Field(discriminator="outcome")] | None
    timings: tuple[Annotated[TrialTiming | TimingFailed, Field(discriminator="outcome")], ...]


class PublishedTiming(Frozen):
    """A cell of a card that gives means only: milliseconds, and forwards per second."""

    batch_size: int
    input_length: int
    latency_mean_original_ms: float
    latency_mean_optimized_ms: float
    throughput_original_per_s: float
    throughput_optimized_per_s: float


class PublishedRow(Frozen):
    """A row of a card that was published without its raw data."""

    number: int
    parameters: dict[str, JsonValue]
    original: dict[str, float]
    optimized: dict[str, float]
    timings: tuple[PublishedTiming, ...]


class CpuInfo(Frozen):
    """The processor, as the machine reports it."""

    model: str
    architecture: str
    flags: tuple[str, ...]
    physical_cores: int
    logical_cores: int
    allowed_cores: int


class Environment(Frozen):
    """Where the results were measured: read, never guessed."""

    cpu: CpuInfo
    memory_bytes: int | None
    operating_system: str
    python: str
    packages: dict[str, str]
    num_threads: int
    measured_at: str


class Subject(Frozen):
    """The model and the data, pinned: digests and counts of what was really used.

    `model_id` and `dataset_id` are the names on the hub today, None for what is not from there.
    `num_shared_samples` counts the evaluated samples that are calibrated on too, by what they hold;
    None where nothing is calibrated.
    `notes` are sentences that a reader of the results should see.
    """

    model_name_or_path: str
    model_id: str | None = None
    model_revision: str | None
    model_digest: str
    model_type: str
    architecture: str
    num_parameters: int
    license: str | None
    dataset_path: str
    dataset_id: str | None = None
    dataset_revision: str | None
    eval_fingerprint: str
    eval_num_rows: int
    num_eval_samples: int
    calibration_fingerprint: str | None
    calibration_num_rows: int | None
    num_shared_samples: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def float_bytes(self) -> int:
        """The size of the parameters as float32."""
        return 4 * self.num_parameters


class Spent(Frozen):
    """What one unit of work cost: wall time, and the largest resident memory of its process.

    `expected_seconds` was estimated before it began. `keys` names what it made, or found, in the
    store; `reused` says that nothing had to be done,
    `attempts` how often it was tried. The memory is that of the worker, which goes on from unit to
    unit, so it never falls; None where the system does not tell.
    """

    stage: str
    name: str
    seconds: float
    peak_rss_bytes: int | None
    expected_seconds: float | None = None
    keys: tuple[str, ...] = ()
    reused: bool = False
    attempts: int = 1


class SweepResult(Frozen):
    """All facts of one run. Exactly one of `arms` (measured) and `published` is filled.

    In an outline (`run_dir.load_outline`) both are empty, for what needs the summary alone.
    """

    schema_version: Literal[4] = SCHEMA_VERSION
    config: SweepConfig
    plan: Plan | None = None
    environment: Environment | None = None
    subject: Subject | None = None
    arms: tuple[ArmResult, ...] = ()
    spent: tuple[Spent, ...] = ()
    explained: tuple[Explained, ...] = ()
    published: tuple[PublishedRow, ...] = ()
    model_type: str | None = None

    def arm(self, arm_id: str) -> ArmResult:
        """The result of that arm, or of the arm that was measured in its place."""
        found = next(result for result in self.arms if result.arm.id == arm_id)
        return found if found.same_as is None else self.arm(found.same_as)
