"""Counting nodes: operator types of a graph, and what quantization did to each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import onnx

from quantbench.core.results import NodeCounts
from quantbench.core.vocabulary import NodeExclusion
from quantbench.graph.integer_forms import dequantized_tensors, reads_dequantized

# What ONNX Runtime's quantizers append to the name of a node when they write its integer form:
# QOperator forms, and those of a Gemm that was split into MatMul and Add.
_INTEGER_FORMS = ("_quant", "_MatMul_quant")
# Weight-only forms take the place of a node, whatever they are called: its output stays.
_WEIGHT_ONLY = frozenset({"MatMulNBits", "GatherBlockQuantized"})


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
        file (dynamic, static QOperator, weight-only), or when it is not excluded and its data
        come from DequantizeLinear (static QDQ).
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
    dequantized = dequantized_tensors(quantized)
    after = {node.name: node for node in quantized.graph.node}
    before = {node.name: node for node in exported.graph.node}
    replaced = {n.output[0] for n in quantized.graph.node if n.op_type in _WEIGHT_ONLY}
    really = {
        name
        for name, node in before.items()
        if node.output[0] in replaced or any(f"{name}{form}" in after for form in _INTEGER_FORMS)
    }
    # In a file with integer forms, DequantizeLinear leads back to floating point.
    is_qdq = not really
    for name, node in before.items():
        if name in really:
            continue
        kept = after.get(name)
        if kept is None or node.op_type not in asked or name in excluded:
            continue
        # QOperator lets Gather, Transpose and Reshape work on the quantized tensor itself.
        moves_quantized = bool(kept.output) and kept.output[0] == f"{node.output[0]}_quantized"
        if moves_quantized or (is_qdq and reads_dequantized(kept, dequantized)):
            really.add(name)
    return really
