"""Finding attention masks, and clamping them: rules 1 to 3 of `graph.masks`."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from graph.onnx_builder import Graph
from quantbench.graph.masks import MASK_LIMIT, clamp_masks, masked_nodes
from quantbench.graph.patterns import with_node_names
from tiny_models import KINDS, Models

LOWEST = float(np.finfo(np.float32).min)
SCALE = 0.35
Form = Callable[[Graph, str, str, float], str]


def scores_of(graph: Graph) -> str:
    return graph.add("MatMul", "x", graph.weight(4, 4), name="product")


def is_padding(graph: Graph) -> str:
    """Of each row of x: 1 for padding, where `ids` is 0. Shape (n, 1)."""
    padding = graph.add("Equal", "ids", graph.constant(0, "int64"))
    return graph.add("Unsqueeze", padding, graph.constant([1], "int64"))


def as_float(graph: Graph, flags: str) -> str:
    return graph.add("Cast", flags, to=TensorProto.FLOAT)


def where_added(g: Graph, scores: str, padding: str, low: float) -> str:
    mask = g.add("Where", padding, g.constant(low), g.constant(0.0))
    return g.add("Add", scores, mask)


def where_chosen(g: Graph, scores: str, padding: str, low: float) -> str:
    return g.add("Where", padding, g.constant(low), scores)


def factor(g: Graph, scores: str, padding: str, low: float) -> str:
    mask = g.add("Mul", as_float(g, padding), g.constant(max(low, LOWEST)))
    return g.add("Add", mask, scores)


def positive_factor(g: Graph, scores: str, padding: str, low: float) -> str:
    keep_less_1 = g.add("Neg", as_float(g, padding))
    return g.add("Add", scores, g.add("Mul", keep_less_1, g.constant(-max(low, LOWEST))))


def subtracted(g: Graph, scores: str, padding: str, low: float) -> str:
    return g.add("Sub", scores, g.add("Where", padding, g.constant(-low), g.constant(0.0)))


def negated(g: Graph, scores: str, padding: str, low: float) -> str:
    mask = g.add("Where", padding, g.constant(-low), g.constant(0.0))
    return g.add("Add", g.add("Neg", mask), scores)


def constant_node(g: Graph, scores: str, padding: str, low: float) -> str:
    value = numpy_helper.from_array(np.array(low, dtype=np.float32))
    mask = g.add("Where", padding, g.add("Constant", value=value), g.constant(0.0))
    return g.add("Add", scores, mask)


def filled(g: Graph, scores: str, padding: str, low: float) -> str:
    value = numpy_helper.from_array(np.array([low], dtype=np.float32))
    low_everywhere = g.add("ConstantOfShape", g.add("Shape", padding), value=value)
    return g.add("Add", scores, g.add("Where", padding, low_everywhere, g.constant(0.0)))


def before_division(g: Graph, scores: str, padding: str, low: float) -> str:
    return g.add("Div", where_added(g, scores, padding, low), g.constant(1 / SCALE))


def before_scale(g: Graph, scores: str, padding: str, low: float) -> str:
    return g.add("Mul", g.constant(SCALE), where_added(g, scores, padding, low))


def through_moves(g: Graph, scores: str, padding: str, low: float) -> str:
    mask = g.add("Where", padding, g.constant(low), g.constant(0.0))
    moved = g.add("Expand", mask, g.constant([1, 4], "int64"))
    return g.add("Add", scores, g.add("Identity", moved))


FORMS: list[Form] = [
    where_added, where_chosen, factor, positive_factor, subtracted, negated, constant_node, filled,
    before_division, before_scale, through_moves,
]  # fmt: skip
every_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)


def masked_softmax(form: Form, low: float) -> onnx.ModelProto:
    graph = Graph()
    scores = scores_of(graph)
    padding = is_padding(graph)
    return graph.model(graph.add("Softmax", form(graph, scores, padding, low), axis=0))


def answers(model: onnx.ModelProto, count: int = 20) -> list[np.ndarray]:
    """For random scores of many sizes; a third of the rows are padding, not all of them."""
    model.ir_version = 10  # which this runtime reads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found: list[np.ndarray] = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((9, 4)).astype(np.float32) * np.float32(10 ** rng.uniform(-1, 2))
        ids = rng.permutation([0, 0, 0, 1, 1, 1, 2, 3, 4])
        found += session.run(None, {"x": x, "ids": ids})
    return found


def largest_constant(model: onnx.ModelProto) -> float:
    read = {name for node in model.graph.node for name in node.input}
    arrays = [numpy_helper.to_array(i) for i in model.graph.initializer if i.name in read]
    for node in model.graph.node:
        used = node.op_type == "ConstantOfShape" or set(node.output) & read
        arrays += [numpy_helper.to_array(a.t) for a in node.attribute if a.name == "value" and used]
    return max(float(np.abs(a).max()) for a in arrays if a.dtype == np.float32)


@every_form
@pytest.mark.parametrize("low", [LOWEST, -np.inf, -1e5])
def test_softmax_of_clamped_mask_is_that_of_the_mask(form: Form, low: float) -> None:
    model = masked_softmax(form, low)
    clamped, count = clamp_masks(model)
    assert count == 1
    assert largest_constant(clamped) == MASK_LIMIT
    for found, wanted in zip(answers(clamped), answers(model), strict=True):
        np.testing.assert_array_equal(found, wanted)


@every_form
def test_a_mask_within_the_limit_stays(form: Form) -> None:
    model = masked_softmax(form, -100.0)
    assert clamp_masks(model) == (model, 0)
    assert masked_nodes(with_node_names(model))


@every_form
def test_nodes_that_read_or_make_masked_scores_are_found(form: Form) -> None:
    model = with_node_names(masked_softmax(form, LOWEST))
    found = masked_nodes(model)
    assert "product" not in found
    types = {node.op_type for node in model.graph.node if node.name in found}
    assert "Softmax" in types
    assert types <= {
        "Softmax", "Add", "Sub", "Mul", "Div", "Where", "Neg", "Expand", "ConstantOfShape"
    }  # fmt: skip


def test_scale_of_scores_is_no_mask() -> None:
    graph = Graph()
    scaled = graph.add("Mul", scores_of(graph), graph.constant(1000.0))
    divided = graph.add("Div", scaled, graph.constant(-1000.0))
    model = graph.model(graph.add("Softmax", divided))
    assert clamp_masks(model) == (model, 0)
    assert masked_nodes(model) == frozenset()


def test_large_constants_that_reach_no_softmax_stay() -> None:
    graph = Graph()
    padding, scores = is_padding(graph), scores_of(graph)
    model = graph.model(where_added(graph, scores, padding, LOWEST))
    assert clamp_masks(model) == (model, 0)


def test_other_uses_of_a_clamped_constant_stay() -> None:
    graph = Graph()
    padding, scores = is_padding(graph), scores_of(graph)
    low = graph.constant(LOWEST)
    mask = graph.add("Where", padding, low, graph.constant(0.0))
    softmax = graph.add("Softmax", graph.add("Add", scores, mask))
    other = graph.add("Max", scores, low)
    clamped, _ = clamp_masks(graph.model(softmax, other))
    reads = {node.output[0]: list(node.input) for node in clamped.graph.node}
    assert reads[other] == [scores, low]
    assert reads[mask][1] != low


def test_comparison_with_the_mask_is_clamped_too() -> None:
    graph = Graph()
    padding, scores = is_padding(graph), scores_of(graph)
    low = graph.constant(LOWEST)
    mask = graph.add("Where", padding, low, graph.constant(0.0))
    softmax = graph.add("Softmax", graph.add("Add", scores, mask), axis=0)
    kept = graph.add("Where", graph.add("Equal", mask, low), graph.constant(0.0), softmax)
    model = graph.model(kept)
    clamped, count = clamp_masks(model)
    assert count == 2
    np.testing.assert_array_equal(answers(clamped), answers(model))


def test_names_of_clamped_constants_are_new() -> None:
    graph = Graph()
    padding, scores = is_padding(graph), scores_of(graph)
    mask = graph.add("Where", padding, graph.constant(LOWEST), graph.constant(0.0))
    model = graph.model(graph.add("Softmax", graph.add("Add", scores, mask)))
    low = next(i for i in model.graph.initializer if numpy_helper.to_array(i).min() == LOWEST)
    taken = numpy_helper.from_array(np.zeros(3, np.float32), f"{low.name}_clamped")
    model.graph.initializer.append(taken)
    clamped, _ = clamp_masks(model)
    names = [tensor.name for tensor in clamped.graph.initializer]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("kind", "opset"), [("distilbert", 11), ("bert", 17), ("roberta", 14)])
def test_padded_answers_of_a_model_stay(models: Models, kind: str, opset: int) -> None:
    from tiny_models import inputs

    model = onnx.load(models.exported(kind, opset))
    clamped, count = clamp_masks(model)
    assert count == 1
    given = dict(inputs(kind, 2, 12))
    given["attention_mask"][0, 7:] = 0
    wanted, found = (
        onnxruntime.InferenceSession(
            item.SerializeToString(), providers=["CPUExecutionProvider"]
        ).run(None, given)
        for item in (model, clamped)
    )
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_image_model_has_no_mask(models: Models) -> None:
    model = onnx.load(models.exported(KINDS[1], 17))
    assert clamp_masks(model) == (model, 0)
    assert masked_nodes(with_node_names(model)) == frozenset()


def test_masks_of_shifted_windows_are_found(models: Models) -> None:
    model = with_node_names(onnx.load(models.exported("swin", 17)))
    assert masked_nodes(model)
    assert clamp_masks(model)[1] == 0
