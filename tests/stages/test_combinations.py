"""Each combination of the schemes' parameters is refused by the plan, or gives a file that runs."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from pydantic import TypeAdapter

from quantbench.core.calibration import Calibration
from quantbench.core.effective import effective
from quantbench.core.errors import QuantbenchError
from quantbench.core.quantization import (
    Blocks,
    Dynamic,
    Float32,
    Quantization,
    Scheme,
    Static,
    WeightOnly,
)
from quantbench.core.refusals import refusal
from quantbench.core.vocabulary import Operator
from quantbench.graph.digest import graph_digest
from quantbench.protocols import SessionOptions
from quantbench.runtimes.ort import RUNTIME
from quantbench.stages.calibrate import collect_ranges
from quantbench.stages.check import check_file
from quantbench.stages.quantize import quantize_model
from tiny_models import Models, inputs, samples

SCHEME: TypeAdapter[Scheme] = TypeAdapter(Quantization)
SWITCHES = ("weight_symmetric", "reduce_range", "quantize_activation_matmul")
OPERATORS: dict[str, tuple[Operator, ...]] = {
    "distilbert": ("Add", "Gather", "LayerNormalization", "MatMul", "Mul", "Softmax", "Where"),
    "vit": ("Add", "Concat", "Conv", "Gather", "Gemm", "MatMul", "Reshape", "Transpose"),
}


def product(**values: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    for combination in itertools.product(*values.values()):
        yield dict(zip(values, combination, strict=True))


def with_switches(fields: dict[str, Any], number: int, all_of_them: bool) -> Iterator[Any]:
    """The fields with every setting of the switches, or with one that differs from row to row."""
    settings = list(product(**dict.fromkeys(SWITCHES, (False, True))))
    chosen = settings if all_of_them else [settings[number * 3 % len(settings)]]
    yield from (fields | switches for switches in chosen)


def schemes(all_of_them: bool, *operators: Operator) -> list[Scheme]:
    types, both = ("int8", "uint8"), (False, True)
    shared = {"operators": (operators,), "weight_type": types, "per_channel": both}
    static = product(
        approach=("static",),
        **shared,
        quant_format=("QDQ", "QOperator"),
        activation_type=types,
        activation_symmetric=both,
    )
    fields = [*product(approach=("dynamic",), **shared), *static]
    integer = [
        SCHEME.validate_python(found)
        for number, each in enumerate(fields)
        for found in with_switches(each, number, all_of_them)
    ]
    levels = range(5) if all_of_them else (0, 4)
    blocks = product(
        bits=(4, 8),
        block_size=(16, 32, 64, 128, 256) if all_of_them else (16, 256),
        symmetric=both,
        accuracy_level=tuple(levels),
    )
    weights = [WeightOnly(operators=operators, weight_only=Blocks(**each)) for each in blocks]
    return [*integer, *weights]


def quantized(models: Models, kind: str, opset: int, scheme: Scheme, path: Path) -> None:
    exported = models.exported(kind, opset)
    ranges = path.parent / f"{kind}-{opset}.json"
    if not ranges.exists():
        collect_ranges(exported, samples(kind, 3), OPERATORS[kind], Calibration(), ranges)
    quantize_model(exported, scheme, ranges if isinstance(scheme, Static) else None, path)


def fits(models: Models, kind: str, opset: int, scheme: Scheme, path: Path) -> bool:
    """Whether the plan's word on a scheme is what happens: it is refused, or it runs."""
    try:
        quantized(models, kind, opset, scheme, path)
        check_file(path, [0, 99], inputs(kind, 2), 1)
    except QuantbenchError:
        return refusal(scheme, opset) is not None
    return refusal(scheme, opset) is None


@pytest.mark.parametrize("opset", [11, 17])
def test_a_part_of_all_combinations(models: Models, tmp_path: Path, opset: int) -> None:
    asked = schemes(False, "MatMul")
    path = tmp_path / "model.onnx"
    assert [s for s in asked if not fits(models, "distilbert", opset, s, path)] == []
    assert any(refusal(scheme, opset) for scheme in asked)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["distilbert", "vit"])
@pytest.mark.parametrize("opset", [11, 13, 17])
def test_all_combinations(models: Models, tmp_path: Path, kind: str, opset: int) -> None:
    path = tmp_path / "model.onnx"
    asked = [*schemes(True, "MatMul"), *schemes(False, *OPERATORS[kind])]
    assert [s for s in asked if not fits(models, kind, opset, s, path)] == []


def test_schemes_that_are_effectively_equal_give_equal_files(
    models: Models, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    base = Static(operators=("MatMul",), per_channel=True)
    pairs: list[tuple[Scheme, Scheme]] = [
        (base, base.model_copy(update={"weight_symmetric": False})),
        (Static(operators=("Add",)), Static(operators=("Add",), weight_type="uint8")),
        (Static(operators=("Add",)), Static(operators=("Add",), quantize_activation_matmul=True)),
        (Dynamic(operators=("Gather",)), Dynamic(operators=("Gather",), per_channel=True)),
    ]
    for pair in pairs:
        digests: set[str] = set()
        for scheme in pair:
            quantized(models, "distilbert", 17, scheme, path)
            digests.add(graph_digest(onnx.load(path)))
        assert len({effective(scheme)[0] for scheme in pair}) == len(digests) == 1


def test_parameters_that_are_kept_apart_give_other_files(models: Models, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    changes: list[dict[str, Any]] = [
        {},
        {"weight_type": "uint8"},
        {"weight_symmetric": False},
        {"reduce_range": True},
        {"per_channel": True},
        {"quantize_activation_matmul": True},
        {"activation_type": "int8"},
        {"activation_symmetric": True},
        {"quant_format": "QOperator"},
    ]
    digests: set[str] = set()
    for change in changes:
        scheme = Static(operators=("MatMul",)).model_copy(update=change)
        quantized(models, "distilbert", 17, scheme, path)
        digests.add(graph_digest(onnx.load(path)))
    assert len(digests) == len(changes)


@pytest.mark.parametrize(
    "scheme",
    [
        Dynamic(operators=("MatMul",), weight_type="uint8", per_channel=True),
        Dynamic(operators=("MatMul",), weight_symmetric=False),
        Dynamic(operators=("MatMul",), quantize_activation_matmul=True),
        Static(operators=("MatMul",), quant_format="QOperator", per_channel=True),
        Static(operators=("MatMul",), activation_type="int8", activation_symmetric=True),
        Static(operators=("MatMul",), weight_type="uint8", reduce_range=True),
        WeightOnly(operators=("MatMul",), weight_only=Blocks(bits=8)),
        WeightOnly(operators=("MatMul",), weight_only=Blocks(bits=8, symmetric=False)),
    ],
)
def test_eight_bits_stay_close_to_the_export(
    models: Models, tmp_path: Path, scheme: Scheme
) -> None:
    path = tmp_path / "model.onnx"
    quantized(models, "distilbert", 17, scheme, path)
    given = next(samples("distilbert", 1))
    found, wanted = (
        RUNTIME.open(each, SessionOptions(1, 99)).bind(given)()["start_logits"]
        for each in (path, models.exported("distilbert", 17))
    )
    assert 0 < np.abs(found - wanted).max() < 0.2 * np.abs(wanted).max()


def test_dynamic_schemes_of_nothing_that_it_knows_are_the_export_itself() -> None:
    for operators in itertools.combinations(("Add", "Softmax", "Where"), 2):
        assert effective(Dynamic(operators=operators))[0] == Float32()
