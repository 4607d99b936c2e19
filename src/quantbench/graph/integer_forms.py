"""Which nodes of a file are quantized, told from the file alone, and the graph without that.

The forms, by the floating-point operator that each stands for:

1. QOperator and weight-only: the operator's own integer types (`MatMulInteger`, `QLinearAdd`,
   `QAttention`, `MatMulNBits`).
2. QDQ: the operator itself, when its data come from `DequantizeLinear` and all that use its output
   are `QuantizeLinear`; products of matrices may also give floating point. In a file that has
   integer types, `DequantizeLinear` leads back to floating point instead.

Source: the operators of ONNX and of ONNX Runtime 1.31 (`docs/ContribOperators.md`).
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

_STANDS_FOR = {
    "MatMulInteger": "MatMul",
    "MatMulIntegerToFloat": "MatMul",
    "DynamicQuantizeMatMul": "MatMul",
    "MatMulNBits": "MatMul",
    "MatMulBnb4": "MatMul",
    "QGemm": "Gemm",
    "ConvInteger": "Conv",
    "QAttention": "Attention",
    "QEmbedLayerNormalization": "EmbedLayerNormalization",
    "DynamicQuantizeLSTM": "LSTM",
    "GatherBlockQuantized": "Gather",
}
_PREFIX = "QLinear"
_TO_INTEGER = "QuantizeLinear"
_TO_FLOAT = "DequantizeLinear"
QDQ = frozenset({_TO_INTEGER, _TO_FLOAT})
_PRODUCTS = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose"})
# Which inputs carry the data that is quantized; the others are shapes, indices, conditions.
_DATA_INPUTS: dict[str, tuple[int, ...]] = {
    "Where": (1, 2),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", *_PRODUCTS), (0, 1)),
    **dict.fromkeys(("LayerNormalization", "InstanceNormalization", "BatchNormalization"), (0, 1)),
}


def stands_for(op_type: str) -> str | None:
    """The floating-point operator that an integer form computes; None for other operators."""
    if op_type in _STANDS_FOR:
        return _STANDS_FOR[op_type]
    return op_type.removeprefix(_PREFIX) if op_type.startswith(_PREFIX) else None


def dequantized_tensors(model: onnx.ModelProto) -> frozenset[str]:
    """The outputs of `DequantizeLinear` in the main graph."""
    return frozenset(
        name for node in model.graph.node if node.op_type == _TO_FLOAT for name in node.output
    )


def reads_dequantized(node: onnx.NodeProto, dequantized: frozenset[str]) -> bool:
    """Whether all data that a node computes with come from `DequantizeLinear`."""
    places = _DATA_INPUTS.get(node.op_type, (0,))
    data = [node.input[i] for i in places if i < len(node.input)]
    if node.op_type == "Concat":
        data = list(node.input)
    return bool(data) and all(name in dequantized for name in data)


def quantized_nodes(model: onnx.ModelProto) -> dict[str, str]:
    """The nodes of a file that compute in integers or from packed weights.

    Args:
        model: with unique node names.

    Returns:
        By node name, the floating-point operator that each is or stands for.
    """
    found = {
        node.name: standing
        for node in model.graph.node
        if (standing := stands_for(node.op_type)) is not None
    }
    if found:
        return found
    dequantized = dequantized_tensors(model)
    read_as_float = {
        name for node in model.graph.node if node.op_type != _TO_INTEGER for name in node.input
    } | {value.name for value in model.graph.output}
    return {
        node.name: node.op_type
        for node in model.graph.node
        if node.op_type not in QDQ
        and reads_dequantized(node, dequantized)
        and (node.op_type in _PRODUCTS or not read_as_float & set(node.output))
    }


def in_floating_point(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which static quantization is taken back: for looking at, not for running.

    `QuantizeLinear` and `DequantizeLinear` pass on what they are given, `QLinearAdd`,
    `QLinearMatMul` and their like are the operators that they stand for. Patterns are found in it
    as in the graph before; single numbers that were stored in integers are what they stand for.
    """
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    stored = {item.name: item for item in model.graph.initializer}
    for node in plain.graph.node:
        places = _places(node.op_type)
        if not places:
            continue
        kept: list[str] = []
        for place in places:
            names = node.input[place : place + 3]
            parts = [stored[name] for name in names if name in stored]
            is_number = node.op_type != _TO_INTEGER and len(parts) == len(names)
            number = _number(parts) if is_number else None
            if number is None:
                kept.append(node.input[place])
                continue
            name = f"{node.name}_{place}_number"
            plain.graph.initializer.append(numpy_helper.from_array(number, name))
            kept.append(name)
        node.op_type, node.domain = stands_for(node.op_type) or "Identity", ""
        del node.input[:]
        node.input.extend(kept)
        if node.op_type == "Identity":
            del node.attribute[:]
    return plain


def _places(op_type: str) -> tuple[int, ...]:
    """Where a node's quantized data are among its inputs, each before its scale and zero point."""
    if op_type in QDQ:
        return (0,)
    if op_type in ("QLinearAdd", "QLinearMul", "QLinearMatMul", "QLinearConv", "QGemm"):
        return (0, 3)
    return (0,) if op_type == "QLinearSoftmax" else ()


def _number(parts: list[onnx.TensorProto]) -> np.ndarray | None:
    """A stored single number, from it and its scale and zero point; None if it is none."""
    if len(parts) < 2 or any(size != 1 for part in parts for size in part.dims):
        return None
    values = [numpy_helper.to_array(part).astype(np.float64).reshape(()) for part in parts]
    zero = values[2] if len(values) > 2 else 0.0
    return np.asarray((values[0] - zero) * values[1], dtype=np.float32)
