"""Dynamic quantization: integer operators, scales of activations found at run time."""

from __future__ import annotations

from collections.abc import Sequence

from quantbench.core.quantization import Dynamic
from quantbench.stages.quantizers.files import Files
from quantbench.stages.quantizers.types import integer_type


def quantize(files: Files, scheme: Dynamic, excluded: Sequence[str]) -> None:
    """Write a file with MatMulInteger and its like; `excluded` nodes stay in floating point."""
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(
        files.source,
        files.target,
        op_types_to_quantize=list(scheme.operators),
        per_channel=scheme.per_channel,
        reduce_range=scheme.reduce_range,
        weight_type=integer_type(scheme.weight_type),
        nodes_to_exclude=list(excluded),
        extra_options={
            "WeightSymmetric": scheme.weight_symmetric,
            "MatMulConstBOnly": not scheme.quantize_activation_matmul,
        },
    )
