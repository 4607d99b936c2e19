"""Where the division of an activation can be folded into what makes it, exactly.

The rules. X / s, channel by channel of the last axis, is X with other constants, if X is

1. what a normalization makes, fused: its scale, and its bias if it has one, are divided;
2. a product with a stored vector (the scale of a normalization that is spelled out): it is divided;
3. a sum with a stored vector, and the other summand is one of these: both are divided;
4. a `MatMul` or `Gemm` with stored weights: their columns are divided, and the bias of `Gemm`;
5. `Relu` of one of these, as s > 0;

and nothing else reads what is between.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper

from quantbench.graph.dataflow import SHAPE_ONLY, constant_value, used_names
from quantbench.graph.free_names import FreeNames

# The inputs that hold the scale and the bias of a normalization.
_SCALE_AND_BIAS: dict[str, tuple[int, ...]] = {
    "LayerNormalization": (1, 2),
    "SkipLayerNormalization": (2, 3),
    "EmbedLayerNormalization": (5, 6),
    "RMSNormalization": (1,),
    "SimplifiedLayerNormalization": (1,),
    "SkipSimplifiedLayerNormalization": (2,),
}


class Factor(NamedTuple):
    """A stored array that a node reads, and the axis of the channels.

    `node` is the number of the node in the graph, `place` that of its input.
    """

    node: int
    place: int
    axis: int


class Weights:
    """The nodes of a graph, and the arrays that they read, which may be changed one by one."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = list(model.graph.node)
        self._stored = {item.name: item for item in model.graph.initializer}
        for node in self.nodes:
            value = constant_value(node) if node.op_type == "Constant" else None
            if value is not None:
                self._stored[node.output[0]] = value
        self._makers = {name: n for n, node in enumerate(self.nodes) for name in node.output}
        self._readers: dict[str, int] = {value.name: 1 for value in model.graph.output}
        for node in self.nodes:
            for name in used_names(node) if node.op_type not in SHAPE_ONLY else ():
                self._readers[name] = self._readers.get(name, 0) + 1
        self._changed: dict[tuple[int, int], np.ndarray] = {}

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is stored."""
        return name in self._stored

    def array(self, node: int, place: int) -> np.ndarray | None:
        """What a node reads there, changed or not, if it is stored in float32; else None."""
        if (node, place) in self._changed:
            return self._changed[node, place]
        inputs = self.nodes[node].input
        stored = self._stored.get(inputs[place]) if place < len(inputs) else None
        if stored is None or stored.data_type != onnx.TensorProto.FLOAT:
            return None
        array: np.ndarray = numpy_helper.to_array(stored)
        return array

    def rows(self, factor: Factor) -> np.ndarray:
        """Stored weights with the channels first.

        Raises:
            KeyError: they are not stored.
        """
        array = self.array(factor.node, factor.place)
        if array is None:
            raise KeyError(factor)
        return np.moveaxis(array, factor.axis, 0)

    def multiply(self, factor: Factor, factors: np.ndarray) -> None:
        """Multiply weights channel by channel."""
        rows = self.rows(factor)
        shape = (-1, *[1] * (rows.ndim - 1))
        changed = np.moveaxis(rows * factors.reshape(shape), 0, factor.axis)
        self._changed[factor.node, factor.place] = changed.astype(np.float32)

    def divide(self, factor: Factor, factors: np.ndarray) -> None:
        """Divide weights channel by channel."""
        self.multiply(factor, 1 / factors)

    def maker(self, name: str) -> int | None:
        """The number of the node that makes a tensor; None for inputs and initializers."""
        return self._makers.get(name)

    def num_readers(self, name: str) -> int:
        """How many nodes read the values of a tensor; an output of the graph has one more."""
        return self._readers.get(name, 0)

    def written(self, names: FreeNames) -> Iterable[onnx.TensorProto]:
        """The changed arrays as constants under new names, which their nodes read from then on."""
        for (number, place), array in self._changed.items():
            node = self.nodes[number]
            node.input[place] = names.free(f"{node.input[place]}_smoothed")
            yield numpy_helper.from_array(np.ascontiguousarray(array), node.input[place])


def folds(weights: Weights, activation: str, num_products: int, num_channels: int) -> list[Factor]:
    """What to divide so that an activation is divided; empty if that cannot be done exactly.

    Args:
        weights: of the graph.
        activation: the name of a tensor.
        num_products: how many readers want it divided.
        num_channels: the size of its last axis.
    """
    if weights.num_readers(activation) != num_products:
        return []
    number = weights.maker(activation)
    if number is None:
        return []
    node = weights.nodes[number]
    if node.op_type in _SCALE_AND_BIAS and node.output[0] == activation:
        places = [p for p in _SCALE_AND_BIAS[node.op_type] if p < len(node.input) and node.input[p]]
        return _all_vectors(weights, [Factor(number, place, -1) for place in places], num_channels)
    if node.op_type == "Relu":
        return folds(weights, node.input[0], 1, num_channels)
    if node.op_type in ("MatMul", "Gemm"):
        return _product(weights, number, num_channels)
    if node.op_type not in ("Mul", "Add"):
        return []
    for place, other in ((0, 1), (1, 0)):
        vector = _all_vectors(weights, [Factor(number, place, -1)], num_channels)
        if vector and node.op_type == "Mul":
            return vector
        if vector:
            rest = folds(weights, node.input[other], 1, num_channels)
            return vector + rest if rest else []
    return []


def flag(node: onnx.NodeProto, name: str) -> bool:
    """Whether an attribute of a node is set to a number other than 0."""
    return any(attribute.name == name and attribute.i for attribute in node.attribute)


def _product(weights: Weights, number: int, num_channels: int) -> list[Factor]:
    """The columns of the weights of a product, and its bias."""
    node = weights.nodes[number]
    array = weights.array(number, 1)
    axis = 0 if flag(node, "transB") else 1
    if array is None or array.ndim != 2 or array.shape[axis] != num_channels:
        return []
    columns = [Factor(number, 1, axis)]
    if len(node.input) < 3 or not node.input[2]:
        return columns
    bias = _all_vectors(weights, [Factor(number, 2, -1)], num_channels)
    return columns + bias if bias else []


def _all_vectors(weights: Weights, factors: list[Factor], num_channels: int) -> list[Factor]:
    """These factors, if each is stored with one value per channel; else none."""
    arrays = [weights.array(factor.node, factor.place) for factor in factors]
    fits = [
        array is not None and array.ndim > 0 and array.size == array.shape[-1] == num_channels
        for array in arrays
    ]
    return factors if factors and all(fits) else []
