"""SmoothQuant: moving outliers of activations into the weights that they are multiplied with.

Xiao et al. 2022, "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language
Models", arXiv:2211.10438, equations 3 and 4. For an activation X and the weights W of all products
that read it, per input channel j:

    s_j = max|X_j|^alpha / max|W_j|^(1 - alpha),   X_j / s_j,   W_j * s_j

which changes no product. Channels that are always zero, in X or in W, keep s_j = 1.

The division is folded into what makes X (`smooth_folds`), if nothing but the products of the group
reads X. Else a `Mul` by 1/s is inserted before them: other readers, such as a skip connection, see
X as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from quantbench.graph.dataflow import used_names
from quantbench.graph.free_names import FreeNames
from quantbench.graph.layers import components, find_blocks
from quantbench.graph.patterns import with_node_names
from quantbench.graph.smooth_folds import Factor, Weights, flag, folds

# How the names of `Mul` nodes that are inserted end, after the module of what they read.
_INSERTED = "SmoothQuantMul"

# The smallest divisor, as in the authors' code (smoothquant/smooth.py).
_SMALLEST_FACTOR = 1e-5
_MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class SmoothCounts:
    """How many activations were divided in what makes them, and by a `Mul`."""

    num_folded: int
    num_multiplied: int


def smoothed_activations(model: onnx.ModelProto) -> tuple[str, ...]:
    """The tensors that `smooth` divides, whose last axis is multiplied with constant weights."""
    return tuple(_groups(Weights(model)))


def is_inserted(node: onnx.NodeProto) -> bool:
    """Whether `smooth` made a node. It is not to be quantized: what it reads has the outliers."""
    last: str = node.name.rsplit("/", 1)[-1]
    return node.op_type == "Mul" and last.startswith(_INSERTED)


def smoothing_factors(activations: np.ndarray, weights: np.ndarray, alpha: float) -> np.ndarray:
    """The divisors of one activation.

    Args:
        activations: max|X_j|, shape (channels,).
        weights: max|W_j|, shape (channels,).
        alpha: 0 looks at the weights alone, 1 at the activations alone.

    Returns:
        s_j, float64, shape (channels,).
    """
    x, w = activations.astype(np.float64), weights.astype(np.float64)
    is_used = (x > 0) & (w > 0)
    x, w = np.where(is_used, x, 1.0), np.where(is_used, w, 1.0)
    factors: np.ndarray = np.maximum(x**alpha / w ** (1 - alpha), _SMALLEST_FACTOR)
    return factors


def smooth(
    model: onnx.ModelProto, maxima: Mapping[str, np.ndarray], alpha: float
) -> tuple[onnx.ModelProto, SmoothCounts]:
    """Divide activations and multiply weights; see the equations above.

    Args:
        model: float32; it is not changed. Nodes are in topological order.
        maxima: by activation, all of `smoothed_activations`: max|X_j| over the calibration
            samples, shape (channels,).
        alpha: between 0 and 1.

    Returns:
        A model that computes the same, and what was done.

    Raises:
        ValueError: maxima have another shape than their activation has channels.
    """
    smoothed = with_node_names(model)
    weights = Weights(smoothed)
    inserted: dict[int, onnx.NodeProto] = {}
    groups = _groups(weights)
    names = FreeNames(smoothed)
    blocks = _blocks(smoothed)
    constants: list[onnx.TensorProto] = []
    for activation, places in groups.items():
        parts = [np.abs(weights.rows(place)).max(axis=1) for place in places]
        largest = maxima[activation]
        if largest.shape != parts[0].shape:
            raise ValueError(
                f"maxima of {activation} have shape {largest.shape}, not {parts[0].shape}"
            )
        factors = smoothing_factors(largest, np.max(parts, axis=0), alpha)
        for place in places:
            weights.multiply(place, factors)
        found = folds(weights, activation, len(places), factors.size)
        for factor in found:
            weights.divide(factor, factors)
        if not found:
            inverse = names.free(f"{activation}/smoothing")
            divided = names.free(f"{activation}/smoothed")
            array = (1 / factors).astype(np.float32)
            constants.append(numpy_helper.from_array(array, inverse))
            first = min(place.node for place in places)
            name = names.free("/".join(["", *components(blocks.get(activation, "")), _INSERTED]))
            inserted[first] = helper.make_node("Mul", [activation, inverse], [divided], name)
            for place in places:
                weights.nodes[place.node].input[0] = divided
    constants += weights.written(names)
    _rewrite(smoothed, weights.nodes, inserted, constants)
    return smoothed, SmoothCounts(len(groups) - len(inserted), len(inserted))


def _blocks(model: onnx.ModelProto) -> dict[str, str]:
    """By activation: the block of the node that makes it."""
    found = find_blocks(model)
    return {name: found[node.name] for node in model.graph.node for name in node.output}


def _groups(weights: Weights) -> dict[str, list[Factor]]:
    """By activation: the weights of the products that read it."""
    groups: dict[str, list[Factor]] = {}
    for number, node in enumerate(weights.nodes):
        is_product = node.op_type in ("MatMul", "Gemm") and node.domain in ("", "ai.onnx")
        is_attention = node.op_type == "Attention" and node.domain == _MICROSOFT
        if not (is_product or is_attention) or flag(node, "transA"):
            continue
        array = weights.array(number, 1)
        if array is None or array.ndim != 2 or weights.is_constant(node.input[0]):
            continue
        axis = 1 if flag(node, "transB") else 0
        groups.setdefault(node.input[0], []).append(Factor(number, 1, axis))
    # A product whose weights another one shapes otherwise is left: they have no common channels.
    return {
        name: places
        for name, places in groups.items()
        if len({weights.rows(place).shape[0] for place in places}) == 1
    }


def _rewrite(
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    inserted: Mapping[int, onnx.NodeProto],
    constants: list[onnx.TensorProto],
) -> None:
    """Put new nodes and constants into a graph; constants that nobody reads any more go."""
    ordered: list[onnx.NodeProto] = []
    for number, node in enumerate(nodes):
        if number in inserted:
            ordered.append(inserted[number])
        ordered.append(node)
    used = {name for node in ordered for name in used_names(node)}
    used |= {value.name for value in model.graph.output}
    # Old files list constants among the inputs too: one that is gone would have to be given.
    gone = {item.name for item in model.graph.initializer} - used
    # What is in a list ends with it, hence a graph of copies.
    rewritten = onnx.GraphProto()
    rewritten.CopyFrom(model.graph)
    del rewritten.node[:], rewritten.initializer[:], rewritten.input[:]
    rewritten.input.extend(item for item in model.graph.input if item.name not in gone)
    rewritten.node.extend(ordered)
    rewritten.initializer.extend(item for item in model.graph.initializer if item.name in used)
    rewritten.initializer.extend(constants)
    model.graph.CopyFrom(rewritten)
