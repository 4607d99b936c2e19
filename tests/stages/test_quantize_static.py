"""Static quantization: types, forms and exclusions as asked for."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from quantizing import Ranges, quantized

from quantbench.core.errors import QuantbenchError
from quantbench.core.quantization import Dynamic, IntegerType, QuantFormat, Static
from quantbench.core.vocabulary import NodeExclusion, Operator
from quantbench.graph.counts import default_opset
from quantbench.protocols import Inputs, SessionOptions
from quantbench.runtimes.ort import RUNTIME
from quantbench.stages.check import check_file
from quantbench.stages.quantize import quantize_model
from tiny_models import Models, inputs


@pytest.mark.parametrize(
    ("activations", "weights"), [("uint8", "int8"), ("uint8", "uint8"), ("int8", "int8")]
)
def test_qdq_has_the_types_that_were_asked_for(
    models: Models,
    ranges: Ranges,
    tmp_path: Path,
    activations: IntegerType,
    weights: IntegerType,
) -> None:
    path = tmp_path / "model.onnx"
    scheme = Static(operators=("MatMul",), activation_type=activations, weight_type=weights)
    quantized(models, "distilbert", 17, scheme, ranges, path)
    model = onnx.load(path)
    stored = {item.name: item.data_type for item in model.graph.initializer}
    found: dict[bool, set[int]] = {True: set(), False: set()}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            found[node.input[0] in stored].add(stored[node.input[2]])
    kinds = {"int8": onnx.TensorProto.INT8, "uint8": onnx.TensorProto.UINT8}
    assert found == {True: {kinds[weights]}, False: {kinds[activations]}}
    assert default_opset(model) == 17


@pytest.mark.parametrize("quant_format", ["QDQ", "QOperator"])
def test_matmuls_of_two_activations_are_quantized_only_on_purpose(
    models: Models, ranges: Ranges, tmp_path: Path, quant_format: QuantFormat
) -> None:
    path = tmp_path / "model.onnx"
    for on_purpose, expected in ((False, (17, 13, 4)), (True, (17, 17, 0))):
        scheme = Static(
            operators=("MatMul",),
            quant_format=quant_format,
            quantize_activation_matmul=on_purpose,
        )
        counts = quantized(models, "distilbert", 17, scheme, ranges, path).nodes["MatMul"]
        assert (counts.total, counts.quantized, counts.left) == expected


def test_excluded_nodes_stay_as_they_are_in_static_rows(
    models: Models, ranges: Ranges, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    adds = Static(operators=("Add",), clamp_mask=False)
    everything = quantized(models, "distilbert", 11, adds, ranges, path)
    excluded = ("layernorm", "gelu", "softmax")
    scheme = Static(operators=("Add",), node_exclusion=excluded, clamp_mask=False)
    facts = quantized(models, "distilbert", 11, scheme, ranges, path)
    before, after = everything.nodes["Add"], facts.nodes["Add"]
    assert (after.excluded, after.matched) == (14, 14)
    # One Add is of integers, on shapes: it is never quantized.
    assert (before.total, before.quantized, before.left) == (33, 32, 1)
    assert (after.total, after.quantized, after.left) == (33, 18, 15)
    assert facts.exclusion_matches == {"layernorm": 45, "gelu": 10, "softmax": 4}
    assert facts.exclusion_effects == {"layernorm": 10, "gelu": 2, "softmax": 2}


def test_static_per_channel_loads_at_opset_17(
    models: Models, ranges: Ranges, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    scheme = Static(operators=("MatMul",), per_channel=True)
    quantized(models, "vit", 17, scheme, ranges, path)
    assert check_file(path, [0, 99], inputs("vit"), 1).keys() == {"0", "99"}


def test_static_per_channel_at_opset_11_is_refused_with_a_hint(
    models: Models, ranges: Ranges, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    scheme = Static(operators=("MatMul",), per_channel=True)
    quantized(models, "vit", 11, scheme, ranges, path)
    with pytest.raises(QuantbenchError, match=r"cannot load model.onnx(.|\n)*opset 13 or newer"):
        check_file(path, [1], inputs("vit"), 1)


def test_static_needs_ranges_and_dynamic_takes_none(models: Models, tmp_path: Path) -> None:
    exported, path = models.exported("vit", 17), tmp_path / "model.onnx"
    with pytest.raises(QuantbenchError, match="needs the ranges"):
        quantize_model(exported, Static(operators=("MatMul",)), None, path)
    with pytest.raises(QuantbenchError, match="others none"):
        quantize_model(exported, Dynamic(operators=("MatMul",)), tmp_path / "r.json", path)


def padded(given: Inputs, length: int) -> Inputs:
    missing = length - given["input_ids"].shape[1]
    return {name: np.pad(array, ((0, 0), (0, missing))) for name, array in given.items()}


@pytest.mark.parametrize(
    ("operators", "exclusions", "clamp_mask", "same"),
    [
        (("MatMul",), (), False, True),
        (("Add",), ("softmax",), False, True),
        (("Add",), (), False, False),
        (("Add",), (), True, True),
        (("Add", "Mul", "Softmax", "Where"), (), True, True),
    ],
)
def test_padding_changes_static_answers_only_where_the_mask_is_quantized(
    models: Models,
    ranges: Ranges,
    tmp_path: Path,
    operators: tuple[Operator, ...],
    exclusions: tuple[NodeExclusion, ...],
    clamp_mask: bool,
    same: bool,
) -> None:
    path = tmp_path / "model.onnx"
    scheme = Static(operators=operators, node_exclusion=exclusions, clamp_mask=clamp_mask)
    quantized(models, "distilbert", 11, scheme, ranges, path)
    session = RUNTIME.open(path, SessionOptions(1, 99))
    given = inputs("distilbert", 1, 10)
    alone = session.bind(given)()["start_logits"]
    # The samples of the calibration had no padding: the mask's range is [0, 0].
    beside_padding = session.bind(padded(given, 30))()["start_logits"][:, :10]
    assert np.array_equal(alone, beside_padding) == same


def test_static_answers_do_not_depend_on_neighbours_of_the_same_length(
    models: Models, ranges: Ranges, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    quantized(models, "distilbert", 11, Static(operators=("Add", "MatMul")), ranges, path)
    session = RUNTIME.open(path, SessionOptions(1, 99))
    batch = inputs("distilbert", 4)
    together = session.bind(batch)()["end_logits"]
    for i in range(4):
        one = {name: array[i : i + 1] for name, array in batch.items()}
        np.testing.assert_array_equal(session.bind(one)()["end_logits"][0], together[i])
