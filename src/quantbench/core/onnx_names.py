"""What a model file is called in the layout that transformers.js and Optimum read."""

from __future__ import annotations

from collections.abc import Mapping

from quantbench.core.quantization import Dynamic, Float32, Quantization, Static, WeightOnly

FOLDER = "onnx"

# By the `dtype` that transformers.js is asked for.
# Source: huggingface/transformers.js, packages/transformers/src/utils/dtypes.js,
# DEFAULT_DTYPE_SUFFIX_MAPPING.
SUFFIXES: Mapping[str, str] = {
    "fp32": "",
    "fp16": "_fp16",
    "int8": "_int8",
    "uint8": "_uint8",
    "q8": "_quantized",
    "q4": "_q4",
    "q4f16": "_q4f16",
    "bnb4": "_bnb4",
}


def dtype_of(scheme: Quantization) -> str:
    """The `dtype` of transformers.js that stands for a quantization scheme.

    A dynamic or static scheme is named by the type of its weights; 4-bit weights are `q4`, 8-bit
    weights in blocks, for which there is no name, `q8`.
    """
    match scheme:
        case Float32():
            return "fp32"
        case Dynamic() | Static():
            return scheme.weight_type
        case WeightOnly():
            return "q4" if scheme.weight_only.bits == 4 else "q8"


def file_name(dtype: str) -> str:
    """The path of a model file below the model's folder: `onnx/model_int8.onnx` for `int8`."""
    return f"{FOLDER}/model{SUFFIXES[dtype]}.onnx"
