"""Calibration: samples in, the range of every activation that may be quantized out.

The file is ONNX Runtime's own calibration cache, which `quantize_static` reads. Ranges are per
tensor and independent of each other, so ranges for a set of operators serve every row whose
operators are among them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantbench.core.calibration import Calibration
from quantbench.core.errors import QuantbenchError
from quantbench.protocols import Inputs
from quantbench.runtimes.inputs import check_names
from quantbench.stages.calibrate_graph import (
    fetched,
    first_broken_node,
    open_calibration,
    write_with_outputs,
)
from quantbench.stages.ranges.extremes import Range
from quantbench.stages.ranges.methods import range_method

# The name of the method in ONNX Runtime's file; its moving average is an option of MinMax.
_ORT_METHODS = {
    "minmax": "MinMax",
    "moving_average": "MinMax",
    "entropy": "Entropy",
    "percentile": "Percentile",
}


@dataclass(frozen=True)
class RangesFacts:
    """How many model inputs were run, and for how many tensors a range was found."""

    num_samples: int
    num_tensors: int


def ort_method(calibration: Calibration) -> Any:
    """ONNX Runtime's `CalibrationMethod` of the file, which `quantize_static` asks for again."""
    from onnxruntime.quantization import CalibrationMethod

    return CalibrationMethod[_ORT_METHODS[calibration.method]]


def collect_ranges(
    model: Path,
    samples: Iterable[Inputs],
    operators: Sequence[str],
    calibration: Calibration,
    output: Path,
    on_sample: Callable[[int], None] | None = None,
) -> RangesFacts:
    """Find the range of the inputs and outputs of the named operators.

    The samples are run one at a time and read once, so shapes may vary. What is kept of them is
    one small state per tensor: memory does not grow with their number. Ranges equal those of ONNX
    Runtime's calibrators if `collect_data` is called once per sample.

    Args:
        model: the float ONNX file; it is not touched.
        samples: inputs of the graph, batch size 1 or more.
        operators: operator types; the union over all rows that use the ranges.
        calibration: the method and its parameters; the number of samples is that of `samples`.
        output: the file to write (JSON).
        on_sample: called with the number of samples done. All methods need one pass.

    Raises:
        QuantbenchError: no sample, nothing to calibrate, wrong inputs, parameters that do not go
            together, or a tensor with a value that is not finite.
    """
    method = range_method(calibration)
    with tempfile.TemporaryDirectory(prefix="quantbench-calibrate-") as name:
        # Shape inference writes beside its input, hence a copy of our own.
        copy, augmented = Path(name) / "model.onnx", Path(name) / "augmented.onnx"
        shutil.copyfile(model, copy)
        tensors = write_with_outputs(copy, operators, method.needs_all_values, augmented)
        if not tensors:
            raise QuantbenchError(
                f"the model has no activations of {', '.join(operators)} to calibrate"
            )
        session = open_calibration(augmented)
        declared = [value.name for value in session.get_inputs()]
        states: dict[str, Any] = dict.fromkeys(tensors)
        computed = [value.name for value in session.get_outputs()]
        count = 0
        for inputs in samples:
            check_names(inputs, declared, declared)
            _check_not_empty(inputs, count)
            values = dict(zip(computed, session.run(None, dict(inputs)), strict=True))
            for tensor in tensors:
                parts = [values.pop(part) for part in fetched(tensor, method.needs_all_values)]
                if not all(_is_finite(part) and part.size for part in parts):
                    raise _unusable(tensor, count, copy, inputs)
                array = parts[0] if len(parts) == 1 else np.concatenate(parts)
                states[tensor] = method.fold(states[tensor], array)
            # Extremes computed in the graph may hide what is not a number; the model's own outputs
            # are there as well.
            for name, array in values.items():
                if not _is_finite(array):
                    raise _unusable(name, count, copy, inputs)
            count += 1
            if on_sample is not None:
                on_sample(count)
    if count == 0:
        raise QuantbenchError(
            "there are no samples to calibrate on",
            hint="Check dataset.calibration_split and calibration.num_calibration_samples.",
        )
    _save({name: method.found(state) for name, state in states.items()}, calibration, output)
    return RangesFacts(num_samples=count, num_tensors=len(states))


def _is_finite(array: np.ndarray) -> bool:
    return not np.issubdtype(array.dtype, np.floating) or bool(np.isfinite(array).all())


def _check_not_empty(inputs: Inputs, number: int) -> None:
    empty = [f"{name} has shape {array.shape}" for name, array in inputs.items() if not array.size]
    if empty:
        raise QuantbenchError(
            f"calibration input {number} (the first is 0) is empty: {', '.join(empty)}",
            hint="A sample needs a batch size and a length of at least 1.",
        )


def _unusable(tensor: str, number: int, model: Path, inputs: Inputs) -> QuantbenchError:
    """Why a tensor has no range: it has values that are not finite, or none at all."""
    if not all(_is_finite(array) for array in inputs.values()):
        where = "the sample itself is not finite"
    else:
        node = first_broken_node(model, inputs, model.parent)
        if node is None:  # the extremes of nothing are infinite
            return QuantbenchError(
                f"{tensor} has no values, so no range, in calibration input {number} (the first "
                "is 0): one of its dimensions is 0, as behind a weight of width 0",
                hint="Take the node out of the model, or dynamic quantization, which needs none.",
            )
        where = f"the first node that makes such a value is {node}"
    return QuantbenchError(
        f"{tensor} is not finite (infinite, or not a number) in calibration input {number} "
        f"(the first is 0): {where}",
        hint="An attention mask of minus infinity does that (clamp_mask: true); so do broken "
        "weights and samples.",
    )


def _save(ranges: Mapping[str, Range], calibration: Calibration, output: Path) -> None:
    from onnxruntime.quantization.calibrate import TensorData, TensorsData, save_tensors_data

    data = {
        name: TensorData(lowest=_storable(found.lowest), highest=_storable(found.highest))
        for name, found in ranges.items()
    }
    save_tensors_data(TensorsData(ort_method(calibration), data), output)


def _storable(bound: Any) -> np.ndarray:
    """A bound as the file takes it: float16 or float32, as the tensor, without a shape."""
    array = np.asarray(bound)
    return array.astype(np.float32) if array.dtype == np.float64 else array
