"""File names of the layout of transformers.js, by quantization scheme."""

import pytest

from quantbench.core.onnx_names import SUFFIXES, dtype_of, file_name
from quantbench.core.quantization import Blocks, Dynamic, Float32, Quantization, Static, WeightOnly

MATMUL = ("MatMul",)


@pytest.mark.parametrize(
    ("scheme", "path"),
    [
        (Float32(), "onnx/model.onnx"),
        (Dynamic(operators=MATMUL), "onnx/model_int8.onnx"),
        (Dynamic(operators=MATMUL, weight_type="uint8"), "onnx/model_uint8.onnx"),
        (Static(operators=MATMUL), "onnx/model_int8.onnx"),
        (Static(operators=MATMUL, weight_type="uint8"), "onnx/model_uint8.onnx"),
        (WeightOnly(operators=MATMUL), "onnx/model_q4.onnx"),
        (WeightOnly(operators=MATMUL, weight_only=Blocks(bits=8)), "onnx/model_quantized.onnx"),
    ],
)
def test_a_scheme_has_the_name_of_its_weights(scheme: Quantization, path: str) -> None:
    assert file_name(dtype_of(scheme)) == path


def test_only_the_fp32_export_has_no_suffix_and_no_two_dtypes_share_one() -> None:
    assert [dtype for dtype, suffix in SUFFIXES.items() if not suffix] == ["fp32"]
    assert len(set(SUFFIXES.values())) == len(SUFFIXES)
