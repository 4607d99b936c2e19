"""Finding sums by what they add: skip connections and embeddings; rules 3 and 4 of `patterns`."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto

from quantbench.graph.attention import FUSED_ATTENTION, PRODUCTS, softmax_nodes
from quantbench.graph.dataflow import Dataflow
from quantbench.graph.norms import SKIP_NORMALIZATIONS

# Operators with weights, in float and integer form (the latter are in graphs that were quantized).
WEIGHTED = (
    FUSED_ATTENTION
    | PRODUCTS
    | {"Gemm", "FusedGemm", "Conv", "FusedConv"}
    | {"MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinearMatMul"}
    | {"MatMulNBits", "MatMulBnb4", "QGemm", "ConvInteger", "QLinearConv"}
)
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


def residual_nodes(flow: Dataflow) -> Iterator[onnx.NodeProto]:
    """Skip connections: rule 3."""
    masks = {node.name for node in softmax_nodes(flow)}
    return (
        node
        for node in flow.nodes
        if node.op_type in SKIP_NORMALIZATIONS
        or (node.name not in masks and is_skip_connection(flow, node))
    )


def is_skip_connection(flow: Dataflow, node: onnx.NodeProto) -> bool:
    """Whether this is an `Add` of two activations, one computed from the other by weights."""
    if node.op_type != "Add" or any(flow.is_constant(name) for name in flow.inputs(node)):
        return False
    left, right = flow.inputs(node)
    return _computed_from(flow, left, right) or _computed_from(flow, right, left)


def _computed_from(flow: Dataflow, name: str, source: str) -> bool:
    """Whether the values of a tensor come from those of `source`, through weights."""
    pending, seen = [(name, False)], {(name, False)}
    while pending:
        tensor, weighted = pending.pop()
        if tensor == source and weighted:
            return True
        node = flow.producer(tensor)
        if node is None:
            continue
        through = weighted or node.op_type in WEIGHTED
        for state in ((previous, through) for previous in flow.value_inputs(node)):
            if state not in seen:
                seen.add(state)
                pending.append(state)
    return False


def embedding_sum_nodes(flow: Dataflow) -> Iterator[onnx.NodeProto]:
    """Sums of embeddings: rule 4."""
    embeddings: set[str] = set()
    for node in flow.nodes:
        inputs = flow.inputs(node)
        if node.op_type == "EmbedLayerNormalization":
            yield node
        elif node.op_type == "Gather" and _is_embedding_table(flow.stored(inputs[0])):
            embeddings.add(node.output[0])
        elif node.op_type in ("Mul", "Div") and embeddings & set(inputs):
            if any(flow.scalar(name) is not None for name in inputs):
                embeddings.add(node.output[0])
        elif (
            node.op_type == "Add"
            and embeddings & set(inputs)
            and not is_skip_connection(flow, node)
        ):
            embeddings.add(node.output[0])
            yield node


def _is_embedding_table(table: onnx.TensorProto | None) -> bool:
    return table is not None and len(table.dims) == 2 and table.data_type in _FLOATS
