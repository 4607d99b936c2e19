"""Comparing the weights of a model with what its quantized file stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from quantbench.core.explanation import WeightFacts
from quantbench.graph.dataflow import constant_value
from quantbench.protocols import Array
from quantbench.stages.activations import Sums

# A channel whose largest weight is below this part of the tensor's loses 3 bits to it.
COARSE = 1 / 8
_QUANTIZED = "_quantized"
# The axis of the output channels of a weight, by the operator that reads it.
_CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1, "Gather": 0}


@dataclass(frozen=True)
class Weights:
    """The weights that were compared, and how many quantized ones have no float form."""

    found: tuple[WeightFacts, ...]
    num_missing: int


def compare_weights(
    float_model: onnx.ModelProto, quantized: onnx.ModelProto, layers: Mapping[str, str]
) -> Weights:
    """Compare every quantized weight, dequantized, with the float one of the same name.

    A weight W is stored as `W_quantized` with `W_scale` and `W_zero_point` by all of ONNX Runtime's
    8-bit quantizers; block-wise ones are packed beside the `MatMulNBits` that reads them.

    Args:
        float_model: the graph before quantization.
        quantized: the same after it.
        layers: the block of each node of the float graph, by name.
    """
    exact = dict(_constants(float_model))
    readers = _readers(float_model)
    stored = dict(_constants(quantized))
    axes = _axes(quantized)
    found: list[WeightFacts] = []
    missing = 0
    for name, values in stored.items():
        owner = name.removesuffix(_QUANTIZED)
        if owner == name or not np.issubdtype(values.dtype, np.integer):
            continue
        scale = _one_of(stored, f"{owner}_scale", f"{name}_scale")
        weight, node = exact.get(owner), readers.get(owner)
        if weight is None or scale is None or node is None or weight.shape != values.shape:
            missing += 1
            continue
        zero = _one_of(stored, f"{owner}_zero_point", f"{name}_zero_point")
        axis = axes.get(name, values.ndim - 1)
        dequantized = _dequantized(values, scale, zero, axis)
        found.append(_facts(owner, node, weight, dequantized, scale.size > 1, layers))
    for node in quantized.graph.node:
        if node.op_type == "MatMulNBits":
            facts = _blockwise(node, stored, exact, readers, layers)
            missing += facts is None
            found += [] if facts is None else [facts]
    return Weights(tuple(found), missing)


def _facts(
    name: str,
    node: onnx.NodeProto,
    weight: Array,
    dequantized: Array,
    per_channel: bool,
    layers: Mapping[str, str],
) -> WeightFacts:
    sums = Sums()
    sums.add(weight, dequantized)
    magnitudes = np.abs(weight)
    if weight.ndim > 1:
        axis = _channel_axis(node, weight.ndim)
        others = tuple(place for place in range(weight.ndim) if place != axis)
        channels = magnitudes.max(axis=others)
    else:
        channels = np.atleast_1d(magnitudes.max())
    largest = float(channels.max())
    return WeightFacts(
        name=name,
        node=node.name,
        op_type=node.op_type,
        layer=layers.get(node.name),
        error=sums.compared(),
        num_channels=channels.size,
        per_channel=per_channel,
        largest=largest,
        median=float(np.median(channels)),
        num_coarse=int((channels < COARSE * largest).sum()),
    )


def _channel_axis(node: onnx.NodeProto, ndim: int) -> int:
    if node.op_type == "Gemm":
        transposed = any(item.name == "transB" and item.i for item in node.attribute)
        return 0 if transposed else 1
    return _CHANNEL_AXIS.get(node.op_type, ndim - 1)


def _dequantized(values: Array, scale: Array, zero: Array | None, axis: int) -> Array:
    """(q - zero point) · scale, along an axis where there is more than one scale."""
    shape = [1] * values.ndim
    if scale.size > 1:
        shape[axis] = scale.size
    point = np.zeros(1, np.int32) if zero is None else zero.astype(np.int32)
    place = shape if point.size > 1 else [1] * values.ndim
    return np.asarray(
        (values.astype(np.int32) - point.reshape(place)) * scale.reshape(shape), np.float32
    )


def _blockwise(
    node: onnx.NodeProto,
    stored: Mapping[str, Array],
    exact: Mapping[str, Array],
    readers: Mapping[str, onnx.NodeProto],
    layers: Mapping[str, str],
) -> WeightFacts | None:
    """The weight of a `MatMulNBits`, found by the node that it stands for."""
    attributes = {item.name: item.i for item in node.attribute}
    rows, columns = attributes["K"], attributes["N"]
    packed, scale = stored.get(node.input[1]), stored.get(node.input[2])
    name = next(
        (
            name
            for name, weight in exact.items()
            if weight.shape == (rows, columns)
            and name in readers
            and readers[name].output[0] == node.output[0]
        ),
        None,
    )
    if packed is None or scale is None or name is None:
        return None
    zero = stored.get(node.input[3]) if len(node.input) > 3 and node.input[3] else None
    weight = dequantize_blocks(packed, scale, zero, attributes["bits"], attributes["block_size"])
    return _facts(name, readers[name], exact[name], weight[:, :rows].T, True, layers)


def dequantize_blocks(
    packed: Array, scale: Array, zero: Array | None, bits: int, block_size: int
) -> Array:
    """The floats that a weight of `MatMulNBits` stands for.

    As ONNX Runtime's contrib operator has it (docs/ContribOperators.md, com.microsoft.MatMulNBits).

    Args:
        packed: uint8 [N, blocks, block_size * bits / 8], the lower bits first.
        scale: [N * blocks], one per block.
        zero: uint8 [N * ceil(blocks * bits / 8)], packed in the same way; without it the zero
            point is 2^(bits - 1).
        bits: 4 or 8.
        block_size: values per block.

    Returns:
        float32 [N, blocks * block_size]; what is behind K in the last block is padding.
    """
    columns, blocks = packed.shape[0], packed.shape[1]
    values = _unpacked(packed.reshape(columns, blocks, -1), bits)[..., :block_size]
    if zero is None:
        points = np.full((columns, blocks), 1 << (bits - 1), dtype=np.int32)
    else:
        points = _unpacked(zero.reshape(columns, -1), bits)[:, :blocks].astype(np.int32)
    centred = values.astype(np.int32) - points[..., None]
    scaled = centred * scale.reshape(columns, blocks, 1).astype(np.float32)
    return np.asarray(scaled.reshape(columns, -1), dtype=np.float32)


def _unpacked(packed: Array, bits: int) -> Array:
    """The integers of the last axis, each byte's lower half first."""
    if bits == 8:
        return packed
    halves = np.stack([packed & 0xF, packed >> 4], axis=-1)
    return halves.reshape(*packed.shape[:-1], -1)


def _constants(model: onnx.ModelProto) -> Iterator[tuple[str, Array]]:
    for stored in model.graph.initializer:
        yield stored.name, numpy_helper.to_array(stored)
    for node in model.graph.node:
        value = constant_value(node) if node.op_type == "Constant" else None
        if value is not None:
            yield node.output[0], numpy_helper.to_array(value)


def _readers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The first node that reads each tensor."""
    readers: dict[str, onnx.NodeProto] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, node)
    return readers


def _axes(model: onnx.ModelProto) -> dict[str, int]:
    """The axis of the scales of each stored integer tensor, where the file says it."""
    axes: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear":
            given = [item.i for item in node.attribute if item.name == "axis"]
            axes[node.input[0]] = given[0] if given else 1
        elif node.op_type in ("ConvInteger", "QLinearConv"):
            place = 1 if node.op_type == "ConvInteger" else 3
            axes[node.input[place]] = 0
    return axes


def _one_of(stored: Mapping[str, Array], *names: str) -> Array | None:
    return next((stored[name] for name in names if name in stored), None)
