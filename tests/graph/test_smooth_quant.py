"""SmoothQuant: the equations, the folds of `graph.smooth_folds`, and that no output changes."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest

from graph.onnx_builder import Graph
from quantbench.graph.layers import find_blocks
from quantbench.graph.smooth_quant import (
    SmoothCounts,
    is_inserted,
    smooth,
    smoothed_activations,
    smoothing_factors,
)

X = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32) * [1, 9, 0.1, 40]
RNG = np.random.default_rng(1)
Maker = Callable[[Graph], str]


def vector(graph: Graph) -> str:
    return graph.constant(RNG.standard_normal(4) + 2)


def matrix(graph: Graph, rows: int = 4, columns: int = 4) -> str:
    return graph.constant(RNG.standard_normal((rows, columns)))


def run(model: onnx.ModelProto, outputs: list[str] | None = None) -> list[np.ndarray]:
    model.ir_version = 10  # which this runtime reads
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    there = {value.name for value in copy.graph.output}
    copy.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in outputs or () if name not in there
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    given = {"x": X.astype(np.float32), "ids": np.zeros(5, np.int64)}
    return list(session.run(outputs, given))


def maxima(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    names = [name for name in smoothed_activations(model) if name != "x"]
    found = {
        name: np.abs(array).max(axis=0)
        for name, array in zip(names, run(model, names), strict=True)
    }
    return found | {"x": np.abs(X).max(axis=0)}


def check(graph: Graph, *outputs: str) -> tuple[onnx.ModelProto, SmoothCounts]:
    """Smooth, and compare the outputs."""
    model = graph.model(*outputs)
    smoothed, counts = smooth(model, maxima(model), 0.5)
    for found, wanted in zip(run(smoothed), run(model), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    return smoothed, counts


# The equations


def test_factors_are_those_of_equation_4() -> None:
    x, w = np.array([4.0, 100.0]), np.array([1.0, 4.0])
    np.testing.assert_allclose(smoothing_factors(x, w, 0.5), [2.0, 5.0])
    np.testing.assert_allclose(smoothing_factors(x, w, 1.0), [4.0, 100.0])
    np.testing.assert_allclose(smoothing_factors(x, w, 0.0), [1.0, 0.25])


def test_channels_that_are_always_zero_are_not_scaled() -> None:
    x, w = np.array([0.0, 5.0]), np.array([3.0, 0.0])
    np.testing.assert_array_equal(smoothing_factors(x, w, 0.5), [1.0, 1.0])


def test_at_one_half_activations_and_weights_have_equal_ranges() -> None:
    graph = Graph()
    made = graph.add("LayerNormalization", "x", vector(graph), vector(graph))
    smoothed, _ = check(graph, graph.add("MatMul", made, matrix(graph)))
    product = next(node for node in smoothed.graph.node if node.op_type == "MatMul")
    weights = next(i for i in smoothed.graph.initializer if i.name == product.input[1])
    (activation,) = run(smoothed, [product.input[0]])
    np.testing.assert_allclose(
        np.abs(activation).max(axis=0),
        np.abs(onnx.numpy_helper.to_array(weights)).max(axis=1),
        rtol=1e-5,
    )


# What is folded


def fused_norm(g: Graph) -> str:
    return g.add("LayerNormalization", "x", vector(g), vector(g))


def norm_without_bias(g: Graph) -> str:
    return g.add("LayerNormalization", "x", vector(g))


def scale_and_bias(g: Graph) -> str:
    return g.add("Add", g.add("Mul", "x", vector(g)), vector(g))


def product(g: Graph) -> str:
    return g.add("MatMul", "x", matrix(g))


def product_and_bias(g: Graph) -> str:
    return g.add("Add", vector(g), g.add("MatMul", "x", matrix(g)))


def gemm(g: Graph) -> str:
    return g.add("Gemm", "x", matrix(g), vector(g), transB=1)


def relu_of_product(g: Graph) -> str:
    return g.add("Relu", g.add("Gemm", "x", matrix(g), vector(g)))


@pytest.mark.parametrize(
    "make",
    [
        fused_norm, norm_without_bias, scale_and_bias, product, product_and_bias, gemm,
        relu_of_product,
    ],
)  # fmt: skip
@pytest.mark.parametrize("reader", ["MatMul", "Gemm", "Gemm transB", "two"])
def test_what_makes_an_activation_is_divided(make: Maker, reader: str) -> None:
    graph = Graph()
    made = make(graph)
    num_before = len(graph.nodes)
    if reader == "two":
        outputs = [graph.add("MatMul", made, matrix(graph)) for _ in range(2)]
    elif reader == "MatMul":
        outputs = [graph.add("MatMul", made, matrix(graph))]
    else:
        outputs = [graph.add("Gemm", made, matrix(graph), transB=int(reader != "Gemm"))]
    smoothed, counts = check(graph, *outputs)
    assert counts.num_folded >= 1
    reads_input = make in (product, product_and_bias, gemm, relu_of_product)
    assert counts.num_multiplied == int(reads_input)  # x itself, which nothing makes
    assert len(smoothed.graph.node) == num_before + len(outputs) + int(reads_input)


# What is not


def softmax_of_product(g: Graph) -> str:
    return g.add("Softmax", g.add("MatMul", "x", matrix(g)))


def gelu_of_product(g: Graph) -> str:
    return g.add("Erf", g.add("MatMul", "x", matrix(g)))


def sum_of_activations(g: Graph) -> str:
    return g.add("Add", "x", g.add("Relu", "x"))


def scalar_scale(g: Graph) -> str:
    return g.add("Mul", g.add("Relu", "x"), g.constant(2.0))


@pytest.mark.parametrize(
    "make", [softmax_of_product, gelu_of_product, sum_of_activations, scalar_scale]
)
def test_where_it_is_not_exact_a_product_is_inserted(make: Maker) -> None:
    graph = Graph()
    made = make(graph)
    smoothed, counts = check(graph, graph.add("MatMul", made, matrix(graph)))
    inserted = [n for n in smoothed.graph.node if is_inserted(n)]
    assert len(inserted) == counts.num_multiplied >= 1
    assert made in {node.input[0] for node in inserted}


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("/bert/encoder/layer.0/output/LayerNorm/LayerNormalization",
         "bert.encoder.layer.0.output.LayerNorm"),
        ("node_layer_norm", "bert.encoder.layer.1.query"),  # known by what reads it alone
    ],
)  # fmt: skip
def test_an_inserted_product_is_in_the_module_of_what_it_reads(name: str, block: str) -> None:
    graph = Graph()
    made = graph.add("LayerNormalization", "x", vector(graph), name=name)
    product = graph.add("MatMul", made, matrix(graph), name="/bert/encoder/layer.1/query/MatMul")
    smoothed, _ = check(graph, graph.add("Add", made, product))
    (inserted,) = [node for node in smoothed.graph.node if is_inserted(node)]
    assert inserted.input[0] == made
    assert find_blocks(smoothed)[inserted.name] == find_blocks(graph.model())[name] == block


def test_two_inserted_products_of_a_module_have_two_names() -> None:
    graph = Graph()
    first = graph.add("Erf", "x", name="/bert/Erf")
    second = graph.add("Sigmoid", "x", name="/bert/Sigmoid")
    outputs = [graph.add("MatMul", name, matrix(graph)) for name in (first, second)]
    smoothed, _ = check(graph, *outputs)
    assert len({node.name for node in smoothed.graph.node if is_inserted(node)}) == 2


def test_a_skip_connection_sees_the_activation_as_it_was() -> None:
    graph = Graph()
    made = fused_norm(graph)
    product = graph.add("MatMul", made, matrix(graph))
    _, counts = check(graph, graph.add("Add", made, product))
    assert counts == SmoothCounts(num_folded=0, num_multiplied=1)


def test_an_output_of_the_graph_stays() -> None:
    graph = Graph()
    made = fused_norm(graph)
    _, counts = check(graph, made, graph.add("MatMul", made, matrix(graph)))
    assert counts == SmoothCounts(num_folded=0, num_multiplied=1)


def test_shapes_do_not_count_as_readers() -> None:
    graph = Graph()
    made = fused_norm(graph)
    product = graph.add("MatMul", made, matrix(graph))
    moved = graph.add("Reshape", product, graph.add("Shape", made))
    _, counts = check(graph, moved)
    assert counts == SmoothCounts(num_folded=1, num_multiplied=0)


def test_shared_weights_are_scaled_for_each_reader_alone() -> None:
    graph = Graph()
    weights, scale = matrix(graph), vector(graph)
    first = graph.add("MatMul", graph.add("LayerNormalization", "x", scale), weights)
    second = graph.add("MatMul", graph.add("LayerNormalization", first, scale), weights)
    _, counts = check(graph, second)
    assert counts.num_folded == 2


def test_products_of_two_activations_and_of_constants_stay() -> None:
    graph = Graph()
    square = graph.add("MatMul", graph.add("Transpose", "x"), "x")
    constant = graph.add("MatMul", matrix(graph), matrix(graph))
    model = graph.model(graph.add("Add", square, constant))
    assert smoothed_activations(model) == ()
    assert Counter(n.op_type for n in smooth(model, {}, 0.5)[0].graph.node) == Counter(
        n.op_type for n in model.graph.node
    )


def test_maxima_of_another_shape_are_refused() -> None:
    graph = Graph()
    model = graph.model(graph.add("MatMul", "x", matrix(graph)))
    with pytest.raises(ValueError, match=r"shape \(3,\), not \(4,\)"):
        smooth(model, {"x": np.ones(3)}, 0.5)


def test_constants_that_old_files_list_among_the_inputs_go_with_their_listing() -> None:
    graph = Graph()
    output = graph.add("MatMul", fused_norm(graph), matrix(graph))
    model = graph.model(output)
    listed = [
        onnx.helper.make_tensor_value_info(item.name, item.data_type, item.dims)
        for item in model.graph.initializer
    ]
    model.graph.input.extend(listed)
    smoothed, _ = smooth(model, {name: np.ones(4) for name in smoothed_activations(model)}, 0.5)
    stored = {item.name for item in smoothed.graph.initializer}
    assert len(smoothed.graph.input) > 1
    assert {item.name for item in smoothed.graph.input} <= stored | {"x", "ids"}
