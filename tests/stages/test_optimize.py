"""Preparing a float file: it computes what the exported one does, and is easier to quantize."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from graph.onnx_builder import Graph
from onnx_files import one_matmul
from quantbench.core.calibration import Calibration
from quantbench.core.errors import QuantbenchError
from quantbench.core.preparation import Preparation, Smoothing
from quantbench.core.quantization import Dynamic, Scheme, Static, WeightOnly
from quantbench.graph.smooth_quant import is_inserted
from quantbench.protocols import Inputs, Outputs, SessionOptions
from quantbench.runtimes.ort import OnnxRuntime
from quantbench.stages import optimize
from quantbench.stages.calibrate import collect_ranges
from quantbench.stages.check import check_file
from quantbench.stages.optimize import optimize_model
from quantbench.stages.quantize import quantize_model
from tiny_models import AUTO_CLASS, QUESTIONS, Models, inputs, samples

RUNTIME = OnnxRuntime()
SMOOTHED = Preparation(smoothing=Smoothing(alpha=0.5, num_calibration_samples=4))
CLAMPED = Preparation(clamp_mask=True)
FUSED = Preparation(fuse=True)
ALL = Preparation(fuse=True, clamp_mask=True, smoothing=SMOOTHED.smoothing)
EXPORTS = [
    ("distilbert", 11, 0.5), ("bert", 17, 0.5), ("roberta", 14, 0.5), ("vit", 17, 0.0),
    ("vit", 17, 0.5), ("vit", 17, 1.0), ("deit", 13, 0.5),
    pytest.param("minilm", 13, 0.5, marks=pytest.mark.slow),
    pytest.param("swin", 17, 0.5, marks=pytest.mark.slow),
]  # fmt: skip


def answers(path: Path, given: Inputs) -> Outputs:
    session = RUNTIME.open(path, SessionOptions(1, 99))
    found = session.bind(given)()
    session.close()
    return found


def texts() -> Iterator[Inputs]:
    return samples("distilbert", 4)


def cases(kind: str) -> list[Inputs]:
    """Inputs of two shapes, and for texts one with padding."""
    found = [inputs(kind, 2, 9), inputs(kind, 1, 14, seed=1)]
    if AUTO_CLASS[kind] == QUESTIONS:
        mask = found[0]["attention_mask"].copy()
        mask[0, 5:] = 0
        found.append({**found[0], "attention_mask": mask})
    return found


@pytest.mark.parametrize(("kind", "opset", "alpha"), EXPORTS)
def test_smoothed_models_compute_the_same(
    models: Models, tmp_path: Path, kind: str, opset: int, alpha: float
) -> None:
    exported, path = models.exported(kind, opset), tmp_path / "model.onnx"
    smoothing = Smoothing(alpha=alpha, num_calibration_samples=4)
    preparation = Preparation(clamp_mask=True, smoothing=smoothing)
    facts = optimize_model(exported, preparation, cases(kind), path, {}, samples(kind, 4))
    assert facts.num_folded + facts.num_multiplied >= 9
    for given in cases(kind):
        wanted = answers(exported, given)
        for name, array in answers(path, given).items():
            np.testing.assert_allclose(array, wanted[name], atol=1e-4)


def test_smoothing_is_folded_where_only_products_read_a_normalization(
    models: Models, tmp_path: Path
) -> None:
    """ViT normalizes before attention and before its feed-forward network: two of four a layer."""
    path = tmp_path / "model.onnx"
    facts = optimize_model(models.exported("vit", 17), SMOOTHED, [], path, {}, samples("vit", 4))
    assert facts.num_folded >= 4
    inserted = [node for node in onnx.load(path).graph.node if is_inserted(node)]
    assert len(inserted) == facts.num_multiplied


def test_smoothing_evens_out_an_outlier_channel(models: Models, tmp_path: Path) -> None:
    """With one channel 60 times as large, static ranges lose the others; smoothed ones do not."""
    model = onnx.load(models.exported("vit", 17))
    norm = next(node for node in model.graph.node if node.op_type == "LayerNormalization")
    for tensor in model.graph.initializer:
        if tensor.name == norm.input[1]:
            scale = onnx.numpy_helper.to_array(tensor).copy()
            scale[3] *= 60
            tensor.CopyFrom(onnx.numpy_helper.from_array(scale, tensor.name))
    rough = tmp_path / "rough.onnx"
    onnx.save(model, rough)
    errors: dict[str, float] = {}
    for name, preparation in (("plain", Preparation()), ("smoothed", SMOOTHED)):
        source, ranges, path = (tmp_path / f"{name}{end}" for end in (".onnx", ".json", "-q.onnx"))
        optimize_model(rough, preparation, [], source, {}, samples("vit", 4))
        collect_ranges(source, samples("vit", 4), ["MatMul"], Calibration(), ranges)
        quantize_model(source, Static(operators=("MatMul",), per_channel=True), ranges, path)
        given = inputs("vit", 4, seed=9)
        difference = answers(path, given)["logits"] - answers(rough, given)["logits"]
        errors[name] = float(np.square(difference).sum())
    assert errors["smoothed"] < errors["plain"] / 2


def test_inserted_products_are_not_quantized(models: Models, tmp_path: Path) -> None:
    source, ranges, path = (tmp_path / name for name in ("s.onnx", "r.json", "q.onnx"))
    facts = optimize_model(
        models.exported("distilbert", 11), SMOOTHED, [], source, {}, samples("distilbert", 4)
    )
    assert facts.num_multiplied
    collect_ranges(source, samples("distilbert", 4), ["Mul", "MatMul"], Calibration(), ranges)
    quantize_model(source, Static(operators=("Mul", "MatMul")), ranges, path)
    written = onnx.load(path)
    inserted = [node for node in written.graph.node if is_inserted(node)]
    assert len(inserted) == facts.num_multiplied
    stored = {tensor.name for tensor in written.graph.initializer}
    assert {node.input[1] for node in inserted} <= stored  # not behind a DequantizeLinear


def test_the_mask_of_a_prepared_file_is_clamped(models: Models, tmp_path: Path) -> None:
    exported, path = models.exported("distilbert", 11), tmp_path / "model.onnx"
    facts = optimize_model(exported, CLAMPED, cases("distilbert"), path, {})
    assert (facts.num_masks, facts.largest_difference) == (1, 0.0)
    for given in cases("distilbert"):
        np.testing.assert_equal(answers(path, given), answers(exported, given))


@pytest.mark.parametrize("low", [-np.inf, np.finfo(np.float32).min])
@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_a_clamped_mask_can_be_calibrated_on_padded_samples(
    models: Models, tmp_path: Path, low: float, method: str
) -> None:
    given, source, ranges, path = (tmp_path / name for name in ("g", "s", "r", "q"))
    model = onnx.load(models.exported("distilbert", 11))
    for node in model.graph.node:
        is_constant = node.op_type == "Constant"
        if is_constant and onnx.numpy_helper.to_array(node.attribute[0].t).min(initial=0) < -1e30:
            node.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(np.array(low, "float32")))
    onnx.save(model, given)
    padded = cases("distilbert")[2]
    optimize_model(given, CLAMPED, [padded], source, {})
    calibration = Calibration.model_validate({"method": method})
    collect_ranges(source, [padded], ["Add", "MatMul"], calibration, ranges)
    scheme = Static(operators=("Add", "MatMul"), calibration=calibration)
    quantize_model(source, scheme, ranges, path)
    wanted = answers(given, padded)
    for name, array in answers(path, padded).items():
        assert np.abs(array - wanted[name]).max() < 0.2 * np.abs(wanted[name]).max()


def test_a_model_without_a_mask_stays_as_it_is(models: Models, tmp_path: Path) -> None:
    exported, path = models.exported("vit", 17), tmp_path / "model.onnx"
    assert optimize_model(exported, CLAMPED, cases("vit"), path, {}).num_masks == 0
    assert onnx.load(path) == onnx.load(exported)


def test_a_file_that_answers_otherwise_is_refused(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
        for tensor in model.graph.initializer[:2]:
            array = onnx.numpy_helper.to_array(tensor) * 1.5
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
        return model, 1

    monkeypatch.setattr(optimize, "clamp_masks", broken)
    path = tmp_path / "model.onnx"
    said = r"cannot be prepared \(clamped mask\): the prepared model differs from the exported one"
    with pytest.raises(QuantbenchError, match=said) as caught:
        optimize_model(models.exported("vit", 17), CLAMPED, cases("vit"), path, {})
    assert caught.value.hint == "Set clamp_mask to false."
    assert list(tmp_path.iterdir()) == []


def test_smoothing_needs_samples_and_something_to_smooth(models: Models, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(QuantbenchError, match="no samples to take maxima over"):
        optimize_model(models.exported("vit", 17), SMOOTHED, [], path, {})
    broken = [{"pixel_values": np.full((1, 3, 16, 16), np.nan, np.float32)}]
    with pytest.raises(QuantbenchError, match="not finite in calibration input 0"):
        optimize_model(models.exported("vit", 17), SMOOTHED, [], path, {}, broken)
    assert list(tmp_path.iterdir()) == []


def config_of(models: Models, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((models.directory(kind) / "config.json").read_text())
    return found


@pytest.mark.parametrize(
    ("kind", "opset", "found"),
    [
        ("distilbert", 11, {"Attention", "BiasGelu", "SkipLayerNormalization"}),
        ("bert", 17, {"Attention", "BiasGelu", "EmbedLayerNormalization"}),
        ("roberta", 14, {"Attention", "BiasGelu", "SkipLayerNormalization"}),
        ("vit", 17, {"BiasGelu", "SkipLayerNormalization"}),
        pytest.param("swin", 17, {"BiasGelu", "SkipLayerNormalization"}, marks=pytest.mark.slow),
    ],
)
def test_fused_models_compute_the_same(
    models: Models, tmp_path: Path, kind: str, opset: int, found: set[str]
) -> None:
    exported, path = models.exported(kind, opset), tmp_path / "model.onnx"
    facts = optimize_model(exported, FUSED, cases(kind), path, config_of(models, kind))
    assert found <= facts.fused.keys()
    types = Counter(node.op_type for node in onnx.load(path).graph.node)
    assert all(types[name] >= count > 0 for name, count in facts.fused.items())
    for given in cases(kind):
        wanted = answers(exported, given)
        for name, array in answers(path, given).items():
            np.testing.assert_allclose(array, wanted[name], atol=1e-4)


@pytest.mark.parametrize(
    "scheme",
    [
        Dynamic(operators=("Attention", "MatMul")),
        Dynamic(operators=("Attention", "MatMul"), node_exclusion=("layer.0", "classifier")),
        Static(operators=("Attention", "MatMul")),
        WeightOnly(operators=("MatMul",)),
    ],
    ids=lambda scheme: scheme.approach,
)
def test_fused_models_are_quantized_in_every_scheme(
    models: Models, tmp_path: Path, scheme: Scheme
) -> None:
    source, ranges, path = (tmp_path / name for name in ("s.onnx", "r.json", "q.onnx"))
    config = config_of(models, "distilbert")
    optimize_model(models.exported("distilbert", 17), ALL, [], source, config, texts())
    is_static = isinstance(scheme, Static)
    if is_static:
        collect_ranges(source, texts(), list(scheme.operators), Calibration(), ranges)
    facts = quantize_model(source, scheme, ranges if is_static else None, path)
    check_file(path, [0, 99], inputs("distilbert"), 1)
    assert sum(item.quantized for item in facts.nodes.values()) > 0
    assert all(facts.exclusion_effects.values())
    given = inputs("distilbert", 2, 9)
    wanted = answers(models.exported("distilbert", 17), given)
    for name, array in answers(path, given).items():
        assert np.abs(array - wanted[name]).max() < 0.1 * np.abs(wanted[name]).max()


def test_fusion_of_an_unknown_model_type_is_refused(models: Models, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(QuantbenchError, match="no fusions for models of type 'mamba'") as caught:
        optimize_model(models.exported("vit", 17), FUSED, [], path, {"model_type": "mamba"})
    assert "optimize_before_quantization" in str(caught.value.hint)


def test_fusion_that_finds_nothing_is_refused(tmp_path: Path) -> None:
    graph, path = Graph(), tmp_path / "given.onnx"
    model = graph.model(graph.add("MatMul", "x", graph.weight(4, 4)))
    onnx.save(model, path)
    with pytest.raises(QuantbenchError, match="finds nothing to fuse in this bert"):
        optimize_model(path, FUSED, [], tmp_path / "model.onnx", {"model_type": "bert"})


def test_a_product_of_the_input_itself_is_smoothed(tmp_path: Path) -> None:
    """The only activation is the input of the graph: nothing has to be computed for its maxima."""
    exported, output = one_matmul(tmp_path / "exported.onnx"), tmp_path / "prepared.onnx"
    sample = {"x": np.linspace(-3, 5, 64, dtype=np.float32)[None]}
    facts = optimize_model(exported, SMOOTHED, [sample], output, {}, [sample])
    assert facts.num_multiplied == 1
