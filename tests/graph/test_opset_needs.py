"""Which opset a graph needs, by the schemas of its operators."""

import pytest
from onnx import TensorProto, helper

from graph.onnx_builder import Graph
from quantbench.graph.opset_needs import in_words, lowest_opset, unmet_needs


def test_a_graph_that_its_opset_has_needs_nothing() -> None:
    graph = Graph()
    model = graph.model(graph.add("Relu", "x"), opset=11)
    assert unmet_needs(model) == ()
    assert lowest_opset(()) is None


def test_an_operator_that_came_later_is_named_with_its_node_and_first_opset() -> None:
    graph = Graph()
    model = graph.model(graph.add("Gelu", "x", name="/layer.0/Gelu"), opset=17)
    assert in_words(unmet_needs(model)) == "Gelu exists from opset 20 on (node /layer.0/Gelu)"


def test_a_type_that_an_operator_takes_only_later_is_named() -> None:
    graph = Graph()
    smaller = graph.add("Min", "ids", "ids")
    model = graph.model(graph.add("Cast", smaller, to=TensorProto.FLOAT), opset=11)
    (need,) = unmet_needs(model)
    assert (need.what, need.opset) == ("Min of int64", 12)


def test_an_attribute_that_an_operator_has_only_later_is_named() -> None:
    graph = Graph()
    model = graph.model(graph.add("Split", "x", num_outputs=1, axis=1), opset=17)
    (need,) = unmet_needs(model)
    assert (need.what, need.opset) == ("Split with num_outputs", 18)


def test_all_needs_are_met_by_the_last_of_their_opsets_and_equal_ones_are_said_once() -> None:
    graph = Graph()
    normal = graph.add("LayerNormalization", "x", graph.constant([1.0] * 4))
    model = graph.model(graph.add("Gelu", graph.add("Gelu", normal)), opset=11)
    needs = unmet_needs(model)
    assert lowest_opset(needs) == 20
    assert in_words(needs).count("Gelu exists") == 1


def test_what_is_inside_of_control_flow_counts_too() -> None:
    branches = {
        f"{side}_branch": helper.make_graph(
            [helper.make_node("Gelu", ["x"], [f"{side}_y"], name=f"in_{side}")],
            side,
            [],
            [helper.make_tensor_value_info(f"{side}_y", TensorProto.FLOAT, None)],
        )
        for side in ("then", "else")
    }
    graph = Graph()
    model = graph.model(graph.add("If", graph.constant(True, "bool"), **branches), opset=17)
    assert {need.node for need in unmet_needs(model)} == {"in_then", "in_else"}


def test_a_graph_whose_shapes_contradict_each_other_is_judged_too() -> None:
    graph = Graph()
    product = graph.add("MatMul", graph.weight(4, 5), graph.weight(5, 3))
    model = graph.model(graph.add("Gelu", product), opset=17)
    model.graph.value_info.append(helper.make_tensor_value_info(product, TensorProto.FLOAT, [9, 9]))
    assert in_words(unmet_needs(model)).startswith("Gelu exists from opset 20 on")


def test_a_form_that_no_opset_has_is_met_by_none() -> None:
    graph = Graph()
    model = graph.model(graph.add("Relu", "x", slope=0.5), opset=11)
    needs = unmet_needs(model)
    assert in_words(needs).startswith("Relu with slope exists in no opset")
    assert lowest_opset(needs) is None


@pytest.mark.parametrize("domain", ["com.microsoft", "my.own"])
def test_operators_of_others_are_not_judged(domain: str) -> None:
    graph = Graph()
    model = graph.model(graph.add("Gelu", "x", domain=domain), opset=11)
    model.opset_import.append(helper.make_opsetid(domain, 1))
    assert unmet_needs(model) == ()
