"""The same ranges as ONNX Runtime's own calibrators, called with one sample at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantbench.core.calibration import Calibration
from quantbench.protocols import Inputs
from quantbench.stages.calibrate import collect_ranges, ort_method
from tiny_models import Models, inputs, samples

OPERATORS = ["Add", "Gemm", "MatMul", "Softmax"]
NUM_SAMPLES = 6

# A calibration of ours, and the options of ONNX Runtime's `create_calibrator` that say the same.
SAME: list[tuple[Calibration, dict[str, Any]]] = [
    (Calibration(), {}),
    (Calibration(symmetric=True), {"symmetric": True}),
    (Calibration(method="moving_average"), {"moving_average": True}),
    (
        Calibration(method="moving_average", averaging_constant=0.3, symmetric=True),
        {"moving_average": True, "averaging_constant": 0.3, "symmetric": True},
    ),
    (Calibration(method="entropy"), {}),
    (
        Calibration(method="entropy", num_bins=101, num_quantized_bins=32),
        {"num_bins": 101, "num_quantized_bins": 32},
    ),
    (Calibration(method="percentile"), {}),
    (Calibration(method="percentile", symmetric=False), {"symmetric": False}),
    (
        Calibration(method="percentile", percentile=97.5, num_bins=100),
        {"percentile": 97.5, "num_bins": 100},
    ),
    (
        Calibration(method="percentile", percentile=97.5, num_bins=100, symmetric=False),
        {"percentile": 97.5, "num_bins": 100, "symmetric": False},
    ),
]


class OneSample:
    """ONNX Runtime's reader protocol over a single sample."""

    def __init__(self, sample: Inputs) -> None:
        self.left: Inputs | None = sample

    def get_next(self) -> dict[str, np.ndarray] | None:
        sample, self.left = self.left, None
        return None if sample is None else dict(sample)


def loaded(path: Path) -> dict[str, tuple[float, float]]:
    from onnxruntime.quantization.calibrate import load_tensors_data

    return as_floats(load_tensors_data(path).data)


def as_floats(data: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    return {name: (np.min(item.lowest), np.max(item.highest)) for name, item in data.items()}


def ranges_of_ort(
    model: Path, given: Iterator[Inputs], calibration: Calibration, options: dict[str, Any]
) -> tuple[dict[str, tuple[float, float]], set[str]]:
    """The ranges, and the tensors whose largest value ONNX Runtime's histogram does not hold.

    The last edge of its absolute histogram can end up just below that value by rounding: the
    value is then counted nowhere, and a high percentile of few values comes out smaller.
    """
    from onnxruntime.quantization.calibrate import create_calibrator

    calibrator = create_calibrator(
        model,
        OPERATORS,
        str(model.parent / "augmented.onnx"),
        calibrate_method=ort_method(calibration),
        extra_options=options,
    )
    for sample in given:
        calibrator.collect_data(OneSample(sample))
    ranges = as_floats(calibrator.compute_data().data)
    histograms = getattr(getattr(calibrator, "collector", None), "histogram_dict", {})
    short = {
        name
        for name, (_, edges, smallest, largest, *_) in histograms.items()
        if edges[-1] < max(abs(smallest), abs(largest))
    }
    return ranges, short


def growing(kind: str) -> Iterator[Inputs]:
    """Samples of several lengths, or images each brighter than the one before."""
    if kind == "distilbert":
        return samples(kind, NUM_SAMPLES)
    images = (inputs(kind, 1, seed=n)["pixel_values"] for n in range(NUM_SAMPLES))
    return ({"pixel_values": image * np.float32(n + 1)} for n, image in enumerate(images))


@pytest.mark.parametrize("kind", ["distilbert", "vit"])
@pytest.mark.parametrize(("calibration", "options"), SAME)
def test_ranges_equal_those_of_onnx_runtime(
    models: Models, tmp_path: Path, kind: str, calibration: Calibration, options: dict[str, Any]
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(models.exported(kind, 17).read_bytes())
    expected, short = ranges_of_ort(model, growing(kind), calibration, options)
    assert len(short) <= len(expected) // 4
    collect_ranges(model, growing(kind), OPERATORS, calibration, tmp_path / "ranges.json")
    found = loaded(tmp_path / "ranges.json")
    assert found.keys() == expected.keys()
    assert len(found) > 20
    collect_ranges(model, growing(kind), OPERATORS, Calibration(), tmp_path / "minmax.json")
    for name, (smallest, largest) in loaded(tmp_path / "minmax.json").items():
        if smallest == largest:  # ONNX Runtime cuts constants off, at a random place
            assert abs(found[name][1]) == abs(largest), name
        elif name in short:
            assert found[name][1] >= expected[name][1], name
        else:
            assert found[name] == pytest.approx(expected[name], rel=1e-6, abs=0), name


def test_the_methods_find_different_ranges(models: Models, tmp_path: Path) -> None:
    found = []
    for n, (calibration, _) in enumerate(SAME):
        path = tmp_path / f"{n}.json"
        model = models.exported("vit", 17)
        collect_ranges(model, growing("vit"), OPERATORS, calibration, path)
        found.append(tuple(sorted(loaded(path).items())))
    assert len(set(found)) == len(SAME)
