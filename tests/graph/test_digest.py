import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_builder import Graph

from quantbench.graph.digest import graph_digest
from tiny_models import Models


def copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def small() -> onnx.ModelProto:
    graph = Graph()
    left = graph.add("MatMul", "x", graph.weight(4, 4))
    right = graph.add("Relu", graph.add("Mul", "x", graph.constant(0.5)))
    graph.add("LeakyRelu", graph.add("Add", left, right), alpha=0.1)
    return graph.model("t4")


def test_names_and_order_of_nodes_do_not_matter(models: Models) -> None:
    model = onnx.load(models.exported("distilbert", 14))
    other = copy(model)
    outputs = {value.name for value in model.graph.output}
    inner = {name for node in model.graph.node for name in node.output if name not in outputs}
    inner |= {initializer.name for initializer in model.graph.initializer}
    for i, node in enumerate(other.graph.node):
        node.name = f"other{i}"
        node.doc_string = "where it came from"
        for names in (node.input, node.output):
            names[:] = [f"_{name}" if name in inner else name for name in names]
    for initializer in other.graph.initializer:
        initializer.name = f"_{initializer.name}"
    reordered = list(reversed(other.graph.node))
    del other.graph.node[:]
    other.graph.node.extend(reordered)
    assert graph_digest(other) == graph_digest(model)


def test_a_constant_node_is_an_initializer() -> None:
    model = small()
    other = copy(model)
    stored = other.graph.initializer[0]
    node = helper.make_node("Constant", [], [stored.name], value=stored)
    other.graph.node.insert(0, node)
    other.graph.initializer.remove(stored)
    assert graph_digest(other) == graph_digest(model)


def test_how_a_tensor_is_stored_does_not_matter() -> None:
    model = small()
    other = copy(model)
    for tensor in other.graph.initializer:
        array = numpy_helper.to_array(tensor)
        tensor.CopyFrom(
            helper.make_tensor(tensor.name, tensor.data_type, array.shape, array.flatten())
        )
    assert other.SerializeToString() != model.SerializeToString()
    assert graph_digest(other) == graph_digest(model)


def test_what_reaches_no_output_does_not_matter() -> None:
    model = small()
    other = copy(model)
    other.graph.node.append(helper.make_node("Relu", ["x"], ["unused"]))
    other.graph.initializer.append(numpy_helper.from_array(np.zeros(3), "idle"))
    other.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert graph_digest(other) == graph_digest(model)


def change_weight(model: onnx.ModelProto) -> None:
    array = numpy_helper.to_array(model.graph.initializer[0]).copy()
    array[0, 0] += 1e-6
    name = model.graph.initializer[0].name
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, name))


def change_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[-1].attribute[0].f = 0.2


def swap_operands(model: onnx.ModelProto) -> None:
    node = model.graph.node[-2]
    node.input[:] = reversed(node.input)


def change_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 18


def change_operator(model: onnx.ModelProto) -> None:
    model.graph.node[2].op_type = "Sigmoid"


def change_domain(model: onnx.ModelProto) -> None:
    model.graph.node[2].domain = "com.example"


def rename_output(model: onnx.ModelProto) -> None:
    model.graph.node[-1].output[0] = model.graph.output[0].name = "logits"


def do_work_twice(model: onnx.ModelProto) -> None:
    again = copy(model).graph.node[0]
    again.name, again.output[0] = "again", "again"
    model.graph.node.insert(0, again)
    model.graph.node[-2].input[1] = "again"


@pytest.mark.parametrize(
    "change",
    [
        change_weight,
        change_attribute,
        swap_operands,
        change_opset,
        change_operator,
        change_domain,
        rename_output,
        do_work_twice,
    ],
)
def test_what_is_computed_matters(change: object) -> None:
    model = small()
    changed = copy(model)
    change(changed)  # type: ignore[operator]
    assert graph_digest(changed) != graph_digest(model)


def branching(value: float, prefix: str) -> onnx.ModelProto:
    """if c: x + value else x, with the inner names starting with `prefix`."""

    def branch(node: onnx.NodeProto, *stored: onnx.TensorProto) -> onnx.GraphProto:
        result = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)
        return helper.make_graph([node], prefix, [], [result], stored)

    amount = numpy_helper.from_array(np.float32(value), f"{prefix}amount")
    outer = helper.make_node("Relu", ["x"], [f"{prefix}outer"])
    then = branch(
        helper.make_node("Add", [f"{prefix}outer", f"{prefix}amount"], [f"{prefix}a"]), amount
    )
    other = branch(helper.make_node("Identity", [f"{prefix}outer"], [f"{prefix}b"]))
    choice = helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)
    graph = helper.make_graph(
        [outer, choice],
        "graph",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_subgraphs_count_by_what_they_compute() -> None:
    assert graph_digest(branching(1.0, "p")) == graph_digest(branching(1.0, "q"))
    assert graph_digest(branching(1.0, "p")) != graph_digest(branching(2.0, "p"))


def test_a_graph_may_be_deeper_than_the_recursion_limit() -> None:
    graph = Graph()
    last = "x"
    for _ in range(5000):
        last = graph.add("Relu", last)
    assert len(graph_digest(graph.model(last))) == 64
