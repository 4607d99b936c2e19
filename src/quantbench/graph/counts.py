"""Counting nodes: operator types of a graph, and what quantization did to each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import onnx

from quantbench.core.results import NodeCounts
from quantbench.core.vocabulary import NodeExclusion

# Which inputs carry the data that is quantized; the others are shapes, indices, conditions.
_DATA_INPUTS: dict[str, tuple[int, ...]] = {
    "Where": (1, 2),
    **dict.fromkeys(("Add", "Mul", "MatMul", "Gemm", "Conv", "ConvTranspose"), (0, 1)),
    **dict.fromkeys(("LayerNormalization", "InstanceNormalization", "BatchNormalization"), (0, 1)),
}


def op_type_counts(model: onnx.ModelProto) -> dict[str, int]:
    """The number of nodes of each operator type in the main graph, most frequent first."""
    return dict(Counter(node.op_type for node in model.graph.node).most_common())


def default_opset(model: onnx.ModelProto) -> int:
    """The version of the default operator set that a model uses."""
    return int(next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx")))


def node_counts(
    exported: onnx.ModelProto,
    quantized: onnx.ModelProto,
    exclusions: Mapping[NodeExclusion, frozenset[str]],
    operators: Iterable[str],
) -> dict[str, NodeCounts]:
    """What became of the nodes of the operator types that were to be quantized.

    Args:
        exported: the graph before, with unique node names.
        quantized: the same graph after ONNX Runtime's quantizer, which keeps or extends names.
        exclusions: the nodes of the exclusions that were asked for.
        operators: the operator types that were asked for. Where MatMul is among them and the
            graph has Gemm, Gemm is listed as well: the dynamic quantizer makes MatMul of it.

    Returns:
        By operator type, sorted. A node counts as quantized when its integer form is in the
        file (dynamic), or when it is not excluded and its data come from DequantizeLinear
        (static).
    """
    asked = set(operators)
    matched = frozenset[str]().union(*exclusions.values())
    really = quantized_names(exported, quantized, asked, matched)
    listed = set(asked)
    if "MatMul" in asked and any(node.op_type == "Gemm" for node in exported.graph.node):
        listed.add("Gemm")
    counts: dict[str, NodeCounts] = {}
    for op_type in sorted(listed):
        names = {node.name for node in exported.graph.node if node.op_type == op_type}
        counts[op_type] = NodeCounts(
            total=len(names),
            matched=len(names & matched),
            excluded=len(names & matched) if op_type in asked else 0,
            quantized=len(names & really),
            left=len(names - really),
        )
    return counts


def quantized_names(
    exported: onnx.ModelProto,
    quantized: onnx.ModelProto,
    asked: set[str],
    excluded: frozenset[str],
) -> set[str]:
    """The names of the exported graph's nodes that are quantized; see `node_counts`.

    Args:
        exported: the graph before, with unique node names.
        quantized: the same graph after ONNX Runtime's quantizer.
        asked: the operator types that were to be quantized.
        excluded: the names of the nodes that were not.
    """
    dequantized = {
        name
        for node in quantized.graph.node
        if node.op_type == "DequantizeLinear"
        for name in node.output
    }
    after = {node.name: node for node in quantized.graph.node}
    before = {node.name: node for node in exported.graph.node}
    really: set[str] = set()
    for name, node in before.items():
        # The names that the QOperator quantizer gives to integer forms; Gemm is split first.
        if f"{name}_quant" in after or f"{name}_MatMul_quant" in after:
            really.add(name)
            continue
        kept = after.get(name)
        if kept is None or node.op_type not in asked or name in excluded:
            continue
        data = [kept.input[i] for i in _DATA_INPUTS.get(node.op_type, (0,)) if i < len(kept.input)]
        if node.op_type == "Concat":
            data = list(kept.input)
        # The dynamic quantizer lets Gather and Transpose work on the quantized tensor itself.
        moves_quantized = bool(kept.output) and kept.output[0] == f"{node.output[0]}_quantized"
        if moves_quantized or (data and all(item in dequantized for item in data)):
            really.add(name)
    return really
