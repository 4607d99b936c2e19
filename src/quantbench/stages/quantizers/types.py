"""ONNX Runtime's names for the types of integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.core.quantization import IntegerType

if TYPE_CHECKING:
    from onnxruntime.quantization import QuantType


def integer_type(name: IntegerType) -> QuantType:
    """The quantizer's enumeration member of a type."""
    from onnxruntime.quantization import QuantType

    return {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}[name]
