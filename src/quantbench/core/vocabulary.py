"""The names a config may use for operators and node exclusions, and what each can act on.

Sources: the operator registries of ONNX Runtime 1.31 (`onnxruntime.quantization.registry`),
checked against the installed version by a test; the first five exclusion names are those of the
seed cards.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

Operator = Literal[
    "Add",
    "ArgMax",
    "Attention",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "CumSum",
    "EmbedLayerNormalization",
    "Flatten",
    "Gather",
    "GatherElements",
    "Gemm",
    "GlobalAveragePool",
    "InstanceNormalization",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "MatMul",
    "MaxPool",
    "Mul",
    "Pad",
    "Relu",
    "Reshape",
    "Resize",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Split",
    "Squeeze",
    "TopK",
    "Transpose",
    "Unsqueeze",
    "Where",
]

OPERATORS: tuple[str, ...] = get_args(Operator)

# The exclusions that mean the same in every model.
NODE_EXCLUSIONS: tuple[str, ...] = (
    "layernorm",
    "gelu",
    "residual",
    "gather",
    "softmax",
    "attention_scores",
    "attention_context",
    "classifier",
)
# Those that name a part of one model: a layer, counted from 0 or from the end (-1 is the last),
# or a module by its dotted name.
_LAYER = r"layer\.(0|-?[1-9][0-9]{0,5})"
_BLOCK = r"block:([A-Za-z0-9_-]{1,200}(?:\.[A-Za-z0-9_-]{1,200}){0,50})"


def layer_number(exclusion: str) -> int | None:
    """N of `layer.N`, negative from the end; None for another exclusion."""
    found = re.fullmatch(_LAYER, exclusion)
    return None if found is None else int(found[1])


def block_name(exclusion: str) -> str | None:
    """NAME of `block:NAME`; None for another exclusion."""
    found = re.fullmatch(_BLOCK, exclusion)
    return None if found is None else found[1]


def _known(name: str) -> str:
    if name in NODE_EXCLUSIONS or layer_number(name) is not None or block_name(name) is not None:
        return name
    # Told as an unknown value of a Literal is, with the names and the nearest of them.
    expected = " or ".join(f"'{item}'" for item in (*NODE_EXCLUSIONS, "layer.N", "block:NAME"))
    raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})


NodeExclusion = Annotated[
    str,
    AfterValidator(_known),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(NODE_EXCLUSIONS), "type": "string"},
                {"pattern": f"^{_LAYER}$", "type": "string"},
                {"pattern": f"^{_BLOCK}$", "type": "string"},
            ]
        }
    ),
]

# Operators for which the dynamic quantizer writes an integer form. Gemm is missing because the
# quantizer first turns it into MatMul + Add; Transpose only moves data that is quantized already.
DYNAMIC_OPERATORS: frozenset[str] = frozenset(
    {
        "Attention",
        "Conv",
        "EmbedLayerNormalization",
        "Gather",
        "LSTM",
        "MatMul",
        "Transpose",
    }
)

# Operators with weights that can have one scale per output channel.
PER_CHANNEL_OPERATORS: frozenset[str] = frozenset(
    {
        "Attention",
        "BatchNormalization",
        "Conv",
        "ConvTranspose",
        "Gemm",
        "InstanceNormalization",
        "LSTM",
        "LayerNormalization",
        "MatMul",
    }
)

# Operators with weights of a model: what `weight_type` can act on.
WEIGHT_OPERATORS: frozenset[str] = PER_CHANNEL_OPERATORS | {"EmbedLayerNormalization", "Gather"}

# Operators whose inputs and outputs never hold the values of an attention mask.
MASK_FREE_OPERATORS: frozenset[str] = frozenset(
    {"Attention", "Conv", "EmbedLayerNormalization", "Gemm", "LayerNormalization", "MatMul"}
)

# Operators whose weights take over a part of the activations' range in SmoothQuant.
SMOOTHED_OPERATORS: frozenset[str] = frozenset({"Attention", "Gemm", "MatMul"})

# Operators whose weights can be stored in blocks.
WEIGHT_ONLY_OPERATORS: frozenset[str] = frozenset({"MatMul"})

# The operator types that a semantic pattern is made of, in decomposed and fused form: an
# exclusion can only act where one of them is to be quantized.
_ATTENTION = frozenset({"Attention", "MultiHeadAttention"})
_SKIP_NORMS = frozenset({"SkipLayerNormalization", "SkipSimplifiedLayerNormalization"})
_FUSED_NORMS = _SKIP_NORMS | {
    "LayerNormalization",
    "EmbedLayerNormalization",
    "RMSNormalization",
    "SimplifiedLayerNormalization",
}
_FUSED_GELUS = frozenset({"Gelu", "FastGelu", "BiasGelu", "QuickGelu"})
EXCLUSION_OPERATORS: dict[str, frozenset[str]] = {
    "layernorm": _FUSED_NORMS
    | {"ReduceMean", "Sub", "Pow", "Add", "Sqrt", "Reciprocal", "Div", "Mul"},
    "gelu": _FUSED_GELUS | {"Div", "Erf", "Add", "Sub", "Mul", "Tanh", "Sigmoid", "Pow", "Neg"},
    "residual": frozenset({"Add", *_SKIP_NORMS}),
    "gather": frozenset({"Add", "EmbedLayerNormalization"}),
    "softmax": frozenset({"Add", "Softmax", *_ATTENTION}),
    "attention_scores": frozenset({"MatMul", *_ATTENTION}),
    "attention_context": frozenset({"MatMul", *_ATTENTION}),
    "classifier": frozenset({"MatMul", "Gemm", "Conv", "Add"}),
}

# Operators that compute a whole normalization or GELU by themselves.
FUSED_OPERATORS: frozenset[str] = _FUSED_NORMS | _FUSED_GELUS


def exclusion_operators(exclusion: str) -> frozenset[str]:
    """The operator types that the nodes of an exclusion can have; a layer or block can have any."""
    return EXCLUSION_OPERATORS.get(exclusion, frozenset(OPERATORS))
