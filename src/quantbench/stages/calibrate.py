"""Calibration: samples in, the range of every activation that may be quantized out.

The file is ONNX Runtime's own calibration cache, which `quantize_static` reads. Ranges are per
tensor and independent of each other, so ranges for a set of operators serve every row whose
operators are among them.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from quantbench.core.errors import QuantbenchError
from quantbench.protocols import Inputs
from quantbench.runtimes.inputs import check_names

if TYPE_CHECKING:
    from onnxruntime.quantization.calibrate import TensorsData


@dataclass(frozen=True)
class RangesFacts:
    """How many model inputs were run, and for how many tensors a range was found."""

    num_samples: int
    num_tensors: int


def collect_ranges(
    model: Path,
    samples: Iterable[Inputs],
    operators: Sequence[str],
    method: str,
    output: Path,
    on_sample: Callable[[int], None] | None = None,
) -> RangesFacts:
    """Find the smallest and largest value of the inputs and outputs of the named operators.

    The samples are run one at a time, so shapes may vary and memory does not grow with their
    number; they are read once.

    Args:
        model: the exported ONNX file; it is not touched.
        samples: inputs of the graph, batch size 1 or more.
        operators: operator types; the union over all rows that use the ranges.
        method: "minmax".
        output: the file to write (JSON).
        on_sample: called with the number of samples done.

    Raises:
        QuantbenchError: no sample, unknown method, nothing to calibrate, wrong inputs, or a
            range that is not a number.
    """
    from onnxruntime.quantization.calibrate import MinMaxCalibrater, save_tensors_data

    if method != "minmax":
        raise QuantbenchError(f"unknown calibration method {method!r}; allowed: minmax")
    with tempfile.TemporaryDirectory(prefix="quantbench-calibrate-") as folder:
        # Shape inference writes beside its input, hence a copy of our own.
        path = Path(folder) / "model.onnx"
        shutil.copyfile(model, path)
        calibrator = MinMaxCalibrater(
            path, list(operators), augmented_model_path=str(Path(folder) / "augmented.onnx")
        )
        calibrator.augment_graph()
        calibrator.create_inference_session()
        declared = [value.name for value in calibrator.infer_session.get_inputs()]
        count = 0
        for inputs in samples:
            check_names(inputs, declared, declared)
            with warnings.catch_warnings():
                # What is not a number is refused below, by name.
                warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
                # Folds the new range into the one so far, and keeps nothing else.
                calibrator.collect_data(_OneSample(inputs))
            count += 1
            if on_sample is not None:
                on_sample(count)
        if count == 0:
            raise QuantbenchError(
                "there are no samples to calibrate on",
                hint="Check dataset.calibration_split and calibration.num_calibration_samples.",
            )
        ranges = calibrator.compute_data()
        if not ranges.data:
            raise QuantbenchError(
                f"the model has no activations of {', '.join(operators)} to calibrate"
            )
        _check_finite(ranges)
        save_tensors_data(ranges, output)
    return RangesFacts(num_samples=count, num_tensors=len(ranges.data))


class _OneSample:
    """ONNX Runtime's reader protocol over a single sample."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs: Inputs | None = inputs

    def get_next(self) -> dict[str, np.ndarray] | None:
        inputs, self._inputs = self._inputs, None
        return None if inputs is None else dict(inputs)


def _check_finite(ranges: TensorsData) -> None:
    broken = [
        name
        for name, data in ranges.items()
        if not all(np.isfinite(bound).all() for bound in data.range_value)
    ]
    if broken:
        raise QuantbenchError(
            f"the range of {len(broken)} activations is not finite, first {broken[0]}",
            hint="An attention mask of minus infinity does that; exclude softmax.",
        )
