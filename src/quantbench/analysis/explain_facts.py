"""What follows from the facts of an explanation: decibels, blocks, what was left, time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from quantbench.core.explanation import (
    ActivationFacts,
    Compared,
    Explanation,
    ModelTime,
    NodeFacts,
)
from quantbench.core.frozen import Frozen
from quantbench.core.quantization import Dynamic, Float32, Static

# Operator types with an integer kernel in ONNX Runtime on the CPU, by how a file is quantized
# (onnxruntime.quantization.registry; the selectors of the QDQ transformer).
DYNAMIC_KERNELS = frozenset({
    "Attention", "Conv", "EmbedLayerNormalization", "Gather", "Gemm", "LSTM", "MatMul",
})  # fmt: skip
STATIC_KERNELS = frozenset({
    "Add", "AveragePool", "Clip", "Concat", "Conv", "ConvTranspose", "Gather", "Gemm",
    "GlobalAveragePool", "LeakyRelu", "MatMul", "MaxPool", "Mul", "Relu", "Reshape", "Resize",
    "Sigmoid", "Softmax", "Split", "Squeeze", "Transpose", "Unsqueeze", "Where",
})  # fmt: skip
WEIGHT_KERNELS = frozenset({"Gather", "MatMul"})
CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")


class LayerSummary(Frozen):
    """The error in one block, in the order of the model.

    `output_db` is the accumulated SQNR of the last activation of the block, None if it is exact;
    `added` the noise, as a part of the signal, that this block's output has more than the one
    before. `worst` is the activation with the lowest accumulated SQNR, `roughest` the one whose own
    rounding has the lowest. `weights_db` is over all quantized weights of the block.
    """

    name: str
    output_db: float | None
    added: float
    worst: str
    worst_db: float | None
    roughest: str | None
    roughest_db: float | None
    weights_db: float | None
    num_quantized: int
    num_left: int


class Left(Frozen):
    """Nodes of one operator type that stayed in floats, and why."""

    op_type: str
    reason: str
    count: int


class TimeChange(Frozen):
    """Time per forward in one operator type, before and after, in microseconds."""

    op_type: str
    before_us: float
    after_us: float
    nodes_before: int
    nodes_after: int


def sqnr_db(compared: Compared) -> float | None:
    """The signal-to-quantization-noise ratio in decibels; None if nothing differs.

    10 log10(sum x² / sum (x - y)²); of a tensor of zeros that does not stay so, it is -300.
    """
    if compared.noise == 0.0:
        return None
    if compared.signal == 0.0:
        return -300.0
    return 10 * math.log10(compared.signal / compared.noise)


def noise_part(compared: Compared) -> float:
    """Noise over signal: 0.01 at 20 dB."""
    if compared.noise == 0.0:
        return 0.0
    return compared.noise / compared.signal if compared.signal else math.inf


def lowest(found: Iterable[tuple[str, Compared]]) -> tuple[str, Compared] | None:
    """The name and sums with the lowest SQNR of all in which anything differs."""
    differing = [item for item in found if item[1].noise > 0.0]
    return max(differing, key=lambda item: noise_part(item[1]), default=None)


def total(parts: Sequence[Compared]) -> Compared:
    """The sums of several tensors together."""
    return Compared(
        signal=sum(part.signal for part in parts),
        noise=sum(part.noise for part in parts),
        num_values=sum(part.num_values for part in parts),
        num_nonfinite=sum(part.num_nonfinite for part in parts),
    )


def layer_summaries(facts: Explanation) -> tuple[LayerSummary, ...]:
    """The error block by block; activations of the model itself are under `other`."""
    by_layer: dict[str, list[ActivationFacts]] = {}
    for item in facts.activations:
        by_layer.setdefault(item.layer or "other", []).append(item)
    before = 0.0
    summaries: list[LayerSummary] = []
    for name, items in by_layer.items():
        last = noise_part(items[-1].error)
        nodes = [node for node in facts.nodes if (node.layer or "other") == name]
        weights = [item.error for item in facts.weights if (item.layer or "other") == name]
        worst = lowest((item.name, item.error) for item in items)
        rough = lowest((item.name, item.rounding) for item in items if item.rounding)
        summaries.append(
            LayerSummary(
                name=name,
                output_db=sqnr_db(items[-1].error),
                added=min(max(last - before, 0.0), 1e30) if is_layer(name) else 0.0,
                worst=items[-1].name if worst is None else worst[0],
                worst_db=None if worst is None else sqnr_db(worst[1]),
                roughest=None if rough is None else rough[0],
                roughest_db=None if rough is None else sqnr_db(rough[1]),
                weights_db=sqnr_db(total(weights)) if weights else None,
                num_quantized=sum(node.quantized for node in nodes),
                num_left=sum(not node.quantized for node in nodes),
            )
        )
        before = last if is_layer(name) else before
    return tuple(summaries)


def left_in_floats(facts: Explanation) -> tuple[Left, ...]:
    """The nodes that compute in floats, by operator type and reason, most first."""
    counts = Counter(
        (node.op_type, why_left(node, facts)) for node in facts.nodes if not node.quantized
    )
    return tuple(
        Left(op_type=op_type, reason=reason, count=count)
        for (op_type, reason), count in counts.most_common()
    )


def why_left(node: NodeFacts, facts: Explanation) -> str:
    """Why a node is not quantized."""
    scheme = facts.scheme
    asked = asked_operators(facts)
    if node.op_type not in kernels(facts):
        return f"no integer kernel ({scheme.approach})"
    if node.op_type not in asked and not is_asked_as_matmul(node, facts):
        return "operators_to_quantize does not name it"
    if node.excluded_by:
        return f"excluded by {', '.join(node.excluded_by)}"
    if node.masked and isinstance(scheme, Static) and scheme.clamp_mask:
        return "it sees the attention mask (clamp_mask is true)"
    if node.op_type in ("MatMul", "Gemm") and not node.constant_operand:
        if isinstance(scheme, Static):
            return "both operands are activations (quantize_activation_matmul is false)"
        return "both operands are activations: this scheme needs a constant weight"
    return "the quantizer left it: an operand is no float tensor, or has no range"


def is_asked_as_matmul(node: NodeFacts, facts: Explanation) -> bool:
    """Whether a Gemm was asked for as MatMul: dynamic quantization turns it into MatMul and Add.

    See `ONNXQuantizer.__init__` in onnxruntime.quantization; static forms leave a Gemm as it is.
    """
    is_dynamic = isinstance(facts.scheme, Dynamic)
    return is_dynamic and node.op_type == "Gemm" and "MatMul" in asked_operators(facts)


def is_layer(name: str) -> bool:
    """Whether a block is one of the layers that repeat, `layer.N`, as `node_exclusion` has it."""
    return name.startswith("layer.")


def asked_operators(facts: Explanation) -> frozenset[str]:
    """The operator types that were to be quantized."""
    scheme = facts.scheme
    return frozenset() if isinstance(scheme, Float32) else frozenset(scheme.operators)


def kernels(facts: Explanation) -> frozenset[str]:
    """The operator types that can be quantized by the scheme."""
    match facts.scheme:
        case Dynamic():
            return DYNAMIC_KERNELS
        case Static():
            return STATIC_KERNELS
        case _:
            return WEIGHT_KERNELS


def time_changes(facts: Explanation) -> tuple[TimeChange, ...]:
    """Time per operator type in the reference and in the row, the largest change first."""
    before = {item.op_type: item for item in facts.profile.reference.operators}
    after = {item.op_type: item for item in facts.profile.row.operators}
    changes = [
        TimeChange(
            op_type=name,
            before_us=before[name].microseconds if name in before else 0.0,
            after_us=after[name].microseconds if name in after else 0.0,
            nodes_before=before[name].num_nodes if name in before else 0,
            nodes_after=after[name].num_nodes if name in after else 0,
        )
        for name in dict.fromkeys([*before, *after])
    ]
    return tuple(sorted(changes, key=lambda item: -abs(item.after_us - item.before_us)))


def conversion_us(time: ModelTime) -> float:
    """Time per forward in conversions between floats and integers, in microseconds."""
    return sum(item.microseconds for item in time.operators if item.op_type in CONVERSIONS)


def kernels_us(time: ModelTime) -> float:
    """Time per forward in all operators, in microseconds."""
    return sum(item.microseconds for item in time.operators)


def output_error(facts: Explanation) -> Compared:
    """The error of the worst output, as the file is deployed."""
    return max((item.error for item in facts.outputs), key=noise_part)
