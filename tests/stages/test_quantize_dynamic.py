"""Dynamic quantization: integer operators, uint8 activations."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from quantizing import digest

from quantbench.core.errors import QuantbenchError
from quantbench.core.quantization import Dynamic, IntegerType
from quantbench.protocols import SessionOptions
from quantbench.runtimes.ort import RUNTIME
from quantbench.stages.check import check_file
from quantbench.stages.quantize import quantize_model
from tiny_models import Models, inputs


def test_dynamic_add_alone_computes_what_the_export_computes(
    models: Models, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    exported = models.exported("distilbert", 11)
    facts = quantize_model(exported, Dynamic(operators=("Add",)), None, path)
    assert digest(path) == digest(exported)
    assert facts.nodes["Add"].quantized == 0


OF_ADDS = ("layernorm", "gelu", "residual", "gather", "softmax")


def test_excluding_adds_changes_nothing_in_dynamic_rows(models: Models, tmp_path: Path) -> None:
    everything, some = tmp_path / "all.onnx", tmp_path / "some.onnx"
    exported = models.exported("distilbert", 11)
    operators = ("Add", "MatMul")
    quantize_model(exported, Dynamic(operators=operators), None, everything)
    excluding = Dynamic(operators=operators, node_exclusion=OF_ADDS)
    facts = quantize_model(exported, excluding, None, some)
    assert everything.read_bytes() == some.read_bytes()
    assert facts.exclusion_matches["layernorm"] > 0


@pytest.mark.parametrize("per_channel", [False, True])
def test_dynamic_matmul_has_int8_weights_and_uint8_activations(
    models: Models, tmp_path: Path, per_channel: bool
) -> None:
    path = tmp_path / "model.onnx"
    scheme = Dynamic(operators=("MatMul",), per_channel=per_channel)
    facts = quantize_model(models.exported("distilbert", 11), scheme, None, path)
    model = onnx.load(path)
    kinds = Counter(node.op_type for node in model.graph.node)
    # Of 17 MatMuls, 4 multiply two activations and stay.
    counts = facts.nodes["MatMul"]
    assert (counts.total, counts.quantized, counts.left) == (17, 13, 4)
    assert kinds["MatMulInteger"] == 13
    assert kinds["DynamicQuantizeLinear"] > 0  # uint8 by definition of the operator
    weights = {item.name: item for item in model.graph.initializer}
    used = [node.input[1] for node in model.graph.node if node.op_type == "MatMulInteger"]
    assert {weights[name].data_type for name in used} == {onnx.TensorProto.INT8}
    scales = [item for name, item in weights.items() if name.endswith("_scale")]
    assert {len(item.dims) for item in scales} == ({1} if per_channel else {0})


def test_gemm_is_counted_where_it_becomes_matmul(models: Models, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    facts = quantize_model(models.exported("vit", 17), Dynamic(operators=("MatMul",)), None, path)
    assert (facts.nodes["Gemm"].total, facts.nodes["Gemm"].quantized) == (1, 1)
    integer = sum(node.op_type == "MatMulInteger" for node in onnx.load(path).graph.node)
    assert integer == facts.nodes["MatMul"].quantized + facts.nodes["Gemm"].quantized


@pytest.mark.parametrize("weight_type", ["int8", "uint8"])
def test_dynamic_conv_has_an_integer_form_that_runs(
    models: Models, tmp_path: Path, weight_type: IntegerType
) -> None:
    path, exported = tmp_path / "model.onnx", models.exported("vit", 17)
    scheme = Dynamic(operators=("Conv",), weight_type=weight_type)
    facts = quantize_model(exported, scheme, None, path)
    assert facts.nodes["Conv"].quantized == 1
    executed = check_file(path, [0, 99], inputs("vit", 2), 1)
    assert [counts["ConvInteger"] for counts in executed.values()] == [1, 1]
    for level in (0, 99):
        found, wanted = (
            RUNTIME.open(each, SessionOptions(1, level)).bind(inputs("vit", 2))()["logits"]
            for each in (path, exported)
        )
        assert 0 < np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()


def test_an_operator_without_a_kernel_is_refused_with_a_hint(tmp_path: Path) -> None:
    # The standard has Add for bfloat16, ONNX Runtime's CPU provider does not.
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.BFLOAT16, [1]) for name in "xy"
    ]
    node = onnx.helper.make_node("Add", ["x", "x"], ["y"])
    graph = onnx.helper.make_graph([node], "graph", values[:1], values[1:])
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    with pytest.raises(QuantbenchError, match=r"Add(.|\n)*leave its type out"):
        check_file(path, [99], {"x": np.zeros(1)}, 1)


def test_a_classifier_that_is_a_gemm_can_be_excluded(models: Models, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    scheme = Dynamic(operators=("MatMul",), node_exclusion=("classifier",))
    facts = quantize_model(models.exported("vit", 17), scheme, None, path)
    counts = facts.nodes["Gemm"]
    assert (counts.total, counts.excluded, counts.quantized, counts.left) == (1, 1, 0, 1)
    assert facts.exclusion_effects == {"classifier": 1}
    integer = sum(node.op_type == "MatMulInteger" for node in onnx.load(path).graph.node)
    assert integer == facts.nodes["MatMul"].quantized


def test_a_layer_can_be_excluded_and_one_that_is_not_there_is_told(
    models: Models, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    exported = models.exported("distilbert", 11)
    scheme = Dynamic(operators=("MatMul",), node_exclusion=("layer.-1",))
    facts = quantize_model(exported, scheme, None, path)
    # Each of the two layers has 8 MatMuls, of which 2 multiply two activations.
    assert (facts.nodes["MatMul"].excluded, facts.nodes["MatMul"].quantized) == (8, 7)
    missing = Dynamic(operators=("MatMul",), node_exclusion=("layer.2",))
    with pytest.raises(QuantbenchError, match=r"layer\.0 to layer\.1"):
        quantize_model(exported, missing, None, path)
