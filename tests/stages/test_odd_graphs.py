"""Graphs that exporters seldom write, through calibration, quantization and the file's check."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from graph.onnx_builder import Graph
from quantbench.core.calibration import Calibration
from quantbench.core.errors import QuantbenchError
from quantbench.core.quantization import Blocks, Dynamic, Scheme, Static, WeightOnly
from quantbench.graph.patterns import with_node_names
from quantbench.protocols import Inputs, SessionOptions
from quantbench.runtimes.ort import RUNTIME
from quantbench.stages.calibrate import collect_ranges
from quantbench.stages.check import check_file
from quantbench.stages.quantize import QuantizeFacts, quantize_model

WIDTH = 32
SCHEMES: dict[str, Scheme] = {
    "dynamic": Dynamic(operators=("MatMul",)),
    "QDQ": Static(operators=("MatMul",)),
    "QOperator": Static(operators=("MatMul",), quant_format="QOperator"),
    "weight only": WeightOnly(operators=("MatMul",), weight_only=Blocks(bits=8)),
}
every_scheme = pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))


def rows(count: int = 3) -> Inputs:
    values = np.random.default_rng(0).normal(size=(count, WIDTH))
    return {"x": values.astype(np.float32)}


def weight(graph: Graph, *, seed: int = 0) -> str:
    values = np.random.default_rng(seed).normal(size=(WIDTH, WIDTH)) / WIDTH**0.5
    return graph.constant(values)


def saved(graph: Graph, output: str, path: Path, opset: int = 17) -> Path:
    proto = helper.make_graph(
        graph.nodes,
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        graph.initializers,
    )
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(proto, opset_imports=opsets, ir_version=8), path)
    return path


def quantized(model: Path, scheme: Scheme) -> tuple[Path, QuantizeFacts]:
    """The quantized file, which was loaded and run."""
    ranges = None
    if isinstance(scheme, Static):
        ranges = model.with_name("ranges.json")
        collect_ranges(model, [rows(2), rows(4)], list(scheme.operators), Calibration(), ranges)
    path = model.with_name("quantized.onnx")
    facts = quantize_model(model, scheme, ranges, path)
    check_file(path, [0, 99], rows(), 1)
    return path, facts


def answers(path: Path, given: Inputs) -> np.ndarray:
    options = SessionOptions(num_threads=1, optimization_level=0)
    session = RUNTIME.open(path, options)
    (output,) = session.bind(given)().values()
    session.close()
    return output


def assert_close(path: Path, model: Path) -> None:
    exact, found = answers(model, rows()), answers(path, rows())
    assert np.abs(found - exact).max() < 0.1 * np.abs(exact).max()


@every_scheme
def test_a_weight_that_two_nodes_share_is_quantized_for_both(
    tmp_path: Path, scheme: Scheme
) -> None:
    graph = Graph()
    shared = weight(graph)
    first = graph.add("MatMul", "x", shared, name="first")
    second = graph.add("MatMul", first, shared, name="second")
    model = saved(graph, second, tmp_path / "model.onnx")
    path, facts = quantized(model, scheme)
    assert facts.nodes["MatMul"].quantized == 2
    assert_close(path, model)


@every_scheme
def test_a_shared_weight_stays_in_float_for_a_node_that_is_excluded(
    tmp_path: Path, scheme: Scheme
) -> None:
    graph = Graph()
    shared = weight(graph)
    first = graph.add("MatMul", "x", shared, name="/layers.0/first/MatMul")
    second = graph.add("MatMul", first, shared, name="/layers.1/second/MatMul")
    model = saved(graph, second, tmp_path / "model.onnx")
    excluding = scheme.model_copy(update={"node_exclusion": ("layer.1",)})
    path, facts = quantized(model, excluding)
    counts = facts.nodes["MatMul"]
    assert (counts.quantized, counts.excluded) == (1, 1)
    (product,) = (
        node for node in onnx.load(path).graph.node if node.name.endswith("second/MatMul")
    )
    floats = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    (kept,) = (floats[name] for name in product.input if name in floats)
    exact = next(item for item in onnx.load(model).graph.initializer if item.name == shared)
    assert np.array_equal(numpy_helper.to_array(kept), numpy_helper.to_array(exact))
    assert_close(path, model)


@every_scheme
def test_nodes_without_names_are_quantized_and_counted(tmp_path: Path, scheme: Scheme) -> None:
    graph = Graph()
    first = graph.add("MatMul", "x", weight(graph))
    second = graph.add("MatMul", graph.add("Relu", first), weight(graph, seed=1))
    for node in graph.nodes:
        node.ClearField("name")
    model = saved(graph, second, tmp_path / "model.onnx")
    path, facts = quantized(model, scheme)
    assert facts.nodes["MatMul"].quantized == 2
    assert_close(path, model)


@every_scheme
def test_a_weight_whose_shape_the_file_repeats_may_be_transposed(
    tmp_path: Path, scheme: Scheme
) -> None:
    """As in files of the dynamo exporter; dynamic quantization turns Gemm into MatMul."""
    graph = Graph()
    tall = graph.constant(np.random.default_rng(0).normal(size=(5, WIDTH)) / WIDTH**0.5)
    product = graph.add("Gemm", graph.add("MatMul", "x", weight(graph)), tall, transB=1)
    path = saved(graph, product, tmp_path / "model.onnx")
    model = onnx.load(path)
    info = helper.make_tensor_value_info(tall, TensorProto.FLOAT, [5, WIDTH])
    model.graph.value_info.append(info)
    onnx.save(model, path)
    written, facts = quantized(path, scheme)
    assert facts.nodes["MatMul"].quantized == 1
    assert_close(written, path)


@every_scheme
def test_shapes_that_nobody_can_infer_do_not_matter(tmp_path: Path, scheme: Scheme) -> None:
    """The shape of a reshaped tensor comes from the values of another: inference gives up."""
    graph = Graph()
    shape = graph.add("Concat", graph.add("Shape", "x"), graph.constant([1], "int64"), axis=0)
    flat = graph.add("Squeeze", graph.add("Reshape", "x", shape), graph.constant([2], "int64"))
    product = graph.add("MatMul", flat, weight(graph))
    model = saved(graph, product, tmp_path / "model.onnx")
    path, facts = quantized(model, scheme)
    assert facts.nodes["MatMul"].quantized == 1
    assert_close(path, model)


@every_scheme
def test_no_row_at_all_gives_no_row(tmp_path: Path, scheme: Scheme) -> None:
    """A batch of zero rows runs in the quantized file as it does in the float one."""
    graph = Graph()
    product = graph.add("Relu", graph.add("MatMul", "x", weight(graph)))
    model = saved(graph, product, tmp_path / "model.onnx")
    empty = {"x": np.zeros((0, WIDTH), dtype=np.float32)}
    assert answers(model, empty).shape == (0, WIDTH)
    path, _ = quantized(model, scheme)
    assert answers(path, empty).shape == (0, WIDTH)


@every_scheme
def test_what_is_inside_of_control_flow_stays_in_float(tmp_path: Path, scheme: Scheme) -> None:
    graph = Graph()
    first = graph.add("MatMul", "x", weight(graph), name="outside")
    inner = [numpy_helper.from_array(np.eye(WIDTH, dtype=np.float32), "inner")]
    branches = {
        f"{side}_branch": helper.make_graph(
            [helper.make_node("MatMul", [first, "inner"], [f"{side}_y"], name=f"in_{side}")],
            side,
            [],
            [helper.make_tensor_value_info(f"{side}_y", TensorProto.FLOAT, None)],
            inner,
        )
        for side in ("then", "else")
    }
    chosen = graph.add("If", graph.constant(True, "bool"), name="choice", **branches)
    model = saved(graph, chosen, tmp_path / "model.onnx")
    if scheme is SCHEMES["QOperator"]:
        with pytest.raises(QuantbenchError, match="control flow: choice is If"):
            quantized(model, scheme)
        return
    path, facts = quantized(model, scheme)
    assert (facts.nodes["MatMul"].total, facts.nodes["MatMul"].quantized) == (1, 1)
    assert_close(path, model)


def test_names_that_are_given_twice_become_names_of_their_own() -> None:
    graph = Graph()
    first = graph.add("Relu", "x", name="same")
    graph.add("Relu", first, name="same")
    names = [node.name for node in with_node_names(graph.model("t1")).graph.node]
    assert len(set(names)) == 2


@pytest.mark.parametrize("name", [name for name in SCHEMES if name != "QOperator"])
def test_a_weight_that_a_branch_reads_too_stays_there(tmp_path: Path, name: str) -> None:
    graph = Graph()
    shared = weight(graph)
    first = graph.add("MatMul", "x", shared, name="outside")
    branches = {
        f"{side}_branch": helper.make_graph(
            [helper.make_node("MatMul", [first, shared], [f"{side}_y"], name=f"in_{side}")],
            side,
            [],
            [helper.make_tensor_value_info(f"{side}_y", TensorProto.FLOAT, None)],
        )
        for side in ("then", "else")
    }
    chosen = graph.add("If", graph.constant(True, "bool"), name="choice", **branches)
    model = saved(graph, chosen, tmp_path / "model.onnx")
    path, facts = quantized(model, SCHEMES[name])
    assert facts.nodes["MatMul"].quantized == 1
    assert_close(path, model)


@pytest.mark.parametrize("method", ["minmax", "percentile"])
@pytest.mark.parametrize("before", [0, 1])
def test_an_empty_batch_of_a_calibration_is_told(tmp_path: Path, method: str, before: int) -> None:
    graph = Graph()
    model = saved(graph, graph.add("MatMul", "x", weight(graph)), tmp_path / "model.onnx")
    batches = [rows(2)] * before + [{"x": np.zeros((0, WIDTH), np.float32)}]
    calibration = Calibration.model_validate({"method": method})
    told = rf"calibration input {before} .* is empty: x has shape \(0, 32\)"
    with pytest.raises(QuantbenchError, match=told):
        collect_ranges(model, batches, ["MatMul"], calibration, tmp_path / "ranges.json")


@pytest.mark.parametrize("method", ["minmax", "percentile"])
def test_a_weight_of_width_0_is_told_where_ranges_are_needed(tmp_path: Path, method: str) -> None:
    graph = Graph()
    nothing = graph.add("MatMul", "x", graph.constant(np.zeros((WIDTH, 0))))
    both = graph.add("Concat", graph.add("MatMul", "x", weight(graph)), nothing, axis=1)
    model = saved(graph, both, tmp_path / "model.onnx")
    calibration = Calibration.model_validate({"method": method})
    with pytest.raises(QuantbenchError, match=f"{nothing} has no values.*weight of width 0"):
        collect_ranges(model, [rows(2)], ["MatMul"], calibration, tmp_path / "ranges.json")


def test_a_weight_of_width_0_does_not_matter_where_they_are_not(tmp_path: Path) -> None:
    graph = Graph()
    nothing = graph.add("MatMul", "x", graph.constant(np.zeros((WIDTH, 0))))
    both = graph.add("Concat", graph.add("MatMul", "x", weight(graph)), nothing, axis=1)
    model = saved(graph, both, tmp_path / "model.onnx")
    path, _ = quantized(model, SCHEMES["dynamic"])
    assert_close(path, model)
