from collections import Counter

import onnx
import pytest
from onnx import TensorProto, helper
from onnx_builder import Graph

from quantbench.graph.layers import (
    Layer,
    block_of,
    block_tree,
    common_block,
    components,
    find_blocks,
    is_within,
    layer_index,
    layer_of,
)
from tiny_models import Models


def node(name: str = "", output: str = "t", **metadata: str) -> onnx.NodeProto:
    made = helper.make_node("MatMul", ["a", "b"], [output], name=name)
    for key, value in metadata.items():
        entry = made.metadata_props.add()
        entry.key, entry.value = key.replace("__", "."), value
    return made


def blocks_of(graph: Graph, *outputs: str) -> dict[str, str]:
    """The block of every node, by its output."""
    found = find_blocks(graph.model(*(outputs or (graph.nodes[-1].output[0],))))
    return {node.output[0]: found[node.name] for node in graph.nodes}


# Rule 1: "Metadata of the dynamo exporter: the last module in `pkg.torch.onnx.name_scopes`, or in
# `namespace`."


def test_the_dynamo_exporter_lists_the_modules_of_a_node() -> None:
    scopes = "['', 'bert', 'bert.encoder', 'bert.encoder.layer.0', 'linear_3']"
    given = node("node_linear_3", pkg__torch__onnx__name_scopes=scopes)
    assert block_of(given) == "bert.encoder.layer.0"


def test_its_namespace_says_the_same() -> None:
    namespace = ": a.BertModel/bert: a.Bert/bert.encoder.layer.0: a.Layer/linear_3: aten.linear"
    assert block_of(node("node_linear_3", namespace=namespace)) == "bert.encoder.layer.0"


@pytest.mark.parametrize("text", ["['", "3", "[1, 2]", "__import__('os')", "(" * 500])
def test_metadata_that_is_no_list_says_nothing(text: str) -> None:
    given = node("/bert/MatMul", pkg__torch__onnx__name_scopes=text)
    assert block_of(given) == "bert"


# Rule 2: "The node's name, if it is a path"


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("/bert/layer.0/ffn/lin1/MatMul", "bert.layer.0.ffn.lin1"),
        ("/bert/layer.0/ffn/lin1/MatMul_quant", "bert.layer.0.ffn.lin1"),
        ("/Split", ""),
        ("MatMul_43", None),
        ("node_linear_3", None),
    ],
)  # fmt: skip
def test_a_name_that_is_a_path_says_the_module(name: str, block: str | None) -> None:
    assert block_of(node(name)) == block


# Rules 3 and 4: "a fused operator keeps the outputs of what it replaces"


def test_a_fused_operator_is_where_its_output_was() -> None:
    assert block_of(node("Gelu", "/bert/layer.1/act/Mul_1_output_0")) == "bert.layer.1.act"


def test_a_fused_operator_that_makes_an_output_of_the_model_has_its_place_in_its_name() -> None:
    given = node("/bert/layer.1/act/Mul/LayerNormFusion/", "last_hidden_state")
    assert block_of(given) == "bert.layer.1.act"


# Rule 5: "The weights it reads: the module that all of them are in"


def test_a_node_without_a_name_is_where_its_weights_are() -> None:
    graph = Graph()
    scale, bias = graph.weight(4), graph.weight(4)
    for made, name in zip(
        graph.initializers, ("a.layer.2.norm.weight", "a.layer.2.b"), strict=True
    ):
        made.name = name
    assert (scale, bias) == ("const0", "const1")
    graph.add("LayerNormalization", "x", "a.layer.2.norm.weight", "a.layer.2.b", name="fused")
    assert blocks_of(graph) == {"t0": "a.layer.2"}


def test_names_that_exporters_make_up_are_no_modules() -> None:
    graph = Graph()
    graph.weight(4, 4)
    graph.initializers[0].name = "onnx::MatMul_321"
    graph.add("MatMul", "x", "onnx::MatMul_321", name="plain")
    assert blocks_of(graph) == {"t0": ""}


# Rule 6: "Its neighbours"


def test_a_dequantized_weight_is_where_it_is_used() -> None:
    graph = Graph()
    weight = graph.add("DequantizeLinear", graph.constant([[1]], "int8"), graph.constant(0.1))
    last = graph.add("MatMul", "x", weight, name="/bert/layer.0/output/MatMul")
    shape = graph.add("Relu", last)
    assert blocks_of(graph) == {weight: "bert.layer.0.output", last: "bert.layer.0.output",
                                shape: "bert.layer.0.output"}  # fmt: skip


def test_what_two_layers_share_is_in_what_holds_both() -> None:
    graph = Graph()
    mask = graph.add("Not", "x")
    outputs = [
        graph.add("Where", mask, "x", "x", name=f"/bert/enc/layer.{i}/Where") for i in (0, 1)
    ]
    assert blocks_of(graph, *outputs)[mask] == "bert.enc"


# Layers: "the outermost module in a list that repeats"


@pytest.mark.parametrize(
    ("block", "layer"),
    [
        ("distilbert.transformer.layer.3.ffn", Layer("distilbert.transformer.layer", 3)),
        ("vit.layers.11", Layer("vit.layers", 11)),
        ("transformer.h.0.attn", Layer("transformer.h", 0)),
        ("swin.encoder.layers.1.blocks.0.mlp", Layer("swin.encoder.layers", 1)),
        ("segformer.encoder.block.2.1.mlp", Layer("segformer.encoder.block", 2)),
        ("classifier.0", None),
        ("embeddings", None),
        ("", None),
    ],
)
def test_layers_are_numbered_in_their_list(block: str, layer: Layer | None) -> None:
    assert layer_of(block) == layer
    assert layer_index(block) == (None if layer is None else layer.index)


def test_block_names_are_taken_apart_and_compared_by_whole_parts() -> None:
    assert components("a.layer.10.ffn") == ("a", "layer.10", "ffn")
    assert components("") == ()
    assert common_block(["a.layer.1.x", "a.layer.10.x"]) == "a"
    assert common_block(["a.b", "a.b.c"]) == "a.b"
    assert is_within("a.layer.1.x", "a.layer.1")
    assert not is_within("a.layer.10", "a.layer.1")
    assert is_within("a", "")


def test_the_tree_has_every_node_once() -> None:
    tree = block_tree({"1": "a.layer.0", "2": "a.layer.0.x", "3": "", "4": "a.layer.1", "5": "a"})
    assert (tree.name, tree.nodes) == ("", ("3",))
    (a,) = tree.children
    assert (a.name, a.nodes) == ("a", ("5",))
    assert [child.name for child in a.children] == ["a.layer.0", "a.layer.1"]
    assert [child.name for child in a.children[0].children] == ["a.layer.0.x"]


# Whole graphs


@pytest.mark.parametrize(
    ("kind", "stack"), [("distilbert", "distilbert.transformer.layer"), ("vit", "vit.layers")]
)
@pytest.mark.parametrize("opset", [11, 17])
def test_an_exported_model_has_its_layers(
    models: Models, kind: str, stack: str, opset: int
) -> None:
    model = onnx.load(models.exported(kind, opset))
    blocks = find_blocks(model)
    assert list(blocks) == [each.name for each in model.graph.node]
    found = Counter(layer_of(block) for block in blocks.values())
    assert set(found) == {None, Layer(stack, 0), Layer(stack, 1)}
    matmuls = [each.name for each in model.graph.node if each.op_type == "MatMul"]
    assert Counter(layer_index(blocks[name]) for name in matmuls)[0] == 8


def test_nodes_inside_of_control_flow_are_not_looked_into() -> None:
    inner = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"], name="/inner/Relu")],
        "body",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    graph = Graph()
    choice = graph.add("If", graph.constant(True, "bool"), name="/outer/If",
                       then_branch=inner, else_branch=inner)  # fmt: skip
    assert blocks_of(graph) == {choice: "outer"}
