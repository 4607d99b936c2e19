"""Finding what makes a model's answers from its last hidden states; rule 8 of `patterns`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx

from quantbench.graph.attention import FUSED_ATTENTION
from quantbench.graph.dataflow import Dataflow
from quantbench.graph.layers import layer_of
from quantbench.graph.norms import SKIP_NORMALIZATIONS
from quantbench.graph.sums import WEIGHTED, is_skip_connection


def classifier_nodes(
    flow: Dataflow, outputs: list[str], blocks: Mapping[str, str]
) -> Iterator[onnx.NodeProto]:
    """The last linear layers before the outputs of the graph, with their biases.

    Args:
        flow: the graph.
        outputs: the names of the graph's outputs.
        blocks: the block of every node, of `layers.find_blocks`.
    """
    pending, seen = list(outputs), set[str]()
    while pending:
        node = flow.producer(pending.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        if _is_body(flow, node, blocks):
            continue
        if node.op_type in WEIGHTED and any(flow.is_constant(name) for name in flow.inputs(node)):
            yield node
            yield from (
                user
                for user in flow.consumers(node.output[0], "Add")
                if any(flow.is_constant(name) for name in flow.inputs(user))
            )
        else:
            pending += flow.value_inputs(node)


def _is_body(flow: Dataflow, node: onnx.NodeProto, blocks: Mapping[str, str]) -> bool:
    return (
        layer_of(blocks[node.name]) is not None
        or node.op_type in SKIP_NORMALIZATIONS | FUSED_ATTENTION
        or is_skip_connection(flow, node)
    )
