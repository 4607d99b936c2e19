"""The names a config may use for operators and node exclusions, and what each can act on.

Sources: the operator registries of ONNX Runtime 1.31 (`onnxruntime.quantization.registry`),
checked against the installed version by a test; the exclusion names are those of the seed cards.
"""

from __future__ import annotations

from typing import Literal, get_args

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
NodeExclusion = Literal["layernorm", "gelu", "residual", "gather", "softmax"]

OPERATORS: tuple[str, ...] = get_args(Operator)
NODE_EXCLUSIONS: tuple[str, ...] = get_args(NodeExclusion)

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

# Operators whose inputs and outputs never hold the attention mask.
MASK_FREE_OPERATORS: frozenset[str] = frozenset({"Conv", "Gemm", "LayerNormalization", "MatMul"})

# Operators whose weights take over a part of the activations' range in SmoothQuant.
SMOOTHED_OPERATORS: frozenset[str] = frozenset({"Gemm", "MatMul"})

# Operators whose weights can be stored in blocks.
WEIGHT_ONLY_OPERATORS: frozenset[str] = frozenset({"MatMul"})

# The operator types that a semantic pattern is made of, in decomposed and fused form: an
# exclusion can only act where one of them is to be quantized.
EXCLUSION_OPERATORS: dict[str, frozenset[str]] = {
    "layernorm": frozenset(
        {"ReduceMean", "Sub", "Pow", "Add", "Sqrt", "Div", "Mul", "LayerNormalization"}
    ),
    "gelu": frozenset({"Div", "Erf", "Add", "Mul", "Tanh", "Pow", "Gelu"}),
    "residual": frozenset({"Add"}),
    "gather": frozenset({"Add"}),
    "softmax": frozenset({"Add", "Softmax"}),
}
