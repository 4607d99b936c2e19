"""Activations are compared by sums that are those of numpy; profiles are summed by operator."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from graph.onnx_builder import Graph
from quantbench.analysis.explain_facts import sqnr_db
from quantbench.core.errors import QuantbenchError
from quantbench.stages.activations import Sums, compare_activations
from quantbench.stages.explain_graph import idle_pairs, softmax_inputs
from quantbench.stages.profile import read_profile

SCALE = 0.05
MIDDLE = np.uint8(128)
ROWS = np.linspace(-3.0, 3.0, 12, dtype=np.float32).reshape(3, 4)


def runnable(model: onnx.ModelProto) -> onnx.ModelProto:
    model.ir_version = 10  # which the runtime takes
    return model


def float_model() -> onnx.ModelProto:
    graph = Graph()
    doubled = graph.add("Mul", "x", graph.constant(2.0))
    return runnable(graph.model(graph.add("Add", doubled, graph.constant(1.0))))


def qdq_model(zero: np.generic = MIDDLE) -> onnx.ModelProto:
    """The same with the product quantized, in the names of ONNX Runtime's quantizer."""
    model = float_model()
    nodes = list(model.graph.node)
    integers, floats = "t0_QuantizeLinear_Output", "t0_DequantizeLinear_Output"
    steps = ["t0_scale", "t0_zero_point"]
    nodes.insert(1, helper.make_node("QuantizeLinear", ["t0", *steps], [integers], name="q"))
    nodes.insert(2, helper.make_node("DequantizeLinear", [integers, *steps], [floats], name="dq"))
    nodes[3].input[0] = floats
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for name, value in (("t0_scale", np.float32(SCALE)), ("t0_zero_point", zero)):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return model


def samples() -> Any:
    return ({"x": row[None], "ids": np.zeros(1, np.int64)} for row in ROWS)


def rounded(x: np.ndarray) -> np.ndarray:
    return (np.clip(np.rint(2 * x / SCALE) + 128, 0, 255) - 128) * SCALE


def test_the_error_is_the_one_of_numpy_accumulated_and_of_the_rounding_alone(
    tmp_path: Path,
) -> None:
    found = compare_activations(float_model(), qdq_model(), samples(), 1, tmp_path)
    exact = 2 * ROWS.astype(np.float64)
    noise = exact - rounded(ROWS)
    expected = 10 * math.log10((exact**2).sum() / (noise**2).sum())
    product = found.tensors["t0"]
    assert product.rounding is not None
    assert sqnr_db(product.error.compared()) == pytest.approx(expected, rel=1e-3)
    assert sqnr_db(product.rounding.compared()) == pytest.approx(expected, rel=1e-3)
    assert product.scale == pytest.approx(SCALE)
    total = found.tensors["t1"]
    assert total.rounding is None
    after = 10 * math.log10(((exact + 1) ** 2).sum() / (noise**2).sum())
    assert sqnr_db(total.error.compared()) == pytest.approx(after, rel=1e-3)
    assert found.num_samples == 3


def test_a_model_beside_itself_has_no_error(tmp_path: Path) -> None:
    found = compare_activations(float_model(), float_model(), samples(), 1, tmp_path)
    assert {sqnr_db(tensor.error.compared()) for tensor in found.tensors.values()} == {None}
    assert set(found.tensors) == found.float_names


def test_ranges_are_of_the_float_model_over_all_samples(tmp_path: Path) -> None:
    tensor = compare_activations(float_model(), qdq_model(), samples(), 1, tmp_path).tensors["t0"]
    assert tensor.max_abs == pytest.approx(6.0)
    assert tensor.median == pytest.approx([np.median(np.abs(2 * row)) for row in ROWS], rel=1e-5)


@pytest.mark.parametrize(
    ("zero", "steps"),
    [
        (np.uint8(0), 255),  # of values from 0 on
        (np.uint8(2), 253),  # a GELU's
        (np.uint8(128), 128),
        (np.uint8(255), 255),
        (np.int8(0), 128),
        (np.int8(-128), 255),
    ],
)
def test_a_range_is_what_scale_zero_point_and_type_can_stand_for(
    zero: np.generic, steps: int, tmp_path: Path
) -> None:
    found = compare_activations(float_model(), qdq_model(zero), samples(), 1, tmp_path)
    assert found.tensors["t0"].range_abs == pytest.approx(steps * SCALE)
    assert found.tensors["t1"].range_abs is None


def test_a_tensor_that_the_quantized_graph_lacks_is_left_out_and_counted(tmp_path: Path) -> None:
    graph = Graph()
    graph.add("Neg", graph.add("Neg", "x"))
    model = runnable(graph.model("t1"))
    fused = helper.make_model(
        helper.make_graph(
            [helper.make_node("Identity", ["x"], ["t1"], name="n")],
            "graph", list(model.graph.input), list(model.graph.output),
        ),
        opset_imports=list(model.opset_import),
    )  # fmt: skip
    found = compare_activations(model, runnable(fused), samples(), 1, tmp_path)
    assert set(found.tensors) == {"t1"}
    assert found.float_names == {"t0", "t1"}


def test_values_that_are_not_finite_are_counted_and_left_out() -> None:
    sums = Sums()
    sums.add(np.array([1.0, np.inf, 3.0]), np.array([1.0, 0.0, np.nan]))
    assert (sums.signal, sums.noise, sums.num_values, sums.num_nonfinite) == (1.0, 0.0, 1, 2)


def test_huge_values_do_not_overflow() -> None:
    sums = Sums()
    sums.add(np.full(4, -3.4e38, np.float32), np.full(4, -3.3e38, np.float32))
    assert math.isfinite(sums.signal)
    assert sqnr_db(sums.compared()) == pytest.approx(20 * math.log10(34), rel=1e-3)


def test_different_shapes_are_an_error() -> None:
    with pytest.raises(QuantbenchError, match="shapes differ"):
        Sums().add(np.zeros(2), np.zeros(3))


def test_without_samples_there_is_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(QuantbenchError, match="no samples"):
        compare_activations(float_model(), float_model(), iter(()), 1, tmp_path)


# Pairs and scores


def test_a_pair_that_no_integer_kernel_reads_only_costs() -> None:
    (pair,) = idle_pairs(qdq_model())
    assert (pair.made_by, pair.read_by, pair.count) == ("Mul", "Add", 1)


def test_a_quantized_tensor_that_an_integer_kernel_reads_does_not() -> None:
    model = qdq_model()
    model.graph.node[2].op_type = "QLinearAdd"
    assert idle_pairs(model) == ()


def test_scores_are_what_softmax_reads_and_the_product_before_the_mask() -> None:
    graph = Graph()
    scores = graph.add("MatMul", "x", graph.weight(4, 4))
    mask = graph.add("Neg", "x")
    masked = graph.add("Add", scores, mask)
    model = graph.model(graph.add("Softmax", masked))
    assert softmax_inputs(model) == {scores, masked}


# Profiles


def event(name: str, ts: int, dur: int, op: str | None = None) -> dict[str, Any]:
    is_node = op is not None
    args = {"op_name": op} if is_node else {}
    return {
        "cat": "Node" if is_node else "Session",
        "name": name,
        "ts": ts,
        "dur": dur,
        "args": args,
    }


EVENTS = [
    event("session_initialization", 0, 5),
    event("model_run", 10, 90),
    event("a_kernel_time", 12, 50, "MatMul"),
    event("b_kernel_time", 70, 20, "Add"),
    event("model_run", 200, 40),
    event("a_kernel_time", 202, 10, "MatMul"),
    event("c_kernel_time", 214, 4, "MatMul"),
    event("b_kernel_time", 220, 3, "Add"),
    event("model_run", 300, 40),
    event("a_kernel_time", 302, 12, "MatMul"),
    event("c_kernel_time", 315, 6, "MatMul"),
    event("b_kernel_time", 322, 5, "Add"),
]


def test_a_profile_is_summed_by_operator_over_the_forwards_that_count() -> None:
    operators = read_profile(EVENTS, [1, 2])
    assert [(item.op_type, item.num_nodes, item.microseconds) for item in operators] == [
        ("MatMul", 2, 16.0),
        ("Add", 1, 4.0),
    ]


def test_a_profile_that_ends_early_is_an_error() -> None:
    with pytest.raises(QuantbenchError, match="has 3 forwards, 8 were made"):
        read_profile(EVENTS, [7])
