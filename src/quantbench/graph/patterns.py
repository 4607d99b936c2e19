"""Finding the nodes that a node exclusion names, by what they compute.

The rules, in any exporter's graph, whatever the order of nodes and operands and the names, seen
through `Identity` and `Cast`, with all consumers of a tensor looked at:

1. layernorm: `LayerNormalization`, `SkipLayerNormalization`, or all nodes of
   d = x - mean(x); d / sqrt(mean(d·d) + eps) · scale + bias, with the square as `Pow` or `Mul`,
   the quotient as `Div` or `Reciprocal` and `Mul`; scale and bias may be missing.
2. gelu: `Gelu`, `FastGelu`, `BiasGelu`, or all nodes that compute x·(1 + erf(x/√2))/2 or its tanh
   approximation from x, in any arrangement: the arithmetic is evaluated and compared.
3. residual: an `Add` of two activations, one of which is computed from the other through weights
   (`MatMul`, `Gemm`, `Conv`, `Attention`): a skip connection. Adding a bias is not one, and what
   feeds a softmax is not: masks are computed once and also reach the scores of later layers.
4. gather: an `Add` with an operand that is an embedding: looked up by `Gather` in a constant
   table of floats, possibly scaled, or a sum of such. A skip connection is not one, nor is
   arithmetic on shapes, nor a position table that is added without being looked up (ViT).
5. softmax: `Softmax`, and each `Add` of a mask or of a position bias that feeds one, directly or
   through `Reshape` and other such `Add`s. A bias (a constant of rank 1) is not a mask.

Not recognised: RMS normalization (it subtracts no mean), x·sigmoid(1.702 x), projection
shortcuts (neither operand is computed from the other).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx

from quantbench.core.vocabulary import NodeExclusion
from quantbench.graph.dataflow import Dataflow, dataflow
from quantbench.graph.gelu import gelu_nodes

_FUSED_LAYERNORM = frozenset({"LayerNormalization", "SkipLayerNormalization"})
_WEIGHTED = frozenset({"MatMul", "Gemm", "Conv", "Attention", "MultiHeadAttention"})


def with_node_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every node of the main graph has a name of its own.

    Names that are there and unique stay; the others become `<operator>_<position>`.
    """
    named = onnx.ModelProto()
    named.CopyFrom(model)
    taken = {node.name for node in model.graph.node if node.name}
    seen: set[str] = set()
    for position, node in enumerate(named.graph.node):
        if not node.name or node.name in seen:
            name = f"{node.op_type}_{position}"
            while name in taken:
                name += "_"
            taken.add(name)
            node.name = name
        seen.add(node.name)
    return named


def find_exclusions(model: onnx.ModelProto) -> dict[NodeExclusion, frozenset[str]]:
    """Find the nodes of every exclusion in the main graph of a model.

    Args:
        model: with unique node names, as `with_node_names` makes them.

    Returns:
        The names of the nodes that belong to each exclusion, empty where nothing does.

    Raises:
        ValueError: node names are missing or not unique.
    """
    names = [node.name for node in model.graph.node]
    if "" in names or len(set(names)) < len(names):
        raise ValueError("node names must be unique: use with_node_names first")
    flow = dataflow(model)
    found: dict[NodeExclusion, Iterator[onnx.NodeProto]] = {
        "layernorm": _layernorm(flow),
        "gelu": gelu_nodes(flow),
        "residual": _residual(flow),
        "gather": _gather(flow),
        "softmax": _softmax(flow),
    }
    return {name: frozenset(node.name for node in nodes) for name, nodes in found.items()}


def matched_names(
    matches: Mapping[NodeExclusion, frozenset[str]], wanted: tuple[NodeExclusion, ...]
) -> frozenset[str]:
    """The nodes that any of the wanted exclusions describes."""
    return frozenset().union(*(matches[name] for name in wanted))


def _layernorm(flow: Dataflow) -> Iterator[onnx.NodeProto]:
    for node in flow.nodes:
        if node.op_type in _FUSED_LAYERNORM:
            yield node
        elif node.op_type == "ReduceMean":
            yield from _layernorm_at(flow, node)


def _layernorm_at(flow: Dataflow, mean: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """The nodes of the layer normalizations that subtract this mean."""
    data = flow.inputs(mean)[0]
    centered = [node for node in flow.consumers(mean.output[0], "Sub") if data in flow.inputs(node)]
    deviations = {node.output[0] for node in centered}
    for variance, square in _variances(flow, deviations):
        for epsilon in flow.consumers(variance.output[0], "Add"):
            if not any(flow.is_constant(name) for name in flow.inputs(epsilon)):
                continue
            for root in flow.consumers(epsilon.output[0], "Sqrt"):
                for chain in _quotients(flow, deviations, root):
                    yield from (mean, *centered, square, variance, epsilon, root, *chain)
                    yield from _scale_and_bias(flow, chain[-1])


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
    flow: Dataflow, deviations: set[str], root: onnx.NodeProto
) -> Iterator[tuple[onnx.NodeProto, ...]]:
    """Deviation / root: one `Div`, or `Reciprocal` and `Mul`."""
    for node in flow.consumers(root.output[0]):
        if node.op_type == "Div" and flow.inputs(node)[0] in deviations:
            yield (node,)
        elif node.op_type == "Reciprocal":
            for product in flow.consumers(node.output[0], "Mul"):
                if deviations & set(flow.inputs(product)):
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


def _residual(flow: Dataflow) -> Iterator[onnx.NodeProto]:
    masks = {node.name for node in _softmax(flow)}
    return (
        node for node in flow.nodes if node.name not in masks and _is_skip_connection(flow, node)
    )


def _is_skip_connection(flow: Dataflow, node: onnx.NodeProto) -> bool:
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
        through = weighted or node.op_type in _WEIGHTED
        for state in ((previous, through) for previous in flow.value_inputs(node)):
            if state not in seen:
                seen.add(state)
                pending.append(state)
    return False


def _gather(flow: Dataflow) -> Iterator[onnx.NodeProto]:
    embeddings: set[str] = set()
    for node in flow.nodes:
        inputs = flow.inputs(node)
        if node.op_type == "Gather" and _is_embedding_table(flow.array(inputs[0])):
            embeddings.add(node.output[0])
        elif node.op_type in ("Mul", "Div") and embeddings & set(inputs):
            if any(flow.scalar(name) is not None for name in inputs):
                embeddings.add(node.output[0])
        elif (
            node.op_type == "Add"
            and embeddings & set(inputs)
            and not _is_skip_connection(flow, node)
        ):
            embeddings.add(node.output[0])
            yield node


def _is_embedding_table(table: np.ndarray | None) -> bool:
    return table is not None and table.ndim == 2 and np.issubdtype(table.dtype, np.floating)


def _softmax(flow: Dataflow) -> Iterator[onnx.NodeProto]:
    seen: set[str] = set()
    for softmax in flow.nodes:
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
    arrays = (flow.array(name) for name in flow.inputs(node))
    return all(array is None or array.ndim > 1 for array in arrays)
