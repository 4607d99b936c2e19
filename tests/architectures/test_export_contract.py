"""What holds for every architecture at every opset: export, quantization, and the exclusions.

A few opsets of the TorchScript exporter are always tried: the oldest, the first for the library's
default attention, the first with layer normalization as one operator, and its newest, with GELU as
one operator. Of the dynamo exporter, which is slower, one file of one architecture is. The others
are marked slow.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from quantbench.core.calibration import Calibration
from quantbench.core.exporters import OPSETS, Export
from quantbench.core.quantization import Dynamic, Static
from quantbench.graph.counts import default_opset
from quantbench.graph.layers import find_blocks
from quantbench.graph.patterns import find_exclusions
from quantbench.protocols import Inputs, Outputs, SessionOptions
from quantbench.runtimes import ort, pytorch
from quantbench.stages.calibrate import collect_ranges
from quantbench.stages.check import check_file
from quantbench.stages.quantize import quantize_model
from tiny_models import AUTO_CLASS, IMAGES, Models, inputs, samples

FIRST, LAST = OPSETS["torchscript"]
TORCHSCRIPT = [Export(opset=opset) for opset in range(FIRST, LAST + 1)]
# Its first, the first with GELU as one operator, the first that only it writes, and its last.
DYNAMO = [Export(opset=opset, exporter="dynamo") for opset in (18, 20, 21, 23, 25)]
ALWAYS = (11, 14, 17, LAST)
STATIC = (11, 17)
ALWAYS_DYNAMO = ("distilbert", DYNAMO[-1])
# Whether an architecture has masks, and how many tables are added up in its embeddings.
MASKED = {kind: auto_class != IMAGES for kind, auto_class in AUTO_CLASS.items()}
EMBEDDING_SUMS = {"bert": 2, "minilm": 2, "bert-classifier": 2, "roberta": 2, "distilbert": 1}

Answer = Callable[[Inputs], Outputs]


def cases(always: tuple[int, ...]) -> pytest.MarkDecorator:
    """Every architecture with every export; those that are not always tried are slow.

    Of BERT with another head one export is enough for every day.
    """

    def marks(kind: str, export: Export) -> tuple[pytest.MarkDecorator, ...]:
        opsets = always[:1] if kind == "bert-classifier" else always
        is_quick = export.exporter == "torchscript" and export.opset in opsets
        return () if is_quick or (kind, export) == ALWAYS_DYNAMO else (pytest.mark.slow,)

    return pytest.mark.parametrize(
        ("kind", "export"),
        [
            pytest.param(kind, export, marks=marks(kind, export), id=f"{kind}-{export.name}")
            for kind in AUTO_CLASS
            for export in (*TORCHSCRIPT, *DYNAMO)
        ],
    )


def opened(models: Models, kind: str, path: Path | None, level: int = 0) -> Answer:
    """The file at `path`, or the original model, as a function."""
    options = SessionOptions(1, level, AUTO_CLASS[kind])
    if path is None:
        session = pytorch.RUNTIME.open(models.directory(kind), options)
        return lambda given: session.bind(given)()
    file_session = ort.RUNTIME.open(path, options)
    return lambda given: file_session.bind(given)()


def shapes(kind: str) -> Iterator[Inputs]:
    """Batches and lengths other than those that were traced, some with padding."""
    for seed, (batch, length) in enumerate([(1, 3), (3, 31), (5, 17), (1, 64)]):
        yield inputs(kind, batch, length, seed)
    if MASKED[kind]:
        padded = {name: array.copy() for name, array in inputs(kind, 3, 20, seed=9).items()}
        for row, kept in enumerate((20, 13, 2)):
            padded["input_ids"][row, kept:] = 1 if kind == "roberta" else 0
            padded["attention_mask"][row, kept:] = 0
        yield padded


@cases(ALWAYS)
def test_the_file_has_its_opset_and_computes_what_pytorch_computes_on_every_shape(
    models: Models, kind: str, export: Export
) -> None:
    path = models.exported(kind, export.opset, export.exporter)
    imports = {item.domain: item.version for item in onnx.load(path).opset_import}
    assert imports == {"": export.opset}
    original = opened(models, kind, None)
    plain, optimized = (opened(models, kind, path, level) for level in (0, 99))
    for given in shapes(kind):
        wanted = original(given)
        for found in (plain(given), optimized(given)):
            assert list(found) == list(wanted)
            for name in wanted:
                np.testing.assert_allclose(found[name], wanted[name], atol=1e-4, rtol=0)


@cases(ALWAYS)
def test_dynamic_quantization_makes_every_weight_integer_loads_and_runs(
    models: Models, tmp_path: Path, kind: str, export: Export
) -> None:
    path = tmp_path / "model.onnx"
    exported = models.exported(kind, export.opset, export.exporter)
    facts = quantize_model(exported, Dynamic(operators=("MatMul",)), None, path)
    assert default_opset(onnx.load(path)) == export.opset
    # Two products of each attention are of activations.
    assert facts.nodes["MatMul"].left == 2 * num_layers(kind)
    if "Gemm" in facts.nodes:
        assert facts.nodes["Gemm"].left == 0
    assert_close_to_the_export(models, kind, exported, path)


@cases(STATIC)
def test_static_quantization_loads_and_runs(
    models: Models, tmp_path: Path, kind: str, export: Export
) -> None:
    path, ranges = tmp_path / "model.onnx", tmp_path / "ranges.json"
    exported = models.exported(kind, export.opset, export.exporter)
    operators = ("Add", "Gemm", "MatMul")
    collect_ranges(exported, samples(kind, 6), operators, Calibration(), ranges)
    scheme = Static(operators=operators, node_exclusion=("layernorm", "gelu", "softmax"))
    facts = quantize_model(exported, scheme, ranges, path)
    assert default_opset(onnx.load(path)) == export.opset
    # Those of two activations: scores and context of each attention.
    assert facts.nodes["MatMul"].left == 2 * num_layers(kind)
    assert facts.nodes["Add"].excluded == facts.nodes["Add"].matched
    assert facts.nodes["Add"].quantized > 0
    assert_close_to_the_export(models, kind, exported, path)


@cases(ALWAYS)
def test_the_exclusions_find_what_the_architecture_has_in_every_layer(
    models: Models, kind: str, export: Export
) -> None:
    model = onnx.load(models.exported(kind, export.opset, export.exporter))
    types = {node.name: node.op_type for node in model.graph.node}
    found = {
        exclusion: {name: types[name] for name in names}
        for exclusion, names in find_exclusions(model).items()
    }
    layers = layers_of(kind, model)
    assert len(set(layers.values())) == num_layers(kind)

    def in_each_layer(exclusion: str) -> list[Counter[str]]:
        return [
            Counter(t for name, t in found[exclusion].items() if layers.get(name) == layer)
            for layer in sorted(set(layers.values()))
        ]

    one_layernorm = (
        Counter({"LayerNormalization": 1})
        if export.opset >= 17
        else Counter({"ReduceMean": 2, "Add": 2, "Sub": 1, "Pow": 1, "Sqrt": 1, "Div": 1, "Mul": 1})
    )
    decomposed = Counter({"Mul": 2, "Div": 1, "Erf": 1, "Add": 1})
    one_gelu = Counter({"Gelu": 1}) if export.opset >= 20 else decomposed
    adds_to_scores = score_adds(kind, export)
    assert in_each_layer("layernorm") == [one_layernorm + one_layernorm] * num_layers(kind)
    assert in_each_layer("gelu") == [one_gelu] * num_layers(kind)
    assert in_each_layer("residual") == [Counter({"Add": 2})] * num_layers(kind)
    assert in_each_layer("softmax") == [
        Counter({"Softmax": 1}) + Counter({"Add": adds}) for adds in adds_to_scores
    ]
    # Outside the layers: one layernorm before or behind them; Swin has both, and one between its
    # two stages.
    outside = 3 if kind == "swin" else 1
    num_layernorms = 2 * num_layers(kind) + outside
    assert len(found["layernorm"]) == num_layernorms * one_layernorm.total()
    assert len(found["gelu"]) == num_layers(kind) * one_gelu.total()
    assert len(found["residual"]) == 2 * num_layers(kind)
    assert len(found["softmax"]) == sum(1 + adds for adds in adds_to_scores)
    assert set(found["gather"].values()) <= {"Add"}
    assert len(found["gather"]) == EMBEDDING_SUMS.get(kind, 0)


def num_layers(kind: str) -> int:
    return {"minilm": 6, "swin": 4}.get(kind, 2)


def layers_of(kind: str, model: onnx.ModelProto) -> dict[str, str]:
    """The layer of each node that is in one: `layer.0`, `layers.1`, `layers.0.blocks.1`."""
    scope = re.compile(r"layers?\.\d+\.blocks\.\d+" if kind == "swin" else r"layers?\.\d+")
    return {
        name: match.group()
        for name, block in find_blocks(model).items()
        if (match := scope.search(block))
    }


def score_adds(kind: str, export: Export) -> list[int]:
    """How often something is added to the attention scores of each layer.

    A mask in text; in Swin a position bias, and in every second block the mask of the shift.
    Through dynamo, transformers makes a mask for images too, which masks nothing.
    """
    layers = num_layers(kind)
    if kind == "swin":
        return [1 + number % 2 for number in range(layers)]
    if export.exporter == "dynamo":
        return [1] * layers
    return [int(MASKED[kind])] * layers


def assert_close_to_the_export(models: Models, kind: str, exported: Path, path: Path) -> None:
    """Loads and runs at every level, also on other shapes, and gives about the same."""
    check_file(path, [0, 1, 2, 99], inputs(kind, 2, 9), 1)
    given = inputs(kind, 1, 14, seed=1)
    wanted = opened(models, kind, exported)(given)
    found = opened(models, kind, path, 99)(given)
    for name, array in wanted.items():
        assert 0 < np.abs(found[name] - array).max() < 0.25 * np.abs(array).max()
