"""Rows that cannot be made: combinations for which ONNX Runtime writes no file, or one it refuses.

Found by trying all of them: see `tests/stages/test_combinations.py`.
"""

from __future__ import annotations

from quantbench.core.quantization import Float32, Scheme, Static

# The first with a DequantizeLinear that takes one scale per channel.
PER_CHANNEL_OPSET = 13


def refusal(scheme: Float32 | Scheme, opset: int) -> str | None:
    """Why a row cannot be made, and which value works; None if it can.

    Args:
        scheme: reduced to what can act.
        opset: of the exported file.
    """
    if not isinstance(scheme, Static):
        return None
    if scheme.activation_type == "int8" and scheme.weight_type == "uint8":
        return (
            "ONNX Runtime has no kernels for int8 activations with uint8 weights: take "
            "weight_type int8, or activation_type uint8"
        )
    if scheme.per_channel and scheme.quant_format == "QDQ" and opset < PER_CHANNEL_OPSET:
        return (
            f"static per-channel needs framework_args.opset {PER_CHANNEL_OPSET} or newer, not "
            f"{opset}: DequantizeLinear has one scale per tensor before that; quant_format "
            "QOperator works with any opset"
        )
    bins, levels = scheme.calibration.num_bins, scheme.calibration.num_quantized_bins
    if bins is not None and levels is not None and bins < levels:
        return (
            f"entropy needs at least as many calibration.num_bins ({bins}) as "
            f"calibration.num_quantized_bins ({levels})"
        )
    return None
