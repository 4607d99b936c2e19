"""Samples and tensors that calibration refuses by name, or has a valid range for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from graph.onnx_builder import Graph
from quantbench.core.calibration import METHOD_DEFAULTS, Calibration, CalibrationMethod
from quantbench.core.errors import QuantbenchError
from quantbench.core.quantization import Static
from quantbench.stages.calibrate import collect_ranges
from quantbench.stages.check import check_file
from quantbench.stages.quantize import quantize_model

METHODS = list(METHOD_DEFAULTS)


def sample(value: float, rows: int = 3) -> dict[str, np.ndarray]:
    return {
        "x": np.full((rows, 4), value, dtype=np.float32),
        "ids": np.zeros(rows, dtype=np.int64),
    }


def write(graph: Graph, output: str, path: Path) -> Path:
    ids = graph.add("Cast", "ids", to=onnx.TensorProto.FLOAT)
    column = graph.add("Unsqueeze", ids, graph.constant([1], "int64"))
    both = graph.add("Add", output, column, name="both")
    model = graph.model(both)
    model.ir_version = 8
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 2.5, -1.0])
def test_constant_tensors_give_a_file_that_runs(
    tmp_path: Path, method: CalibrationMethod, value: float
) -> None:
    graph = Graph()
    product = graph.add("MatMul", "x", graph.weight(4, 4), name="product")
    model = write(graph, product, tmp_path / "model.onnx")
    calibration, ranges = Calibration(method=method), tmp_path / "ranges.json"
    given = [sample(value, rows) for rows in (1, 4, 2)]
    collect_ranges(model, given, ["MatMul"], calibration, ranges)
    scheme = Static(operators=("MatMul",), calibration=calibration)
    quantized = tmp_path / "quantized.onnx"
    quantize_model(model, scheme, ranges, quantized)
    check_file(quantized, [0, 99], given[0], 1)
    types = [node.op_type for node in onnx.load(quantized).graph.node]
    assert "QuantizeLinear" in types
    scales = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(quantized).graph.initializer
        if tensor.name.endswith("_scale")
    }
    assert all(np.isfinite(scale).all() and (scale > 0).all() for scale in scales.values())


@pytest.mark.parametrize("method", METHODS)
def test_not_a_number_is_refused_with_the_tensor_and_the_node_that_made_it(
    tmp_path: Path, method: CalibrationMethod
) -> None:
    graph = Graph()
    root = graph.add("Sqrt", "x", name="root")
    product = graph.add("MatMul", root, graph.weight(4, 4), name="product")
    model = write(graph, product, tmp_path / "model.onnx")
    given = [sample(1.0), sample(-1.0)]
    message = rf"^({root}|{product}) is not finite .* calibration input 1 .*Sqrt root"
    with pytest.raises(QuantbenchError, match=message):
        collect_ranges(
            model, given, ["MatMul"], Calibration(method=method), tmp_path / "ranges.json"
        )
    assert not (tmp_path / "ranges.json").exists()


@pytest.mark.parametrize("method", METHODS)
def test_a_sample_that_is_not_a_number_is_named_as_the_cause(
    tmp_path: Path, method: CalibrationMethod
) -> None:
    graph = Graph()
    product = graph.add("MatMul", "x", graph.weight(4, 4), name="product")
    model = write(graph, product, tmp_path / "model.onnx")
    with pytest.raises(QuantbenchError, match="the sample itself is not finite"):
        collect_ranges(
            model, [sample(np.nan)], ["MatMul"], Calibration(method=method), tmp_path / "r.json"
        )


def test_one_value_that_is_not_a_number_is_enough(tmp_path: Path) -> None:
    graph = Graph()
    product = graph.add("MatMul", "x", graph.weight(4, 4), name="product")
    model = write(graph, product, tmp_path / "model.onnx")
    broken = sample(1.0)
    broken["x"][1, 2] = np.nan
    for method in METHODS:
        with pytest.raises(QuantbenchError, match="is not finite"):
            collect_ranges(
                model, [broken], ["MatMul"], Calibration(method=method), tmp_path / "r.json"
            )
