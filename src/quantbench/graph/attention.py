"""Finding the parts of attention: its softmax, scores and context; rules 5 to 7 of `patterns`.

Reference: A. Vaswani et al., Attention Is All You Need, arXiv:1706.03762, equation 1.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from quantbench.graph.dataflow import Dataflow

# All of attention as one operator, of the standard or of ONNX Runtime.
FUSED_ATTENTION = frozenset(
    {
        "Attention",
        "MultiHeadAttention",
        "GroupQueryAttention",
        "PackedAttention",
        "PackedMultiHeadAttention",
        "QAttention",
    }
)
# Products of two matrices; FusedMatMul scales or transposes as well.
PRODUCTS = frozenset({"MatMul", "FusedMatMul", "Einsum"})
# Between q·k and the softmax: scale, mask, soft cap, changes of shape.
_TO_SOFTMAX = frozenset(
    {"Mul", "Div", "Add", "Sub", "Where", "Tanh", "Clip", "Max", "Min", "Reshape", "Transpose"}
    | {"Squeeze", "Unsqueeze"}
)
# Between the softmax and probs·v: dropout, head masks, rows that are masked whole.
_FROM_SOFTMAX = frozenset(
    {"Dropout", "Mul", "Where", "Reshape", "Transpose", "Squeeze", "Unsqueeze"}
)


def softmax_nodes(flow: Dataflow) -> Iterator[onnx.NodeProto]:
    """Softmax, and what adds masks to its argument: rule 5."""
    seen: set[str] = set()
    for softmax in flow.nodes:
        if softmax.op_type in FUSED_ATTENTION:
            yield softmax
        if softmax.op_type != "Softmax":
            continue
        yield softmax
        pending = [flow.inputs(softmax)[0]]
        while pending:
            node = flow.producer(pending.pop())
            if node is None or node.name in seen:
                continue
            if node.op_type == "Add" and _adds_mask(flow, node):
                seen.add(node.name)
                yield node
                pending.extend(flow.inputs(node))
            elif node.op_type == "Reshape":
                pending.append(flow.inputs(node)[0])


def _adds_mask(flow: Dataflow, node: onnx.NodeProto) -> bool:
    tensors = (flow.stored(name) for name in flow.inputs(node))
    return all(tensor is None or len(tensor.dims) > 1 for tensor in tensors)


def score_nodes(flow: Dataflow) -> Iterator[onnx.NodeProto]:
    """The products of queries and keys: rule 6."""
    seen: set[str] = set()
    for node in flow.nodes:
        if node.op_type in FUSED_ATTENTION:
            yield node
        pending = flow.inputs(node)[:1] if node.op_type == "Softmax" else []
        while pending:
            name = pending.pop()
            maker = flow.producer(name)
            if maker is None or maker.name in seen:
                continue
            seen.add(maker.name)
            if _multiplies_activations(flow, maker):
                yield maker
            elif maker.op_type in _TO_SOFTMAX:
                pending += flow.value_inputs(maker)


def context_nodes(flow: Dataflow) -> Iterator[onnx.NodeProto]:
    """The products of probabilities and values: rule 7."""
    seen: set[str] = set()
    for node in flow.nodes:
        if node.op_type in FUSED_ATTENTION:
            yield node
        pending = [node.output[0]] if node.op_type == "Softmax" else []
        while pending:
            for user in flow.consumers(pending.pop()):
                if user.name in seen:
                    continue
                seen.add(user.name)
                if _multiplies_activations(flow, user):
                    yield user
                elif user.op_type in _FROM_SOFTMAX:
                    pending.append(user.output[0])


def _multiplies_activations(flow: Dataflow, node: onnx.NodeProto) -> bool:
    return node.op_type in PRODUCTS and not any(
        flow.is_constant(name) for name in flow.inputs(node)
    )
