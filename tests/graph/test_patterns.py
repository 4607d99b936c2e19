import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx_builder import Graph

from quantbench.core.vocabulary import NODE_EXCLUSIONS
from quantbench.graph.patterns import find_exclusions, with_node_names
from quantbench.stages.export import export_onnx
from tiny_models import AUTO_CLASS, BASE, Models, build, inputs


def found(graph: Graph, exclusion: str, *outputs: str) -> set[str]:
    """The outputs of the nodes that an exclusion finds."""
    matches = find_exclusions(graph.model(*(outputs or (graph.nodes[-1].output[0],))))
    names = matches[exclusion]  # type: ignore[index]
    return {node.output[0] for node in graph.nodes if node.name in names}


def all_outputs(graph: Graph) -> set[str]:
    return {node.output[0] for node in graph.nodes}


# Rule 1: "d = x - mean(x); d / sqrt(mean(d·d) + eps) · scale + bias"


def layernorm(graph: Graph, x: str, *, square: str, quotient: str, swapped: bool) -> str:
    def two(op_type: str, left: str, right: str) -> str:
        return graph.add(op_type, *((right, left) if swapped else (left, right)))

    mean = graph.add("ReduceMean", x, axes=[-1])
    centered = graph.add("Sub", x, mean)
    if square == "Pow":
        squared = graph.add("Pow", centered, graph.constant(2.0))
    else:
        again = graph.add("Sub", x, mean)
        squared = graph.add("Mul", again, again)
    variance = graph.add("ReduceMean", squared, axes=[-1])
    root = graph.add("Sqrt", two("Add", variance, graph.constant(1e-5)))
    if quotient == "Div":
        normal = graph.add("Div", centered, root)
    else:
        normal = two("Mul", centered, graph.add("Reciprocal", root))
    return two("Add", two("Mul", normal, graph.weight(4)), graph.weight(4))


@pytest.mark.parametrize("square", ["Pow", "Mul"])
@pytest.mark.parametrize("quotient", ["Div", "Reciprocal"])
@pytest.mark.parametrize("swapped", [False, True])
def test_layernorm_is_found_in_every_arrangement(square: str, quotient: str, swapped: bool) -> None:
    graph = Graph()
    layernorm(graph, "x", square=square, quotient=quotient, swapped=swapped)
    assert found(graph, "layernorm") == all_outputs(graph)


def test_layernorm_scale_and_bias_may_be_missing() -> None:
    graph = Graph()
    layernorm(graph, "x", square="Pow", quotient="Div", swapped=False)
    del graph.nodes[-2:]
    assert found(graph, "layernorm") == all_outputs(graph)


def test_layernorm_is_found_fused() -> None:
    graph = Graph()
    graph.add("LayerNormalization", "x", graph.weight(4), graph.weight(4))
    assert found(graph, "layernorm") == {"t0"}


def test_all_consumers_are_seen_when_layernorms_share_the_mean() -> None:
    graph = Graph()
    layernorm(graph, "x", square="Pow", quotient="Div", swapped=False)
    normal = next(node for node in graph.nodes if node.op_type == "Div").output[0]
    graph.add("Relu", normal)
    sibling = graph.add("Mul", normal, graph.weight(4))
    outputs = (graph.nodes[-4].output[0], sibling)
    assert found(graph, "layernorm", *outputs) >= all_outputs(graph) - {"t9", sibling}


def test_the_order_of_nodes_does_not_matter() -> None:
    graph = Graph()
    last = layernorm(graph, "x", square="Mul", quotient="Div", swapped=True)
    graph.nodes.reverse()
    assert found(graph, "layernorm", last) == all_outputs(graph)


def test_rms_normalization_is_no_layernorm() -> None:
    graph = Graph()
    mean = graph.add("ReduceMean", graph.add("Mul", "x", "x"), axes=[-1])
    graph.add("Div", "x", graph.add("Sqrt", graph.add("Add", mean, graph.constant(1e-5))))
    assert found(graph, "layernorm") == set()


# Rule 2: "all nodes that compute x·(1 + erf(x/√2))/2 or its tanh approximation from x, in any
# arrangement"


def erf_factor(graph: Graph, x: str, *, divide: bool, swapped: bool) -> str:
    constant = math.sqrt(2.0) if divide else math.sqrt(0.5)
    scaled = graph.add("Div" if divide else "Mul", x, graph.constant(constant))
    curve = graph.add("Erf", scaled)
    one = graph.constant([1.0])
    return graph.add("Add", *((one, curve) if swapped else (curve, one)))


def half_last(graph: Graph, x: str, factor: str) -> str:
    return graph.add("Mul", graph.add("Mul", x, factor), graph.constant(0.5))


def half_first(graph: Graph, x: str, factor: str) -> str:
    return graph.add("Mul", factor, graph.add("Mul", graph.constant(0.5), x))


def half_of_factor(graph: Graph, x: str, factor: str) -> str:
    return graph.add("Mul", x, graph.add("Div", factor, graph.constant(2.0)))


@pytest.mark.parametrize("finish", [half_last, half_first, half_of_factor])
@pytest.mark.parametrize("divide", [False, True])
@pytest.mark.parametrize("swapped", [False, True])
def test_gelu_is_found_in_every_arrangement(
    finish: Callable[[Graph, str, str], str], divide: bool, swapped: bool
) -> None:
    graph = Graph()
    x = graph.add("Add", "x", graph.weight(4))
    last = finish(graph, x, erf_factor(graph, x, divide=divide, swapped=swapped))
    graph.add("MatMul", last, graph.weight(4, 4))
    assert found(graph, "gelu") == all_outputs(graph) - {x, graph.nodes[-1].output[0]}


def tanh_with_power(graph: Graph, x: str) -> str:
    cube = graph.add("Mul", graph.constant(0.044715), graph.add("Pow", x, graph.constant(3.0)))
    return graph.add("Mul", graph.constant(math.sqrt(2 / math.pi)), graph.add("Add", x, cube))


def tanh_with_products(graph: Graph, x: str) -> str:
    scaled = graph.add("Mul", x, graph.constant(0.7978845608))
    cubic = graph.add("Mul", graph.add("Mul", x, graph.constant(0.044715)), x)
    return graph.add("Mul", scaled, graph.add("Add", graph.constant(1.0), cubic))


@pytest.mark.parametrize("argument", [tanh_with_power, tanh_with_products])
@pytest.mark.parametrize("finish", [half_last, half_first, half_of_factor])
def test_the_tanh_approximation_is_gelu(
    argument: Callable[[Graph, str], str], finish: Callable[[Graph, str, str], str]
) -> None:
    graph = Graph()
    curve = graph.add("Tanh", argument(graph, "x"))
    finish(graph, "x", graph.add("Add", curve, graph.constant(1.0)))
    assert found(graph, "gelu") == all_outputs(graph)


def test_another_function_of_erf_is_not_gelu() -> None:
    graph = Graph()
    factor = erf_factor(graph, "x", divide=True, swapped=False)
    graph.add("Mul", graph.add("Mul", "x", factor), graph.constant(0.7))
    assert found(graph, "gelu") == set()


def test_gelu_is_found_fused() -> None:
    graph = Graph()
    graph.add("Gelu", "x")
    assert found(graph, "gelu") == {"t0"}


# Rule 3: "an Add of two activations, one of which is computed from the other through weights"


def linear(graph: Graph, x: str) -> str:
    return graph.add("Add", graph.weight(4), graph.add("MatMul", x, graph.weight(4, 4)))


@pytest.mark.parametrize("swapped", [False, True])
def test_a_skip_connection_is_residual_and_a_bias_is_not(swapped: bool) -> None:
    graph = Graph()
    branch = linear(graph, "x")
    total = graph.add("Add", *(("x", branch) if swapped else (branch, "x")))
    assert found(graph, "residual") == {total}


def test_a_skip_connection_around_gemm_is_residual() -> None:
    graph = Graph()
    branch = graph.add("Gemm", "x", graph.weight(4, 4), graph.weight(4))
    total = graph.add("Add", graph.add("Identity", branch), "x")
    assert found(graph, "residual") == {total}


def test_a_sum_of_two_branches_is_not_residual() -> None:
    graph = Graph()
    graph.add("Add", linear(graph, "x"), linear(graph, "x"))
    assert found(graph, "residual") == set()


def test_arithmetic_without_weights_is_not_residual() -> None:
    graph = Graph()
    graph.add("Add", "x", graph.add("Mul", "x", graph.constant(0.1)))
    assert found(graph, "residual") == set()


# Rule 4: "an Add with an operand that is an embedding"


def test_sums_of_embeddings_are_gather() -> None:
    graph = Graph()
    words = graph.add("Gather", graph.weight(9, 4), "ids")
    scaled = graph.add("Mul", words, graph.constant(2.0))
    first = graph.add("Add", scaled, graph.add("Gather", graph.weight(7, 4), "ids"))
    second = graph.add("Add", graph.weight(1, 4), first)
    block = graph.add("Add", second, linear(graph, second))
    assert found(graph, "gather") == {first, second}
    assert found(graph, "residual") == {block}


def test_arithmetic_on_shapes_is_not_gather() -> None:
    graph = Graph()
    zero, one = graph.constant(0, "int64"), graph.constant(1, "int64")
    size = graph.add("Gather", graph.add("Shape", "x"), zero)
    graph.add("Add", size, one)
    assert found(graph, "gather") == set()


# Rule 5: "Softmax, and each Add of a mask or of a position bias that feeds one"


def test_the_mask_is_found_through_reshape_and_position_bias() -> None:
    graph = Graph()
    scores = graph.add("MatMul", "x", graph.add("Transpose", "x", perm=[1, 0]))
    positions = graph.add("Add", scores, graph.weight(1, 4, 4))
    mask = graph.add("Where", graph.add("Greater", "x", graph.constant(0.0)), "x", "x")
    masked = graph.add("Add", positions, mask)
    shaped = graph.add("Reshape", masked, graph.constant([1, -1, 4], "int64"))
    softmax = graph.add("Softmax", shaped)
    assert found(graph, "softmax") == {positions, masked, softmax}


def test_the_bias_of_a_classifier_before_a_softmax_is_not_a_mask() -> None:
    graph = Graph()
    softmax = graph.add("Softmax", linear(graph, "x"))
    assert found(graph, "softmax") == {softmax}


# Names


def test_missing_and_double_names_are_made_unique_and_good_ones_stay() -> None:
    graph = Graph()
    for name in ("", "same", "same", "good", "Relu_0"):
        graph.add("Relu", "x", name="temporary")
        graph.nodes[-1].name = name
    model = graph.model("t4")
    with pytest.raises(ValueError, match="with_node_names"):
        find_exclusions(model)
    named = with_node_names(model)
    names = [node.name for node in named.graph.node]
    assert len(set(names)) == 5
    assert {"same", "good", "Relu_0"} <= set(names)
    assert model.graph.node[0].name == ""
    assert set(find_exclusions(named)) == set(NODE_EXCLUSIONS)


# Exported models


def adds(model: onnx.ModelProto) -> dict[str, int]:
    """The number of Adds that each exclusion describes."""
    names = {node.name for node in model.graph.node if node.op_type == "Add"}
    return {key: len(value & names) for key, value in find_exclusions(model).items()}


@pytest.mark.parametrize(
    ("opset", "layernorm", "gelu"), [(11, 10, 2), (14, 10, 2), (17, 0, 2), (20, 0, 0)]
)
def test_distilbert_has_every_pattern(
    models: Models, opset: int, layernorm: int, gelu: int
) -> None:
    model = onnx.load(models.exported("distilbert", opset))
    expected = {"layernorm": layernorm, "gelu": gelu, "residual": 4, "gather": 1, "softmax": 2}
    assert adds(model) == expected
    kinds = Counter(node.op_type for node in model.graph.node)
    assert len(find_exclusions(model)["softmax"]) == 2 + kinds["Softmax"]


def test_vit_has_no_mask_and_looks_nothing_up(models: Models) -> None:
    model = onnx.load(models.exported("vit", 11))
    expected = {"layernorm": 10, "gelu": 2, "residual": 4, "gather": 0, "softmax": 0}
    assert adds(model) == expected


def rules_of_2022(model: onnx.ModelProto) -> set[str]:
    """The Adds that the rules of 2022 describe, as far as they are written down.

    "layernorm = the decomposed subgraph Add←Mul←Div←Sqrt←Add←ReduceMean←Pow←Sub←ReduceMean;
    gelu = Mul←Mul←Add←Erf←Div; residual = an Add one of whose inputs comes from an Add; gather =
    an Add one of whose inputs comes from a Gather; softmax = an Add that feeds a Softmax."
    """
    made_by = {name: node for node in model.graph.node for name in node.output}

    def chain(node: onnx.NodeProto, *op_types: str) -> list[onnx.NodeProto] | None:
        if not op_types:
            return [node]
        for name in node.input:
            parent = made_by.get(name)
            if parent is not None and parent.op_type == op_types[0]:
                rest = chain(parent, *op_types[1:])
                if rest is not None:
                    return [node, *rest]
        return None

    layernorm = ("Mul", "Div", "Sqrt", "Add", "ReduceMean", "Pow", "Sub", "ReduceMean")
    starts = {
        "Add": [layernorm, ("Add",), ("Gather",)],
        "Mul": [("Mul", "Add", "Erf", "Div")],
        "Softmax": [("Add",)],
    }
    found: set[str] = set()
    for node in model.graph.node:
        for path in starts.get(node.op_type, []):
            nodes = chain(node, *path) or []
            # Of a residual or gather rule only the first Add is meant, not where it comes from.
            kept = nodes if len(path) > 1 or node.op_type == "Softmax" else nodes[:1]
            found |= {each.name for each in kept if each.op_type == "Add"}
    return found


@pytest.mark.slow
def test_on_distilbert_base_the_rules_of_2022_and_ours_describe_these_adds(
    tmp_path: Path,
) -> None:
    build("distilbert", **BASE).save_pretrained(tmp_path / "base")
    path = tmp_path / "base.onnx"
    auto_class = AUTO_CLASS["distilbert"]
    export_onnx(tmp_path / "base", auto_class, 11, [inputs("distilbert", 2, 8)], path)
    model = onnx.load(path)
    assert Counter(node.op_type for node in model.graph.node)["Add"] == 89
    assert adds(model) == {"layernorm": 26, "gelu": 6, "residual": 12, "gather": 1, "softmax": 6}
    names = {node.name for node in model.graph.node if node.op_type == "Add"}
    ours = frozenset().union(*find_exclusions(model).values()) & names
    assert len(ours) == 51
    assert rules_of_2022(model) == ours
