"""Static quantization: ranges of activations from calibration, as QDQ or as integer operators."""

from __future__ import annotations

from collections.abc import Sequence

from quantbench.core.quantization import Static
from quantbench.stages.calibrate import ort_method
from quantbench.stages.quantizers.files import Files
from quantbench.stages.quantizers.types import integer_type


def quantize(files: Files, scheme: Static, excluded: Sequence[str]) -> None:
    """Write a file in which weights and activations are quantized.

    `excluded` nodes stay in floating point. MatMuls of two activations have to be among them where
    they are to stay: QDQ ignores the quantizer's own switch for them, `MatMulConstBOnly`.
    """
    from onnxruntime.quantization import QuantFormat, quantize_static

    quantize_static(
        files.source,
        files.target,
        calibration_data_reader=None,
        quant_format=QuantFormat[scheme.quant_format],
        op_types_to_quantize=list(scheme.operators),
        per_channel=scheme.per_channel,
        reduce_range=scheme.reduce_range,
        activation_type=integer_type(scheme.activation_type),
        weight_type=integer_type(scheme.weight_type),
        nodes_to_exclude=list(excluded),
        calibrate_method=ort_method(scheme.calibration),
        calibration_cache_path=files.ranges,
        extra_options={
            "ActivationSymmetric": scheme.activation_symmetric,
            "WeightSymmetric": scheme.weight_symmetric,
            "MatMulConstBOnly": not scheme.quantize_activation_matmul,
        },
    )
