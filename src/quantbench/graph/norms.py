"""Finding normalizations, fused or spelled out; rule 1 of `patterns`.

References: J. L. Ba, J. R. Kiros, G. E. Hinton, Layer Normalization, arXiv:1607.06450;
B. Zhang, R. Sennrich, Root Mean Square Layer Normalization, arXiv:1910.07467.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from quantbench.graph.dataflow import Dataflow

SKIP_NORMALIZATIONS = frozenset({"SkipLayerNormalization", "SkipSimplifiedLayerNormalization"})
_FUSED = SKIP_NORMALIZATIONS | {
    "LayerNormalization",
    "EmbedLayerNormalization",
    "RMSNormalization",
    "SimplifiedLayerNormalization",
}


def normalization_nodes(flow: Dataflow) -> Iterator[onnx.NodeProto]:
    """The nodes of every layer and RMS normalization."""
    for node in flow.nodes:
        if node.op_type in _FUSED:
            yield node
        elif node.op_type == "ReduceMean":
            yield from _layernorm_at(flow, node)
            yield from _rms_at(flow, node)


def _layernorm_at(flow: Dataflow, mean: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """The nodes of the layer normalizations that subtract this mean."""
    data = flow.inputs(mean)[0]
    centered = [node for node in flow.consumers(mean.output[0], "Sub") if data in flow.inputs(node)]
    deviations = {node.output[0] for node in centered}
    for variance, square in _variances(flow, deviations):
        for nodes in _divided_by_root(flow, deviations, variance):
            yield from (mean, *centered, square, *nodes)


def _rms_at(flow: Dataflow, mean: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """The nodes of the RMS normalizations that use this mean, if it is one of squares."""
    square = flow.producer(flow.inputs(mean)[0])
    if square is None or square.op_type not in ("Pow", "Mul"):
        return
    data = {flow.inputs(square)[0]}
    if any(found.name == mean.name for found, _ in _variances(flow, data)):
        for nodes in _divided_by_root(flow, data, mean):
            yield from (square, *nodes)


def _divided_by_root(
    flow: Dataflow, numerators: set[str], variance: onnx.NodeProto
) -> Iterator[tuple[onnx.NodeProto, ...]]:
    """Numerator / sqrt(variance + eps) · scale + bias: the nodes of each, from the variance on."""
    for epsilon in flow.consumers(variance.output[0], "Add"):
        if not any(flow.is_constant(name) for name in flow.inputs(epsilon)):
            continue
        for root in flow.consumers(epsilon.output[0], "Sqrt"):
            for chain in _quotients(flow, numerators, root):
                yield (variance, epsilon, root, *chain, *_scale_and_bias(flow, chain[-1]))


def _variances(
    flow: Dataflow, deviations: set[str]
) -> Iterator[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """Means of squared deviations: pairs of the mean and the square."""
    squares = {
        node.output[0]: node
        for name in deviations
        for node in flow.consumers(name)
        if (node.op_type == "Pow" and flow.scalar(flow.inputs(node)[1]) == 2.0)
        or (node.op_type == "Mul" and set(flow.inputs(node)) <= deviations)
    }
    for name, square in squares.items():
        for mean in flow.consumers(name, "ReduceMean"):
            yield mean, square


def _quotients(
    flow: Dataflow, numerators: set[str], root: onnx.NodeProto
) -> Iterator[tuple[onnx.NodeProto, ...]]:
    """Numerator / root: one `Div`, or `Reciprocal` (or 1 / root) and `Mul`."""
    for node in flow.consumers(root.output[0]):
        upper = flow.inputs(node)[0]
        if node.op_type == "Div" and upper in numerators:
            yield (node,)
        elif node.op_type == "Reciprocal" or (node.op_type == "Div" and flow.scalar(upper) == 1.0):
            for product in flow.consumers(node.output[0], "Mul"):
                if numerators & set(flow.inputs(product)):
                    yield (node, product)


def _scale_and_bias(flow: Dataflow, normalized: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    front = [normalized]
    for op_type in ("Mul", "Add"):
        users = [
            user
            for node in front
            for user in flow.consumers(node.output[0], op_type)
            if any(flow.is_constant(name) for name in flow.inputs(user))
        ]
        yield from users
        # Without a scale, the bias is added to the normalized tensor itself.
        front = users or front
