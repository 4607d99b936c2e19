"""Weights that several nodes share: what is done to one of them is done to all."""

from __future__ import annotations

from collections.abc import Collection

import onnx

from quantbench.graph.free_names import FreeNames


def with_own_weights(
    model: onnx.ModelProto, names: Collection[str], others: Collection[str]
) -> onnx.ModelProto:
    """A model in which the named nodes share no initializer with the others.

    ONNX Runtime's quantizers replace an initializer for all of its users: a node that is to stay
    in float would compute with the quantized weight of its neighbour.

    Args:
        model: with unique node names; it is not changed.
        names: of nodes in the main graph that get copies of what they share with `others`. They
            may go on sharing with each other.
        others: of the nodes that keep the initializers.

    Returns:
        A copy with copied initializers, or the model itself where nothing is shared.
    """
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    read, read_by_others = (
        {name for node in model.graph.node if node.name in group for name in node.input}
        for group in (names, others)
    )
    shared = sorted(read & read_by_others & initializers.keys())
    if not shared:
        return model
    own = onnx.ModelProto()
    own.CopyFrom(model)
    names_for = FreeNames(model)
    renamed: dict[str, str] = {}
    for name in shared:
        renamed[name] = names_for.free(f"{name}_own")
        copied = own.graph.initializer.add()
        copied.CopyFrom(initializers[name])
        copied.name = renamed[name]
    for node in own.graph.node:
        if node.name in names:
            node.input[:] = [renamed.get(name, name) for name in node.input]
    return own
