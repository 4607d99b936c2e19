"""A node counts as quantized in whatever form a quantizer writes it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_builder import Graph

from quantbench.core.results import NodeCounts
from quantbench.graph.counts import node_counts
from quantbench.graph.patterns import find_exclusions, with_node_names


def small_model() -> onnx.ModelProto:
    """Two linear layers with activations, a skip connection and a product of activations."""
    graph = Graph()
    first = graph.add("MatMul", "x", graph.weight(4, 4), name="first")
    biased = graph.add("Add", first, graph.weight(4), name="bias")
    total = graph.add("Add", biased, "x", name="skip")
    product = graph.add("MatMul", total, graph.add("Transpose", total, perm=[1, 0]), name="scores")
    soft = graph.add("Softmax", product, name="softmax")
    context = graph.add("MatMul", soft, total, name="context")
    last = graph.add("MatMul", context, graph.weight(4, 4), name="last")
    model = graph.model(last)
    model.ir_version = 8
    return with_node_names(onnx.shape_inference.infer_shapes(model))


class Reader:
    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.samples: Iterator[dict[str, Any]] = iter(
            [{"x": rng.standard_normal((3, 4)).astype(np.float32), "ids": np.zeros(3, np.int64)}]
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self.samples, None)


def static(
    model: onnx.ModelProto, folder: Path, form: str, operators: list[str], excluded: list[str]
) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantFormat, quantize_static

    onnx.save(model, folder / "in.onnx")
    quantize_static(
        folder / "in.onnx",
        folder / "out.onnx",
        Reader(),
        quant_format=QuantFormat[form],
        op_types_to_quantize=operators,
        nodes_to_exclude=excluded,
    )
    return onnx.load(folder / "out.onnx")


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_static_forms_are_counted_alike(tmp_path: Path, form: str) -> None:
    model = small_model()
    matches = find_exclusions(model, ["residual", "attention_context"])
    assert matches == {"residual": {"skip"}, "attention_context": {"context"}}
    quantized = static(model, tmp_path, form, ["Add", "MatMul", "Softmax"], ["skip", "context"])
    assert node_counts(model, quantized, matches, ["Add", "MatMul", "Softmax"]) == {
        "Add": NodeCounts(total=2, matched=1, excluded=1, quantized=1, left=1),
        "MatMul": NodeCounts(total=4, matched=1, excluded=1, quantized=3, left=1),
        "Softmax": NodeCounts(total=1, matched=0, excluded=0, quantized=1, left=0),
    }


def test_a_node_that_reads_from_a_quantized_one_is_left_in_qoperator_form(tmp_path: Path) -> None:
    graph = Graph()
    first = graph.add("MatMul", "x", graph.weight(4, 4), name="first")
    graph.add("LayerNormalization", first, graph.weight(4), graph.weight(4), name="norm")
    model = graph.model("t1")
    model.ir_version = 8
    quantized = static(model, tmp_path, "QOperator", ["MatMul", "LayerNormalization"], [])
    counts = node_counts(model, quantized, {}, ["MatMul", "LayerNormalization"])
    assert (counts["MatMul"].quantized, counts["LayerNormalization"].quantized) == (1, 0)


def test_weight_only_forms_are_counted_whatever_they_are_called() -> None:
    model = small_model()
    quantized = onnx.ModelProto()
    quantized.CopyFrom(model)
    first = next(node for node in quantized.graph.node if node.name == "first")
    packed = helper.make_node(
        "MatMulNBits", ["x", "packed", "scales"], list(first.output), name="other",
        domain="com.microsoft", K=4, N=4, bits=4, block_size=16,
    )  # fmt: skip
    first.CopyFrom(packed)
    matches = {"classifier": frozenset({"last"})}
    assert node_counts(model, quantized, matches, ["MatMul"]) == {
        "MatMul": NodeCounts(total=4, matched=1, excluded=1, quantized=1, left=3)
    }


def test_fused_attention_is_counted_in_its_dynamic_form(tmp_path: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic

    graph = Graph()
    x = graph.add("Unsqueeze", "x", graph.constant([0], "int64"), name="batch")
    graph.add("Attention", x, graph.weight(4, 12), graph.weight(12), name="all", num_heads=2)
    graph.nodes[-1].domain = "com.microsoft"
    model = graph.model("t1")
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.ir_version = 8
    assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    onnx.save(model, tmp_path / "in.onnx")
    quantize_dynamic(
        tmp_path / "in.onnx", tmp_path / "out.onnx", op_types_to_quantize=["Attention"]
    )
    counts = node_counts(model, onnx.load(tmp_path / "out.onnx"), {}, ["Attention"])
    assert (counts["Attention"].total, counts["Attention"].quantized) == (1, 1)
