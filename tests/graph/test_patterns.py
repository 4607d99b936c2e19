import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx_builder import Graph

from quantbench.core.errors import QuantbenchError
from quantbench.core.vocabulary import NODE_EXCLUSIONS
from quantbench.graph.patterns import find_exclusions, with_node_names
from quantbench.stages.export import export_onnx
from tiny_models import AUTO_CLASS, BASE, Models, build, inputs


def found(graph: Graph, exclusion: str, *outputs: str) -> set[str]:
    """The outputs of the nodes that an exclusion finds."""
    matches = find_exclusions(graph.model(*(outputs or (graph.nodes[-1].output[0],))))
    names = matches[exclusion]
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


@pytest.mark.parametrize(
    "op_type",
    [
        "LayerNormalization",
        "SkipLayerNormalization",
        "EmbedLayerNormalization",
        "RMSNormalization",
        "SimplifiedLayerNormalization",
        "SkipSimplifiedLayerNormalization",
    ],
)
def test_layernorm_is_found_fused(op_type: str) -> None:
    graph = Graph()
    graph.add(op_type, "x", graph.weight(4), graph.weight(4))
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


# "RMS normalization, which subtracts no mean, counts as well"


@pytest.mark.parametrize("square", ["Pow", "Mul"])
@pytest.mark.parametrize("quotient", ["Div", "Reciprocal", "1 / root"])
def test_rms_normalization_is_found_in_every_arrangement(square: str, quotient: str) -> None:
    graph = Graph()
    before = graph.add("Relu", "x")
    other = before if square == "Mul" else graph.constant(2.0)
    mean = graph.add("ReduceMean", graph.add(square, before, other), axes=[-1])
    root = graph.add("Sqrt", graph.add("Add", mean, graph.constant(1e-5)))
    if quotient == "Div":
        normal = graph.add("Div", before, root)
    elif quotient == "Reciprocal":
        normal = graph.add("Mul", before, graph.add("Reciprocal", root))
    else:
        normal = graph.add("Mul", before, graph.add("Div", graph.constant(1.0), root))
    graph.add("Mul", graph.weight(4), normal)
    assert found(graph, "layernorm") == all_outputs(graph) - {before}


def test_a_standard_deviation_of_something_else_is_no_rms_normalization() -> None:
    graph = Graph()
    other = graph.add("Relu", "x")
    mean = graph.add("ReduceMean", graph.add("Mul", other, other), axes=[-1])
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


@pytest.mark.parametrize("op_type", ["Gelu", "FastGelu", "BiasGelu", "QuickGelu"])
def test_gelu_is_found_fused(op_type: str) -> None:
    graph = Graph()
    graph.add(op_type, "x")
    assert found(graph, "gelu") == {"t0"}


# "So is x·sigmoid(1.702 x), also as `QuickGelu`; x·sigmoid(x) is another function (SiLU)."


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(("factor", "is_gelu"), [(1.702, True), (1.0, False)])
def test_the_sigmoid_form_is_gelu_and_silu_is_not(
    swapped: bool, factor: float, is_gelu: bool
) -> None:
    graph = Graph()
    curve = graph.add("Sigmoid", graph.add("Mul", graph.constant(factor), "x"))
    graph.add("Mul", *((curve, "x") if swapped else ("x", curve)))
    assert found(graph, "gelu") == (all_outputs(graph) if is_gelu else set())


def test_a_fused_silu_is_not_gelu() -> None:
    graph = Graph()
    graph.add("QuickGelu", "x", alpha=1.0)
    assert found(graph, "gelu") == set()


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


@pytest.mark.parametrize("op_type", ["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"])
def test_a_fused_skip_connection_is_residual_and_layernorm(op_type: str) -> None:
    graph = Graph()
    graph.add(op_type, "x", linear(graph, "x"), graph.weight(4))
    assert found(graph, "residual") == found(graph, "layernorm") == {graph.nodes[-1].output[0]}


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


def test_a_fused_sum_of_embeddings_is_gather() -> None:
    graph = Graph()
    graph.add("EmbedLayerNormalization", "ids", "", graph.weight(9, 4), graph.weight(7, 4))
    assert found(graph, "gather") == {"t0"}


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


# Rules 6 and 7: attention


def attention(graph: Graph, *, product: str = "MatMul", mask: bool = True) -> tuple[str, str, str]:
    """Scores, probabilities and context of x; with a scale, a mask and a guard against NaN."""
    q, k, v = (linear(graph, "x") for _ in range(3))
    scores = graph.add(product, q, graph.add("Transpose", k, perm=[1, 0]))
    argument = graph.add("Div", scores, graph.constant(2.0))
    if mask:
        argument = graph.add("Add", argument, graph.add("Where", "x", "x", "x"))
    softmax = graph.add("Softmax", argument)
    guarded = graph.add("Where", graph.add("IsNaN", softmax), graph.constant(0.0), softmax)
    return scores, softmax, graph.add(product, guarded, v)


@pytest.mark.parametrize("product", ["MatMul", "FusedMatMul", "Einsum"])
@pytest.mark.parametrize("mask", [False, True])
def test_scores_and_context_are_the_products_before_and_behind_the_softmax(
    product: str, mask: bool
) -> None:
    graph = Graph()
    scores, _, context = attention(graph, product=product, mask=mask)
    linear(graph, context)
    assert found(graph, "attention_scores") == {scores}
    assert found(graph, "attention_context") == {context}


def test_a_linear_layer_beside_a_softmax_is_neither_scores_nor_context() -> None:
    graph = Graph()
    graph.add("MatMul", graph.add("Softmax", linear(graph, "x")), graph.weight(4, 4))
    assert found(graph, "attention_scores") == found(graph, "attention_context") == set()


# "An operator that does all of attention counts in 5, 6, and 7"


@pytest.mark.parametrize("op_type", ["Attention", "MultiHeadAttention", "GroupQueryAttention"])
@pytest.mark.parametrize("exclusion", ["softmax", "attention_scores", "attention_context"])
def test_fused_attention_is_all_of_its_parts(op_type: str, exclusion: str) -> None:
    graph = Graph()
    graph.add(op_type, "x", "x", "x")
    assert found(graph, exclusion) == {"t0"}


# Rule 8: "the last nodes with constant weights on each way to the graph's outputs, with the `Add`
# of their bias"


def body(graph: Graph) -> str:
    return graph.add("Add", "x", linear(graph, "x"))


def test_the_classifier_is_the_last_linear_layer_and_its_bias() -> None:
    graph = Graph()
    dense = graph.add("Tanh", linear(graph, body(graph)))
    product = graph.add("MatMul", dense, graph.weight(4, 4))
    logits = graph.add("Add", product, graph.weight(4))
    ends = [graph.add("Slice", logits, graph.constant([i], "int64")) for i in range(2)]
    assert found(graph, "classifier", *ends) == {product, logits}


def test_every_head_is_a_classifier() -> None:
    graph = Graph()
    hidden = body(graph)
    heads = [graph.add("Gemm", hidden, graph.weight(4, 4), graph.weight(4)) for _ in range(2)]
    average = graph.add("Div", graph.add("Add", *heads), graph.constant(2.0))
    assert found(graph, "classifier", average) == set(heads)


def test_a_model_that_gives_hidden_states_has_no_classifier() -> None:
    graph = Graph()
    hidden = graph.add("LayerNormalization", body(graph), graph.weight(4), graph.weight(4))
    assert found(graph, "classifier", hidden) == set()


def test_what_is_in_a_layer_is_no_classifier() -> None:
    graph = Graph()
    graph.add("MatMul", "x", graph.weight(4, 4), name="/bert/encoder/layer.1/output/MatMul")
    assert found(graph, "classifier") == set()


# Rule 9: "layer.N: all nodes in the N-th layer of every list of layers; -1 is the last. block:NAME:
# all nodes in that module."


def three_layers() -> Graph:
    graph = Graph()
    x = graph.add("Relu", "x", name="/bert/embeddings/Relu")
    for i in range(3):
        x = graph.add("MatMul", x, graph.weight(4, 4), name=f"/bert/layer.{i}/dense/MatMul")
        x = graph.add("Relu", x, name=f"/bert/layer.{i}/Relu")
    return graph


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("layer.0", {"t1", "t2"}),
        ("layer.-1", {"t5", "t6"}),
        ("layer.-3", {"t1", "t2"}),
        ("block:bert.layer.1", {"t3", "t4"}),
        ("block:bert.layer.1.dense", {"t3"}),
        ("block:bert.embeddings", {"t0"}),
    ],
)
def test_layers_and_modules_are_found(name: str, outputs: set[str]) -> None:
    graph = three_layers()
    names = find_exclusions(graph.model("t6"), [name])[name]
    assert {node.output[0] for node in graph.nodes if node.name in names} == outputs


def dynamo_model() -> onnx.ModelProto:
    """Two layers and a head as the dynamo exporter writes them: the module is in the metadata."""
    graph = Graph()

    def add(scope: str, op_type: str, *inputs: str, **attributes: object) -> str:
        output = graph.add(
            op_type, *inputs, name=f"node_{op_type}_{len(graph.nodes)}", **attributes
        )
        entry = graph.nodes[-1].metadata_props.add()
        entry.key, entry.value = "pkg.torch.onnx.name_scopes", str(["", "bert", scope, output])
        return output

    x = "x"
    for i in range(2):
        layer = f"bert.layer.{i}"
        q, k, v = (
            add(f"{layer}.{part}", "MatMul", x, graph.weight(4, 4)) for part in ("q", "k", "v")
        )
        context = add(layer, "Attention", q, k, v, q_num_heads=2, kv_num_heads=2)
        dense = add(f"{layer}.out", "MatMul", context, graph.weight(4, 4))
        x = add(layer, "Add", dense, x)
        x = add(f"{layer}.norm", "RMSNormalization", x, graph.weight(4))
        x = add(f"{layer}.act", "Gelu", x)
    add("head", "Gemm", x, graph.weight(4, 2))
    return graph.model(graph.nodes[-1].output[0], opset=23)


def test_all_names_work_in_a_graph_of_the_dynamo_exporter() -> None:
    model = dynamo_model()
    types = {node.name: node.op_type for node in model.graph.node}
    wanted = [*NODE_EXCLUSIONS, "layer.-1", "block:bert.layer.0.out"]
    matches = find_exclusions(model, wanted)
    attention = {"Attention": 2}
    assert {key: Counter(types[name] for name in names) for key, names in matches.items()} == {
        "layernorm": {"RMSNormalization": 2},
        "gelu": {"Gelu": 2},
        "residual": {"Add": 2},
        "gather": {},
        "softmax": attention,
        "attention_scores": attention,
        "attention_context": attention,
        "classifier": {"Gemm": 1},
        "layer.-1": {"MatMul": 4, "Attention": 1, "Add": 1, "RMSNormalization": 1, "Gelu": 1},
        "block:bert.layer.0.out": {"MatMul": 1},
    }


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("layer.3", r"layer\.0 to layer\.2 \(bert\.layer\)"),
        ("layer.-4", r"layer\.0 to layer\.2 \(bert\.layer\)"),
        ("block:bert.layer.1.dens", r"Did you mean block:bert\.layer\.1\.dense\?"),
        ("block:bert.encoder", r"bert\.embeddings, bert\.layer\.0, bert\.layer\.1"),
        ("block:zzz", "There are bert"),
    ],
)
def test_a_layer_or_module_that_is_not_there_is_an_error_that_lists_those_that_are(
    name: str, hint: str
) -> None:
    with pytest.raises(QuantbenchError, match=hint):
        find_exclusions(three_layers().model("t6"), [name])


@pytest.mark.parametrize("name", ["layer.0", "block:bert"])
def test_a_graph_that_tells_no_modules_says_so(name: str) -> None:
    graph = Graph()
    graph.add("Relu", "x")
    with pytest.raises(QuantbenchError, match="do not say which module"):
        find_exclusions(graph.model("t0"), [name])


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


NO_ADDS = dict.fromkeys(NODE_EXCLUSIONS, 0)
# The names of 2022.
FIRST_FIVE = NODE_EXCLUSIONS[:5]


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
    assert adds(model) == NO_ADDS | {
        "layernorm": layernorm, "gelu": gelu, "residual": 4, "gather": 1, "softmax": 2,
        "classifier": 1,
    }  # fmt: skip
    kinds = Counter(node.op_type for node in model.graph.node)
    assert len(find_exclusions(model)["softmax"]) == 2 + kinds["Softmax"]


def test_vit_has_no_mask_and_looks_nothing_up(models: Models) -> None:
    model = onnx.load(models.exported("vit", 11))
    assert adds(model) == NO_ADDS | {"layernorm": 10, "gelu": 2, "residual": 4}


@pytest.mark.parametrize("opset", [11, 17, 20])
@pytest.mark.parametrize(
    ("kind", "classifier"),
    [("distilbert", {"/qa_outputs/MatMul", "/qa_outputs/Add"}), ("vit", {"/classifier/Gemm"}),
     ("bert", {"/qa_outputs/MatMul", "/qa_outputs/Add"})],
)  # fmt: skip
def test_attention_and_classifier_are_found_in_every_export(
    models: Models, kind: str, classifier: set[str], opset: int
) -> None:
    model = with_node_names(onnx.load(models.exported(kind, opset)))
    matches = find_exclusions(model)
    assert matches["classifier"] == classifier
    assert {name.rsplit("/", 1)[1] for name in matches["attention_scores"]} == {"MatMul"}
    assert {name.rsplit("/", 1)[1] for name in matches["attention_context"]} == {"MatMul_1"}
    assert len(matches["attention_scores"]) == len(matches["attention_context"]) == 2
    last = find_exclusions(model, ["layer.-1"])["layer.-1"]
    assert len(last & matches["attention_scores"]) == 1


def test_all_patterns_are_found_in_what_the_runtime_makes_of_a_graph(
    models: Models, tmp_path: Path
) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 3
    exported = models.exported("distilbert", 11)
    onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    model = with_node_names(onnx.load(tmp_path / "fused.onnx"))
    kinds = {node.name: node.op_type for node in model.graph.node}
    types = {
        exclusion: Counter(kinds[name] for name in names)
        for exclusion, names in find_exclusions(model).items()
    }
    assert types == {
        "layernorm": {"LayerNormalization": 5},
        "gelu": {"Gelu": 2},
        "residual": {"Add": 4},
        "gather": {"Add": 1},
        "softmax": {"Add": 2, "Softmax": 2},
        "attention_scores": {"FusedMatMul": 2},
        "attention_context": {"MatMul": 2},
        "classifier": {"MatMul": 1, "Add": 1},
    }
    assert Counter(kinds[n] for n in find_exclusions(model, ["layer.1"])["layer.1"])["Gelu"] == 1


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
    assert adds(model) == NO_ADDS | {
        "layernorm": 26, "gelu": 6, "residual": 12, "gather": 1, "softmax": 6, "classifier": 1,
    }  # fmt: skip
    names = {node.name for node in model.graph.node if node.op_type == "Add"}
    ours = frozenset().union(*find_exclusions(model, FIRST_FIVE).values()) & names
    assert len(ours) == 51
    assert rules_of_2022(model) == ours
