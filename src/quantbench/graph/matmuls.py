"""Which MatMuls of a graph multiply two activations, as attention does."""

from __future__ import annotations

import onnx

from quantbench.graph.dataflow import dataflow


def activation_matmuls(model: onnx.ModelProto) -> frozenset[str]:
    """The names of the MatMuls none of whose inputs is constant.

    Args:
        model: its nodes have unique names.
    """
    flow = dataflow(model)
    return frozenset(
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and not any(flow.is_constant(name) for name in node.input)
    )
