"""The facts behind an explanation: what quantization did to a model's values and to its time.

Raw sums and counts only; every ratio, decibel and advice is derived from them (`analysis.explain`).
Sums of squares are over all values of all samples, in float64. Times are microseconds.
"""

from __future__ import annotations

from typing import Literal

from quantbench.core.frozen import Frozen
from quantbench.core.plan import Cell
from quantbench.core.quantization import Quantization

EXPLANATION_VERSION: Literal[2] = 2


class Compared(Frozen):
    """Values of the float model beside those of the quantized one, as sums.

    `signal` is the sum of x², `noise` that of (x - y)², x being the float model's. `num_values`
    counts them; values that are not finite in either model are counted in `num_nonfinite` and left
    out of the sums.
    """

    signal: float
    noise: float
    num_values: int
    num_nonfinite: int = 0


class ActivationFacts(Frozen):
    """One activation that both models compute.

    `error` is accumulated: all that was quantized before it is in it. `rounding` is local: what
    the quantization of this very tensor adds, with x and y both from the quantized model; None
    where it is not quantized with a fixed scale, which is `scale` then (the step between two
    integers, the largest one of several channels); `range_abs` is the largest |x| that scale, zero
    point and integer type can stand for. `max_abs` is over all
    samples; `p999_abs` (99.9th percentile) and `median_abs` of |x| are means over samples. `node`
    made it in the float graph, `layer` is the block that the node belongs to, `feeds_softmax` says
    that a Softmax reads it, directly or as the scores to which a mask is added.
    """

    name: str
    node: str
    op_type: str
    layer: str | None
    error: Compared
    rounding: Compared | None
    scale: float | None
    max_abs: float
    p999_abs: float
    median_abs: float
    feeds_softmax: bool
    range_abs: float | None = None


class WeightFacts(Frozen):
    """One weight, float and dequantized.

    `channels` are those of the output. `largest` is the largest |w| of any channel, `median` the
    median over channels of the largest |w| in each. `num_coarse` counts the channels whose largest
    |w| is below an eighth of the tensor's: with one scale per tensor they have 3 bits less.
    `node` reads it in the float graph.
    """

    name: str
    node: str
    op_type: str
    layer: str | None
    error: Compared
    num_channels: int
    per_channel: bool
    largest: float
    median: float
    num_coarse: int


class NodeFacts(Frozen):
    """One node of the float graph that computes with activations, and whether it is quantized.

    `excluded_by` names the exclusions of the scheme that describe it, `patterns` all that do.
    `constant_operand` says that one of its data inputs is a weight or another constant, `masked`
    that it makes or reads values of the attention mask.
    """

    name: str
    op_type: str
    layer: str | None
    quantized: bool
    excluded_by: tuple[str, ...]
    patterns: tuple[str, ...]
    constant_operand: bool
    masked: bool = False


class IdlePairs(Frozen):
    """`QuantizeLinear`s of the graph that ran whose every reader is a `DequantizeLinear`.

    The values are rounded and then computed with as floats. By the operator type that made the
    values and the one that reads them.
    """

    made_by: str
    read_by: str
    count: int


class OperatorTime(Frozen):
    """Time in all nodes of one operator type, per forward: the median over forwards."""

    op_type: str
    num_nodes: int
    microseconds: float


class ModelTime(Frozen):
    """Where the time of one model goes.

    `microseconds` is the median of whole forwards without profiling. `operators` are from
    forwards with profiling, which makes small models several times as slow between their kernels
    and leaves the kernels' own times nearly as they are.
    """

    microseconds: float
    operators: tuple[OperatorTime, ...]


class Profile(Frozen):
    """ONNX Runtime's own profile of the reference and of the row, taken in alternating blocks.

    It says where time goes. How much there is, the timing of the sweep says: with more rounds, a
    process for each model, and an interval.
    """

    outcome: Literal["completed"] = "completed"
    cell: Cell
    num_threads: int
    num_forwards: int
    num_blocks: int
    warmup_runs: int
    reference: ModelTime
    row: ModelTime


class Explanation(Frozen):
    """What is known of one quantized file beside the float file that it was made from.

    `optimization_level` and `outputs` are of the files as they are deployed; `activations` are of
    the graphs without optimization, in which every tensor exists. `num_missing_activations` counts
    float activations that the quantized graph does not have (any more), `num_missing_weights`
    quantized weights whose float form was not found. `executed_nodes` is what ran, by operator
    type. `instructions` are the sets of instructions that the processor has, of those that
    `core.instructions` knows.
    """

    outcome: Literal["completed"] = "completed"
    schema_version: Literal[2] = EXPLANATION_VERSION
    scheme: Quantization
    optimization_level: int
    opset: int
    num_samples: int
    is_x86: bool
    instructions: tuple[str, ...]
    outputs: tuple[ActivationFacts, ...]
    activations: tuple[ActivationFacts, ...]
    num_missing_activations: int
    weights: tuple[WeightFacts, ...]
    num_missing_weights: int
    nodes: tuple[NodeFacts, ...]
    idle_pairs: tuple[IdlePairs, ...]
    executed_nodes: dict[str, int]
    profile: Profile


class Explained(Frozen):
    """An explanation and the row that it is of, as a run keeps it.

    `chosen` says why this row was explained: it was asked for, or is the worst.
    """

    schema_version: Literal[2] = EXPLANATION_VERSION
    row: int
    trial_id: str
    arm_id: str
    chosen: str
    explanation: Explanation
