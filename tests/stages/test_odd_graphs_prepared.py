"""Graphs that exporters seldom write, through what is done to float files and `explain`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from graph.onnx_builder import Graph
from quantbench.core.calibration import Calibration
from quantbench.core.errors import QuantbenchError
from quantbench.core.plan import Cell
from quantbench.core.preparation import Preparation, Smoothing
from quantbench.core.quantization import Blocks, Dynamic, Scheme, Static, WeightOnly
from quantbench.protocols import Inputs, SessionOptions
from quantbench.runtimes.ort import RUNTIME
from quantbench.stages import profile
from quantbench.stages.calibrate import collect_ranges
from quantbench.stages.explain import Files, explain_file
from quantbench.stages.optimize import optimize_model
from quantbench.stages.quantize import quantize_model

WIDTH = 8
LOWEST = float(np.finfo(np.float32).min)
CLAMPED = Preparation(clamp_mask=True)
SMOOTHED = Preparation(smoothing=Smoothing(alpha=0.5, num_calibration_samples=2))
BOTH = Preparation(clamp_mask=True, smoothing=SMOOTHED.smoothing)
SCHEMES: dict[str, Scheme] = {
    "dynamic": Dynamic(operators=("MatMul",)),
    "QDQ": Static(operators=("Add", "MatMul")),
    "weight only": WeightOnly(operators=("MatMul",), weight_only=Blocks(bits=8, block_size=16)),
}


def rows(seed: int, count: int = 4) -> Inputs:
    """Rows of which one channel is an outlier, and a mask of their first `WIDTH` keys."""
    values = np.random.default_rng(seed).normal(size=(count, WIDTH))
    values[:, 2] *= 50
    mask = np.ones((count, WIDTH))
    mask[:, WIDTH - 1 - seed % 3 :] = 0
    return {"x": values.astype(np.float32), "mask": mask.astype(np.float32)}


CHECKED = [rows(0), rows(1, 1), rows(2)]


def weight(seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(WIDTH, WIDTH)) / WIDTH**0.5
    return values.astype(np.float32)


def attention(graph: Graph, source: str) -> str:
    """Products around a softmax of scores with a mask: (1 - mask) · lowest, as in BERT."""
    query = graph.add("MatMul", source, graph.constant(weight(0)), name="/layers.0/query/MatMul")
    scores = graph.add("MatMul", query, graph.constant(weight(1)), name="/layers.0/scores/MatMul")
    off = graph.add("Sub", graph.constant(1.0), "mask", name="/layers.0/Sub")
    bias = graph.add("Mul", off, graph.constant(LOWEST), name="/layers.0/Mul")
    masked = graph.add("Add", scores, bias, name="/layers.0/Add")
    return graph.add("Softmax", masked, axis=-1, name="/layers.0/Softmax")


def saved(graph: Graph, output: str, path: Path) -> Path:
    proto = helper.make_graph(
        graph.nodes,
        "odd",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", WIDTH])
            for name in ("x", "mask")
        ],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        graph.initializers,
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(proto, opset_imports=opsets, ir_version=8)
    onnx.save(model, path)
    return path


def without_names(path: Path) -> Path:
    graph = Graph()
    saved(graph, graph.add("Add", "x", attention(graph, "x")), path)
    model = onnx.load(path)
    for node in model.graph.node:
        node.ClearField("name")
    onnx.save(model, path)
    return path


def choice(graph: Graph, condition: str, read: str, mask: str, factor: str) -> str:
    """If: a product of `read` with `factor` under `mask` in one branch, another in the other."""

    def branch(side: str, sign: float) -> onnx.GraphProto:
        nodes = [
            helper.make_node("MatMul", [read, factor], [f"{side}_p"], name=f"{side}/MatMul"),
            helper.make_node("Add", [f"{side}_p", mask], [f"{side}_m"], name=f"{side}/Add"),
            helper.make_node("Softmax", [f"{side}_m"], [f"{side}_s"], axis=-1, name=f"{side}/S"),
            helper.make_node("Mul", [f"{side}_s", f"{side}_c"], [f"{side}_y"], name=f"{side}/Mul"),
        ]
        constant = numpy_helper.from_array(np.array(sign, np.float32), f"{side}_c")
        out = helper.make_tensor_value_info(f"{side}_y", TensorProto.FLOAT, None)
        return helper.make_graph(nodes, side, [], [out], [constant])

    return graph.add(
        "If", condition, name="choice", then_branch=branch("then", 1.0),
        else_branch=branch("else", -1.0),
    )  # fmt: skip


def with_branches(path: Path, *, shared: bool = True) -> Path:
    """What a graph outside of `If` makes, its mask and a weight are read in the branches as well.

    Which branch runs depends on the input.
    """
    graph = Graph()
    scale = graph.constant(np.linspace(0.5, 2, WIDTH))
    normal = graph.add("LayerNormalization", "x", scale, name="/layers.0/norm")
    factor = graph.constant(weight(3))
    product = graph.add("MatMul", normal, factor, name="/layers.0/product/MatMul")
    off = graph.add("Sub", graph.constant(1.0), "mask", name="off")
    lowest = graph.constant(LOWEST)
    bias = graph.add("Mul", off, lowest, name="bias")
    masked = graph.add("Add", product, bias, name="/layers.0/Add")
    soft = graph.add("Softmax", masked, axis=-1, name="/layers.0/Softmax")
    total = graph.add("ReduceSum", "x", keepdims=0, name="total")
    positive = graph.add("Greater", total, graph.constant(0.0), name="positive")
    inner = choice(graph, positive, normal, bias, factor if shared else graph.constant(weight(4)))
    return saved(graph, graph.add("Add", soft, inner, name="end"), path)


def with_loop(path: Path) -> Path:
    """A loop of three rounds whose body reads a normalization and a weight from outside."""
    graph = Graph()
    scale = graph.constant(np.linspace(0.5, 2, WIDTH))
    normal = graph.add("LayerNormalization", "x", scale, name="/layers.0/norm")
    factor = graph.constant(weight(3))
    product = graph.add("MatMul", normal, factor, name="/layers.0/product/MatMul")
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes"], name="body/Identity"),
            helper.make_node("MatMul", ["state", factor], ["body_p"], name="body/MatMul"),
            helper.make_node("Add", ["body_p", normal], ["next"], name="body/Add"),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    rounds = graph.constant(3, "int64")
    looped = graph.add("Loop", rounds, "", product, name="loop", body=body)
    soft = attention(graph, looped)
    return saved(graph, graph.add("Add", soft, normal, name="end"), path)


ODD = {"without names": without_names, "branches": with_branches, "loop": with_loop}
every_graph = pytest.mark.parametrize("make", ODD.values(), ids=list(ODD))


def answers(path: Path, given: Inputs) -> np.ndarray:
    session = RUNTIME.open(path, SessionOptions(num_threads=1, optimization_level=0))
    (output,) = session.bind(given)().values()
    session.close()
    return output


def samples() -> Iterator[Inputs]:
    return iter([rows(3), rows(4)])


@every_graph
@pytest.mark.parametrize("preparation", [CLAMPED, SMOOTHED, BOTH], ids=lambda p: p.name)
def test_they_compute_the_same_when_they_are_prepared(
    tmp_path: Path, make: Callable[[Path], Path], preparation: Preparation
) -> None:
    model, path = make(tmp_path / "model.onnx"), tmp_path / "prepared.onnx"
    facts = optimize_model(model, preparation, CHECKED, path, {}, samples())
    assert facts.num_masks == (1 if preparation.clamp_mask else 0)
    assert (facts.num_folded + facts.num_multiplied > 0) == (preparation.smoothing is not None)
    for given in (*CHECKED, rows(7), rows(8)):
        np.testing.assert_allclose(answers(path, given), answers(model, given), atol=1e-4)


def test_a_mask_that_a_branch_compares_with_its_constant_is_refused(tmp_path: Path) -> None:
    """Clamping does not look into branches: what one finds there would no longer be equal."""
    graph, path = Graph(), tmp_path / "prepared.onnx"
    off = graph.add("Sub", graph.constant(1.0), "mask", name="off")
    lowest = graph.constant(LOWEST)
    bias = graph.add("Mul", off, lowest, name="bias")
    scores = graph.add("MatMul", "x", graph.constant(weight(0)), name="scores")
    soft = graph.add("Softmax", graph.add("Add", scores, bias), axis=-1)
    branches = {
        f"{side}_branch": helper.make_graph(
            [
                helper.make_node("Equal", [bias, lowest], [f"{side}_e"]),
                helper.make_node("Where", [f"{side}_e", "x", soft], [f"{side}_y"]),
            ],
            side,
            [],
            [helper.make_tensor_value_info(f"{side}_y", TensorProto.FLOAT, None)],
        )
        for side in ("then", "else")
    }
    chosen = graph.add("If", graph.constant(True, "bool"), name="choice", **branches)
    model = saved(graph, chosen, tmp_path / "model.onnx")
    with pytest.raises(QuantbenchError, match=r"cannot be prepared.* differs from") as caught:
        optimize_model(model, CLAMPED, CHECKED, path, {})
    assert caught.value.hint == "Set clamp_mask to false."
    assert not path.exists()


@every_graph
@pytest.mark.parametrize("name", SCHEMES)
def test_they_are_explained(
    tmp_path: Path, make: Callable[[Path], Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "FORWARDS_PER_BLOCK", 2)
    model, path, ranges = make(tmp_path / "m.onnx"), tmp_path / "prepared.onnx", None
    optimize_model(model, CLAMPED, CHECKED, path, {})
    scheme = SCHEMES[name]
    if isinstance(scheme, Static):
        ranges = tmp_path / "ranges.json"
        collect_ranges(path, samples(), list(scheme.operators), Calibration(), ranges)
    quantized = tmp_path / "quantized.onnx"
    counts = quantize_model(path, scheme, ranges, quantized).nodes["MatMul"]
    assert counts.quantized > 0
    facts = explain_file(
        Files(path, quantized, scheme, 99, 1),
        list(samples()),
        Cell(batch_size=1, input_length=WIDTH),
        rows(5, 1),
        is_x86=True,
        instructions=(),
        on_sample=lambda _: None,
    )
    products = [node for node in facts.nodes if node.op_type == "MatMul"]
    assert sum(node.quantized for node in products) == counts.quantized == len(products)
    assert all(node.name for node in facts.nodes)
    assert len({node.name for node in facts.nodes}) == len(facts.nodes)
    assert facts.num_missing_weights == 0
    assert facts.outputs[0].error.num_nonfinite == 0


BERT = {"model_type": "bert", "num_attention_heads": 2, "hidden_size": WIDTH}
FUSED = Preparation(fuse=True)


def feed_forward(graph: Graph) -> dict[str, str]:
    """A GELU and a skip connection with its normalization; returns what is inside of both."""
    rows = graph.add("Unsqueeze", "x", graph.constant([0], "int64"), name="rows")
    product = graph.add("MatMul", rows, graph.constant(weight(0)), name="/layers.0/in/MatMul")
    biased = graph.add("Add", product, graph.constant(np.ones(WIDTH)), name="/layers.0/in/Add")
    divided = graph.add("Div", biased, graph.constant(2**0.5), name="/layers.0/act/Div")
    raised = graph.add("Add", graph.add("Erf", divided), graph.constant(1.0))
    gelu = graph.add("Mul", graph.add("Mul", biased, raised), graph.constant(0.5))
    out = graph.add("MatMul", gelu, graph.constant(weight(1)), name="/layers.0/out/MatMul")
    skipped = graph.add("Add", out, rows, name="/layers.0/skip")
    scale, shift = graph.constant(np.linspace(0.5, 2, WIDTH)), graph.constant(np.ones(WIDTH))
    normal = graph.add("LayerNormalization", skipped, scale, shift, name="/layers.0/norm")
    return {"biased": biased, "raised": raised, "gelu": gelu, "skipped": skipped, "normal": normal}


def test_nodes_without_names_are_fused(tmp_path: Path) -> None:
    graph = Graph()
    model = saved(graph, feed_forward(graph)["normal"], tmp_path / "model.onnx")
    written, path = onnx.load(model), tmp_path / "prepared.onnx"
    for node in written.graph.node:
        node.ClearField("name")
    onnx.save(written, model)
    facts = optimize_model(model, FUSED, CHECKED, path, BERT)
    assert facts.fused == {"BiasGelu": 1, "SkipLayerNormalization": 1}
    assert [value.name for value in onnx.load(path).graph.input] == ["x", "mask"]
    for given in (*CHECKED, rows(7)):
        np.testing.assert_allclose(answers(path, given), answers(model, given), atol=1e-4)


@pytest.mark.parametrize(
    ("read", "gelu"),
    [
        ("biased", {"Gelu": 1}),
        ("raised", {}),
        ("gelu", {"BiasGelu": 1}),
        ("skipped", {"BiasGelu": 1}),
        ("normal", {"BiasGelu": 1}),
    ],
)
def test_fusion_keeps_what_a_branch_reads(tmp_path: Path, read: str, gelu: dict[str, int]) -> None:
    graph, path = Graph(), tmp_path / "prepared.onnx"
    inside = feed_forward(graph)
    total = graph.add("ReduceSum", "x", keepdims=0, name="total")
    positive = graph.add("Greater", total, graph.constant(0.0), name="positive")
    inner = choice(graph, positive, inside[read], "mask", graph.constant(weight(2)))
    end = graph.add("Add", inside["normal"], inner, name="end")
    model = saved(graph, end, tmp_path / "model.onnx")
    facts = optimize_model(model, FUSED, CHECKED, path, BERT)
    assert facts.fused == {**gelu, "SkipLayerNormalization": 1}
    for given in (*CHECKED, rows(7)):
        np.testing.assert_allclose(answers(path, given), answers(model, given), atol=1e-4)
