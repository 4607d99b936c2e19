"""The model of a calibration: the exported one, with the tensors in question as outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quantbench.protocols import Inputs

_SMALLEST, _LARGEST = "_ReduceMin", "_ReduceMax"


def write_with_outputs(
    model: Path, operators: Sequence[str], needs_all_values: bool, output: Path
) -> tuple[str, ...]:
    """Add the inputs and outputs of the named operators to a model's outputs.

    Where the smallest and largest value are enough, those are computed in the graph.

    Args:
        model: an ONNX file that nothing else uses: shape inference writes beside it.
        operators: operator types.
        needs_all_values: the tensors themselves, or their extremes.
        output: the file to write.

    Returns:
        The names of the tensors.
    """
    from onnxruntime.quantization.calibrate import HistogramCalibrater, MinMaxCalibrater

    make = HistogramCalibrater if needs_all_values else MinMaxCalibrater
    calibrator = make(model, list(operators), augmented_model_path=str(output))
    tensors, _ = calibrator.select_tensors_to_calibrate(calibrator.model)
    calibrator.augment_graph()
    return tuple(sorted(tensors))


def fetched(tensor: str, needs_all_values: bool) -> tuple[str, ...]:
    """The outputs that hold a tensor, or its smallest and largest value."""
    return (tensor,) if needs_all_values else (tensor + _SMALLEST, tensor + _LARGEST)


def open_calibration(path: Path) -> Any:
    """A session that computes what the file says, and keeps no memory from run to run.

    ONNX Runtime remembers an allocation pattern per input shape, and an arena never shrinks:
    with samples of many lengths both grow.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def first_broken_node(
    model: Path, inputs: Inputs, folder: Path, is_whole: Callable[[Any], Any] = np.isfinite
) -> str | None:
    """The first node in the order of the graph with an output that is not finite.

    Args:
        model: ONNX file.
        inputs: those that make a tensor not finite.
        folder: for the file that is run.
        is_whole: what is asked of each value, where infinite ones are no fault (a mask's).

    Returns:
        For example `Log /encoder/Log`; None if no node has such an output.
    """
    import onnx

    loaded = onnx.load(model)
    there = {value.name for value in loaded.graph.output}
    made = [(name, node) for node in loaded.graph.node for name in node.output if name]
    loaded.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name, _ in made if name not in there
    )
    path = folder / "all-outputs.onnx"
    onnx.save(loaded, path)
    names = [name for name, _ in made]
    for (_, node), value in zip(made, open_calibration(path).run(names, dict(inputs)), strict=True):
        if np.issubdtype(value.dtype, np.floating) and not is_whole(value).all():
            return f"{node.op_type} {node.name or node.output[0]}"
    return None
