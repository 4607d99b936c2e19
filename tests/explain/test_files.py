"""Whole files are explained, in every form; faults that are planted in a model are found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from quantbench.analysis.explain import find
from quantbench.analysis.explain_facts import left_in_floats, output_error, sqnr_db
from quantbench.core.calibration import Calibration
from quantbench.core.errors import QuantbenchError
from quantbench.core.explanation import EXPLANATION_VERSION, Explanation
from quantbench.core.plan import Cell
from quantbench.core.quantization import Blocks, Dynamic, Float32, Scheme, Static, WeightOnly
from quantbench.stages import profile
from quantbench.stages.calibrate import collect_ranges
from quantbench.stages.explain import Files, explain_file
from quantbench.stages.explain_weights import dequantize_blocks
from quantbench.stages.quantize import quantize_model
from tiny_models import Models, inputs, samples

MATMUL = ("MatMul",)
BOTH = ("Add", "MatMul")
FINE = ("layernorm", "gelu")
Explain = Callable[..., Explanation]


@pytest.fixture
def explain(models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Explain:
    """Quantize a tiny model, planted with a fault or not, and explain the file."""
    monkeypatch.setattr(profile, "FORWARDS_PER_BLOCK", 2)

    def explained(
        scheme: Scheme | Float32,
        kind: str = "distilbert",
        plant: Callable[[onnx.ModelProto], None] = lambda _: None,
        level: int = 99,
        calibrated: Any = None,
        opset: int = 14,
    ) -> Explanation:
        model = onnx.load(models.exported(kind, opset))
        plant(model)
        exact, quantized = tmp_path / "float.onnx", tmp_path / "quantized.onnx"
        onnx.save(model, exact)
        ranges = None
        if isinstance(scheme, Static):
            ranges = tmp_path / "ranges.json"
            used = samples(kind, 4) if calibrated is None else calibrated
            collect_ranges(exact, used, list(scheme.operators), Calibration(), ranges)
        if isinstance(scheme, Float32):
            onnx.save(model, quantized)
        else:
            quantize_model(exact, scheme, ranges, quantized)
        return explain_file(
            Files(exact, quantized, scheme, level, 1),
            list(samples(kind, 4)),
            Cell(batch_size=1, input_length=12),
            inputs(kind),
            is_x86=True,
            instructions=("avx2", "avx_vnni"),
            on_sample=lambda _: None,
        )

    return explained


def rules(facts: Explanation) -> set[str]:
    """Those of values and structure: times of a tiny model say nothing."""
    return {finding.rule for finding in find(facts)} - {"R12"}


FORMS: dict[str, Scheme] = {
    "dynamic": Dynamic(operators=MATMUL),
    "static QDQ": Static(operators=MATMUL),
    "static QDQ per channel": Static(operators=MATMUL, per_channel=True),
    "static QOperator": Static(operators=MATMUL, quant_format="QOperator"),
    "weight-only 4": WeightOnly(operators=MATMUL, weight_only=Blocks(bits=4, block_size=16)),
    "weight-only 4 asymmetric": WeightOnly(
        operators=MATMUL, weight_only=Blocks(bits=4, block_size=16, symmetric=False)
    ),
    "weight-only 8": WeightOnly(operators=MATMUL, weight_only=Blocks(bits=8, block_size=32)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_explained(form: str, explain: Explain) -> None:
    facts = explain(FORMS[form])
    weights = [item for item in facts.weights if item.op_type == "MatMul"]
    assert len(weights) == 13  # six in each of two layers, and the head
    assert facts.num_missing_weights == 0
    assert sum(node.quantized for node in facts.nodes) >= 13
    lowest = 15.0 if "weight-only 4" in form else 30.0
    for item in weights:
        decibels = sqnr_db(item.error)
        assert decibels is not None
        assert lowest < decibels < 80
    decibels = sqnr_db(output_error(facts))
    assert decibels is not None
    assert decibels > 10
    assert {item.layer for item in facts.activations} >= {"layer.0", "layer.1"}
    assert facts.num_samples == 4
    assert facts.num_missing_activations < len(facts.activations) / 4
    assert Explanation.model_validate_json(facts.model_dump_json()) == facts


def test_a_normalization_of_one_node_is_not_said_to_be_kept_from_fusing(explain: Explain) -> None:
    """From opset 17 on it is one node; what it costs to quantize it is a pair around floats."""
    scheme = Static(operators=("LayerNormalization", "MatMul"))
    facts = explain(scheme, kind="vit", opset=17)
    norms = [node for node in facts.nodes if node.op_type == "LayerNormalization"]
    assert norms
    assert all(node.quantized for node in norms)
    assert "R2" not in rules(facts)
    assert "R3" in rules(facts)


def test_time_is_told_by_operator_for_both_models(explain: Explain) -> None:
    times = explain(FORMS["dynamic"]).profile
    before = {item.op_type: item.num_nodes for item in times.reference.operators}
    after = {item.op_type: item.num_nodes for item in times.row.operators}
    assert "DynamicQuantizeMatMul" in after
    assert before["MatMul"] > after.get("MatMul", 0)
    assert times.row.microseconds > 0


def test_products_of_two_activations_are_told_apart(explain: Explain) -> None:
    reasons = {
        (left.op_type, left.reason): left.count
        for left in left_in_floats(explain(FORMS["static QDQ"]))
    }
    key = ("MatMul", "both operands are activations (quantize_activation_matmul is false)")
    assert reasons[key] == 4


def test_a_float_file_has_nothing_to_explain(explain: Explain) -> None:
    with pytest.raises(QuantbenchError, match="nothing was quantized"):
        explain(Float32())


# Faults


def test_a_clean_file_is_called_fine_and_nothing_else(explain: Explain) -> None:
    assert rules(explain(Static(operators=MATMUL))) == {"R11"}
    assert rules(explain(Dynamic(operators=MATMUL))) == {"R11"}


def test_r1_a_mask_in_the_range_swallows_the_scores(explain: Explain) -> None:
    def padded() -> Any:
        for sample in samples("distilbert", 4):
            mask = sample["attention_mask"].copy()
            mask[:, -2:] = 0
            yield {**sample, "attention_mask": mask}

    scheme = Static(operators=BOTH, node_exclusion=FINE, clamp_mask=False)
    facts = explain(scheme, calibrated=padded())
    assert "R1" in rules(facts)
    assert "R1" not in rules(explain(scheme))
    clamped = scheme.model_copy(update={"clamp_mask": True})
    assert "R1" not in rules(explain(clamped, calibrated=padded()))


def test_nodes_that_see_a_clamped_mask_are_told_apart(explain: Explain) -> None:
    facts = explain(Static(operators=BOTH, node_exclusion=FINE))
    reasons = {(left.op_type, left.reason): left.count for left in left_in_floats(facts)}
    assert reasons["Add", "it sees the attention mask (clamp_mask is true)"] == 2


def test_r2_inside_of_layer_normalization_and_gelu(explain: Explain) -> None:
    assert "R2" in rules(explain(Static(operators=BOTH)))
    assert "R2" not in rules(explain(Static(operators=BOTH, node_exclusion=FINE)))


def test_r4_int8_activations_do_not_fuse_and_uint8_ones_do(explain: Explain) -> None:
    slow = explain(Static(operators=BOTH, node_exclusion=FINE, activation_type="int8"))
    fast = explain(Static(operators=BOTH, node_exclusion=FINE, activation_type="uint8"))
    assert "R4" in rules(slow)
    assert "R4" not in rules(fast)
    pairs = [sum(pair.count for pair in facts.idle_pairs) for facts in (slow, fast)]
    assert pairs[0] > 10 * max(pairs[1], 1)


def scale_weight(factor: float, of_layer: int) -> Callable[[onnx.ModelProto], None]:
    """Make one value of every weight that a layer multiplies with that many times the largest."""

    def plant(model: onnx.ModelProto) -> None:
        read = {
            node.input[1]
            for node in model.graph.node
            if node.op_type == "MatMul" and f"layer.{of_layer}/" in node.name
        }
        for stored in model.graph.initializer:
            if stored.name in read:
                array = numpy_helper.to_array(stored).copy()
                array[0, 0] = factor * np.abs(array).max()
                stored.CopyFrom(numpy_helper.from_array(array, stored.name))

    return plant


def test_r5_and_r6_one_layer_has_weights_with_an_outlier(explain: Explain) -> None:
    scheme = Dynamic(operators=MATMUL)
    facts = explain(scheme, "minilm", scale_weight(40.0, 3))
    assert "R6" in rules(facts)
    (layer,) = [finding.change for finding in find(facts) if finding.rule == "R5"]
    assert layer == "node_exclusion: add layer.3"
    assert rules(explain(scheme, "minilm")) == {"R11"}
    fixed = explain(Dynamic(operators=MATMUL, per_channel=True), "minilm", scale_weight(40.0, 3))
    assert "R6" not in rules(fixed)


def test_r7_one_sample_of_the_calibration_widens_the_ranges(explain: Explain) -> None:
    def with_one_far_out() -> Any:
        first, *others = samples("vit", 4)
        yield {"pixel_values": 100 * first["pixel_values"]}
        yield from others

    scheme = Static(operators=("Conv", "MatMul"))
    assert "R7" in rules(explain(scheme, "vit", calibrated=with_one_far_out()))
    assert "R7" not in rules(explain(scheme, "vit"))


def test_r8_everything_is_excluded(explain: Explain) -> None:
    scheme = Dynamic(operators=MATMUL, node_exclusion=("classifier", "layer.0", "layer.1"))
    assert "R8" in rules(explain(scheme))


def test_r9_without_optimization_nothing_fuses(explain: Explain) -> None:
    assert "R9" in rules(explain(Dynamic(operators=MATMUL), level=1))


# Weights in blocks


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("is_symmetric", [True, False])
def test_blocks_stand_for_what_the_runtime_computes_with(
    bits: int, is_symmetric: bool, models: Models, tmp_path: Path
) -> None:
    import onnxruntime

    scheme = WeightOnly(
        operators=MATMUL,
        weight_only=Blocks(bits=bits, block_size=16, symmetric=is_symmetric, accuracy_level=1),
    )
    path = tmp_path / "quantized.onnx"
    quantize_model(models.exported("distilbert", 14), scheme, None, path)
    model = onnx.load(path)
    stored = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    node = next(node for node in model.graph.node if node.op_type == "MatMulNBits")
    attributes = {item.name: item.i for item in node.attribute}
    zero = stored[node.input[3]] if len(node.input) > 3 else None
    weight = dequantize_blocks(
        stored[node.input[1]], stored[node.input[2]], zero, bits, attributes["block_size"]
    )
    rows = attributes["K"]
    alone = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node(
                "MatMulNBits", ["x", *node.input[1:]], ["y"], domain="com.microsoft",
                **attributes,
            )],
            "one",
            [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [rows, rows])],
            [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
            [item for item in model.graph.initializer if item.name in node.input],
        ),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(
        alone.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (computed,) = session.run(None, {"x": np.eye(rows, dtype=np.float32)})
    assert computed == pytest.approx(weight[:, :rows].T, abs=1e-6)


def test_facts_are_plain_json(explain: Explain) -> None:
    data = json.loads(explain(FORMS["dynamic"]).model_dump_json())
    assert data["schema_version"] == EXPLANATION_VERSION
