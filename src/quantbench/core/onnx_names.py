"""What a model file is called in the layout that transformers.js and Optimum read."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

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


def dtype_of(scheme: Mapping[str, JsonValue]) -> str:
    """The `dtype` of transformers.js that stands for a quantization scheme.

    Args:
        scheme: the fields of `core.quantization`'s types, as plain data. A dynamic or static scheme
            is named by the type of its weights, int8 where it has no choice; 4-bit weights are
            `q4`, 8-bit weights in blocks, for which there is no name, `q8`.

    Raises:
        ValueError: there is no name for such a file.
    """
    match scheme:
        case {"approach": "float32"}:
            return "fp32"
        case {"approach": "weight_only", "bits": 4}:
            return "q4"
        case {"approach": "weight_only", "bits": 8}:
            return "q8"
        case {"approach": "dynamic" | "static"}:
            weights = scheme.get("weight_type", "int8")
            if weights in ("int8", "uint8"):
                return str(weights)
        case _:
            pass
    raise ValueError(f"no file name is known for the scheme {dict(scheme)}")


def file_name(dtype: str) -> str:
    """The path of a model file below the model's folder: `onnx/model_int8.onnx` for `int8`."""
    return f"{FOLDER}/model{SUFFIXES[dtype]}.onnx"
