"""`quantbench inspect`: what is in an ONNX file, by module."""

import io
import json
from collections import Counter
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from onnx_builder import Graph

from quantbench import cli
from quantbench.core.inspection import BlockFacts, Inspection
from quantbench.graph.counts import op_type_counts
from quantbench.graph.inspect import inspect_model
from quantbench.graph.patterns import find_exclusions, with_node_names
from quantbench.reports.inspect import print_inspection
from tiny_models import Models, samples


def inspected(model: onnx.ModelProto) -> Inspection:
    return inspect_model(model, "model.onnx", 1234, ())


def printed(found: Inspection, depth: int = 4) -> str:
    stream = io.StringIO()
    print_inspection(found, depth, stream)
    return stream.getvalue()


def block(found: Inspection, *path: str) -> BlockFacts:
    at = found.root
    for name in path:
        at = next(child for child in at.children if child.name.endswith(name))
    return at


def layers(count: int, *, last: str = "Relu") -> Graph:
    graph = Graph()
    x = "x"
    for i in range(count):
        x = graph.add("MatMul", x, graph.weight(4, 4), name=f"/net/layer.{i}/dense/MatMul")
        x = graph.add(last if i == count - 1 else "Relu", x, name=f"/net/layer.{i}/Act")
    graph.add("MatMul", x, graph.weight(4, 2), name="/head/MatMul")
    return graph


# The facts


def test_every_node_is_counted_once_in_the_block_it_is_in(models: Models) -> None:
    model = onnx.load(models.exported("distilbert", 17))
    found = inspected(model)
    assert found.root.operators == op_type_counts(model)
    assert found.opsets == {"ai.onnx": 17}
    assert found.producer.startswith("pytorch")
    assert [item.name for item in found.inputs] == ["input_ids", "attention_mask"]
    assert found.inputs[0].shape == ("batch", "length")
    first, second = (block(found, "distilbert", "transformer", f"layer.{i}") for i in range(2))
    assert first.operators["MatMul"] == second.operators["MatMul"] == 8
    assert first.left == {"MatMul": 8}
    assert first.patterns == second.patterns
    matches = find_exclusions(with_node_names(model))
    assert found.root.patterns == {name: len(nodes) for name, nodes in sorted(matches.items())}
    assert not found.root.quantized


def test_weights_are_told_by_type_and_place(models: Models) -> None:
    found = inspected(onnx.load(models.exported("distilbert", 17)))
    assert set(found.weight_bytes) == {"float", "int64"}
    assert sum(found.weight_bytes.values()) == found.root.weight_bytes
    largest = found.largest_weights[0]
    assert largest.name == "distilbert.embeddings.word_embeddings.weight"
    assert (largest.shape, largest.num_bytes) == ((64, 32), 64 * 32 * 4)
    assert largest.block == "distilbert.embeddings.word_embeddings"


def test_patterns_are_the_same_in_a_graph_and_in_its_static_forms(
    models: Models, tmp_path: Path
) -> None:
    from onnxruntime.quantization import QuantFormat, quantize_static

    class Reader:
        def __init__(self) -> None:
            self.samples = samples("distilbert", 2)

        def get_next(self) -> object:
            return next(self.samples, None)

    exported = models.exported("distilbert", 11)
    plain = inspected(onnx.load(exported)).root.patterns
    for form in ("QDQ", "QOperator"):
        path = tmp_path / f"{form}.onnx"
        quantize_static(
            exported, path, Reader(), quant_format=QuantFormat[form],
            op_types_to_quantize=["Add", "MatMul"],
        )  # fmt: skip
        root = inspected(onnx.load(path)).root
        assert root.patterns == plain, form
        assert (root.quantized["MatMul"], root.quantized["Add"]) == (17, 32)
        # The index of the mask is made of integers.
        assert root.left["Add"] == 1
        assert "Reshape" not in root.quantized


def test_what_dynamic_quantization_left_is_told_by_layer(models: Models, tmp_path: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic

    path = tmp_path / "dynamic.onnx"
    quantize_dynamic(models.exported("distilbert", 17), path, op_types_to_quantize=["MatMul"])
    found = inspected(onnx.load(path))
    assert (found.root.quantized, found.root.left) == ({"MatMul": 13}, {"MatMul": 4})
    layer = block(found, "distilbert", "transformer", "layer.0")
    assert (layer.quantized, layer.left) == ({"MatMul": 6}, {"MatMul": 2})


def test_packed_weights_have_half_a_byte_each() -> None:
    graph = Graph()
    graph.initializers.append(helper.make_tensor("packed", TensorProto.UINT4, [3], [1, 2, 3]))
    graph.add("DequantizeLinear", "packed", graph.constant(0.5))
    assert inspected(graph.model("t0", opset=21)).weight_bytes == {"float": 4, "uint4": 2}


# Unusual graphs


def test_control_flow_is_told_and_not_looked_into() -> None:
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    body = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "body", [], [value])
    graph = Graph()
    graph.add("If", graph.constant(True, "bool"), name="choice", then_branch=body, else_branch=body)
    found = inspected(graph.model("t0"))
    (flow,) = found.control_flow
    assert (flow.op_type, flow.name, flow.num_nodes) == ("If", "choice", 2)
    assert found.root.operators == {"If": 1}
    assert "control flow, not looked into (2 nodes inside): If choice" in printed(found)


def test_nodes_without_names_and_modules_are_told() -> None:
    graph = Graph()
    for _ in range(3):
        graph.add("Relu", "x")
        graph.nodes[-1].name = ""
    text = printed(inspected(graph.model("t0", "t1", "t2")))
    assert "3 nodes have no name of their own" in text
    assert "the nodes do not say which module they come from" in text


def test_a_shared_weight_is_counted_once_where_all_of_its_users_are() -> None:
    graph = Graph()
    shared = graph.weight(4, 4)
    x = graph.add("MatMul", "x", shared, name="/net/layer.0/MatMul")
    last = graph.add("MatMul", x, shared, name="/net/layer.1/MatMul")
    found = inspected(graph.model(last))
    assert found.root.weight_bytes == block(found, "net").weight_bytes == 64
    assert [child.weight_bytes for child in block(found, "net").children] == [0, 0]
    assert "used 2 times" in printed(found)


def test_missing_shapes_and_empty_dimensions_are_shown_as_they_are() -> None:
    graph = Graph()
    graph.initializers.append(helper.make_tensor("none", TensorProto.FLOAT, [0, 4], []))
    graph.add("Concat", "x", "none", axis=0)
    model = graph.model("t0")
    found = inspected(model)
    assert found.outputs[0].shape is None
    assert found.root.weight_bytes == 0
    text = printed(found)
    assert "t0 float, shape unknown" in text
    assert "none (float, 0 × 4, 0 B)" in text


# The tree


def test_layers_that_hold_the_same_are_one() -> None:
    text = printed(inspected(layers(5).model("t10")))
    assert "layer.0 … layer.4: 5 alike, each" in text
    assert text.count("── dense") == 1


def test_a_layer_that_differs_is_shown_alone() -> None:
    text = printed(inspected(layers(5, last="Tanh").model("t10")))
    assert "layer.0 … layer.3: 4 alike, each" in text
    assert "layer.4\n" in text


def test_layers_of_another_width_are_not_alike() -> None:
    graph = Graph()
    for i, width in enumerate((4, 8)):
        graph.add("MatMul", "x", graph.weight(4, width), name=f"/layer.{i}/MatMul")
    assert "alike" not in printed(inspected(graph.model("t0", "t1")))


@pytest.mark.parametrize(
    ("depth", "shown", "hidden"), [(1, "net", "layer.0"), (2, "layer.0", "dense")]
)
def test_depth_says_how_much_is_shown(depth: int, shown: str, hidden: str) -> None:
    found = inspected(layers(2).model("t4"))
    text = printed(found.model_copy(update={"largest_weights": ()}), depth)
    assert shown in text
    assert hidden not in text


def test_names_from_the_file_cannot_act_on_the_terminal() -> None:
    graph = Graph()
    graph.add("Relu", "x", name="/net\x1b[31m/[bold]evil[/bold]/Relu")
    graph.initializers.append(helper.make_tensor("[red]w\x07", TensorProto.FLOAT, [1], [1.0]))
    text = printed(inspected(graph.model("t0")))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]evil" in text
    assert "[red]w" in text


# The command


def run(path: Path, *options: str) -> int:
    return cli.main(["inspect", str(path), *options])


def test_the_command_prints_the_tree_and_the_same_as_json(
    models: Models, capsys: pytest.CaptureFixture[str]
) -> None:
    path = models.exported("vit", 17)
    assert run(path) == 0
    assert "vit" in capsys.readouterr().out
    assert run(path, "--json") == 0
    found = Inspection.model_validate(json.loads(capsys.readouterr().out))
    assert found.num_bytes == path.stat().st_size
    assert Counter(found.root.operators)["Gemm"] == 1


def test_weights_in_other_files_are_not_read_but_must_be_there(
    models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    exported = models.exported("distilbert", 11)
    options = {"location": "weights.bin", "size_threshold": 0, "save_as_external_data": True}
    onnx.save(onnx.load(exported), path, convert_attribute=True, **options)
    assert run(path, "--json") == 0
    found = Inspection.model_validate(json.loads(capsys.readouterr().out))
    assert found.external_files == ("weights.bin",)
    assert found.root.patterns == inspected(onnx.load(exported)).root.patterns
    (tmp_path / "weights.bin").unlink()
    assert run(path) == 2
    assert "its weights in weights.bin are missing" in capsys.readouterr().err


def test_what_cannot_be_looked_at_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(path: Path, *options: str) -> str:
        assert run(path, *options) == 2
        return capsys.readouterr().err

    path = tmp_path / "model.onnx"
    assert "there is no such file" in refused(path)
    assert "is a folder" in refused(tmp_path)
    path.write_bytes(b"\x00 no ONNX")
    assert "is not an ONNX file, or only a part of one" in refused(path)
    whole = layers(2).model("t4").SerializeToString()
    path.write_bytes(whole[: len(whole) // 2])
    assert "is not an ONNX file, or only a part of one" in refused(path)
    onnx.save(Graph().model(), path)
    assert "has no nodes" in refused(path)
    onnx.save(layers(1).model("t2"), path)
    assert "--depth 0" in refused(path, "--depth", "0")


def test_damaged_graphs_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.onnx"
    circle = layers(2).model("t4")
    circle.graph.node[0].input[0] = "t3"
    onnx.save(circle, path)
    assert run(path) == 2
    assert "is damaged: the graph has a cycle" in capsys.readouterr().err
    short = layers(2).model("t4")
    short.graph.node[1].op_type = "Softmax"
    del short.graph.node[1].input[:]
    onnx.save(short, path)
    assert run(path) == 2
    assert "is damaged: a node has fewer" in capsys.readouterr().err
