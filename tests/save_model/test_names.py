"""File names of the layout of transformers.js, by quantization scheme."""

from typing import Any

import pytest

from quantbench.core.onnx_names import SUFFIXES, dtype_of, file_name
from quantbench.core.quantization import Dynamic, Float32, Static


@pytest.mark.parametrize(
    ("scheme", "path"),
    [
        ({"approach": "float32"}, "onnx/model.onnx"),
        ({"approach": "dynamic"}, "onnx/model_int8.onnx"),
        ({"approach": "dynamic", "weight_type": "uint8"}, "onnx/model_uint8.onnx"),
        ({"approach": "static", "weight_type": "int8"}, "onnx/model_int8.onnx"),
        ({"approach": "static", "weight_type": "uint8"}, "onnx/model_uint8.onnx"),
        ({"approach": "weight_only", "bits": 4}, "onnx/model_q4.onnx"),
        ({"approach": "weight_only", "bits": 8}, "onnx/model_quantized.onnx"),
    ],
)
def test_a_scheme_has_the_name_of_its_weights(scheme: dict[str, Any], path: str) -> None:
    assert file_name(dtype_of(scheme)) == path


@pytest.mark.parametrize(
    "scheme", [Float32(), Dynamic(operators=("MatMul",)), Static(operators=("MatMul",))]
)
def test_every_scheme_that_can_be_swept_has_a_name(scheme: Any) -> None:
    assert file_name(dtype_of(scheme.model_dump(mode="json"))).startswith("onnx/model")


@pytest.mark.parametrize(
    "scheme", [{}, {"approach": "weight_only", "bits": 3}, {"approach": "static", "weight_type": 1}]
)
def test_no_name_is_made_up(scheme: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no file name is known"):
        dtype_of(scheme)


def test_only_the_fp32_export_has_no_suffix_and_no_two_dtypes_share_one() -> None:
    assert [dtype for dtype, suffix in SUFFIXES.items() if not suffix] == ["fp32"]
    assert len(set(SUFFIXES.values())) == len(SUFFIXES)
