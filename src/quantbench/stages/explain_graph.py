"""What quantization did to the nodes of a graph, and what the runtime made of the result."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping

import onnx

from quantbench.core.explanation import IdlePairs, NodeFacts
from quantbench.core.vocabulary import NodeExclusion
from quantbench.graph.dataflow import dataflow, in_topological_order
from quantbench.graph.masks import masked_nodes

# They move values about, and compute none.
MOVES = frozenset({
    "Cast", "Concat", "Dropout", "Expand", "Flatten", "Gather", "GatherElements", "GatherND",
    "Identity", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
})  # fmt: skip


def computing_nodes(
    float_model: onnx.ModelProto,
    float_tensors: Collection[str],
    quantized: Collection[str],
    patterns: Mapping[NodeExclusion, frozenset[str]],
    excluded: Collection[str],
    layers: Mapping[str, str],
) -> tuple[NodeFacts, ...]:
    """The nodes that compute float activations, and what became of each.

    Args:
        float_model: the graph before quantization, with unique node names.
        float_tensors: the names of its float activations.
        quantized: the names of the nodes that are quantized.
        patterns: the nodes that each exclusion describes, for all that are known here.
        excluded: the exclusions of the scheme.
        layers: the block of each node, by name.
    """
    flow, masked = dataflow(float_model), masked_nodes(float_model)
    found: list[NodeFacts] = []
    for node in flow.nodes:
        if node.op_type in MOVES and node.name not in quantized:
            continue
        if not any(name in float_tensors for name in node.output):
            continue
        if all(flow.is_constant(name) for name in node.output):
            continue
        described = tuple(name for name, nodes in patterns.items() if node.name in nodes)
        found.append(
            NodeFacts(
                name=node.name,
                op_type=node.op_type,
                layer=layers.get(node.name),
                quantized=node.name in quantized,
                excluded_by=tuple(name for name in described if name in excluded),
                patterns=described,
                constant_operand=any(name and flow.is_constant(name) for name in node.input),
                masked=node.name in masked,
            )
        )
    return tuple(found)


def softmax_inputs(float_model: onnx.ModelProto) -> frozenset[str]:
    """The tensors that a Softmax reads, and the scores that a mask is added to before it."""
    flow = dataflow(float_model)
    found: set[str] = set()
    for softmax in flow.nodes:
        if softmax.op_type != "Softmax":
            continue
        scores = flow.inputs(softmax)[0]
        found.add(scores)
        adder = flow.producer(scores)
        if adder is not None and adder.op_type == "Add":
            found.update(name for name in flow.inputs(adder) if _is_product(flow.producer(name)))
    return frozenset(found)


def _is_product(node: onnx.NodeProto | None) -> bool:
    return node is not None and node.op_type in ("MatMul", "Mul", "Div", "FusedMatMul")


def idle_pairs(executed: onnx.ModelProto) -> tuple[IdlePairs, ...]:
    """The quantize/dequantize pairs of the graph that ran that feed no integer kernel.

    Args:
        executed: the graph after the session's optimization, which ONNX Runtime wrote.
    """
    makers = {name: node.op_type for node in executed.graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in in_topological_order(executed.graph.node):
        for name in node.input:
            readers[name].append(node)
    counts: Counter[tuple[str, str]] = Counter()
    for node in executed.graph.node:
        users = readers[node.output[0]]
        if node.op_type != "QuantizeLinear" or not users:
            continue
        if all(user.op_type == "DequantizeLinear" for user in users):
            made_by = makers.get(node.input[0], "graph input")
            counts[made_by, _read_by(users, readers)] += 1
    return tuple(
        IdlePairs(made_by=made_by, read_by=read_by, count=count)
        for (made_by, read_by), count in counts.most_common()
    )


def _read_by(dequantized: list[onnx.NodeProto], readers: Mapping[str, list[onnx.NodeProto]]) -> str:
    def names() -> Iterator[str]:
        for node in dequantized:
            yield from (user.op_type for user in readers.get(node.output[0], ()))

    return ", ".join(sorted(set(names()) - {"Shape"})) or "graph output"
