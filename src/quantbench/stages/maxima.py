"""The largest absolute value of each channel of activations, over calibration samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx

from quantbench.core.errors import QuantbenchError
from quantbench.protocols import Inputs
from quantbench.stages.calibrate_graph import open_calibration


def channel_maxima(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    samples: Iterable[Inputs],
    scratch: Path,
    on_sample: Callable[[int], None] = lambda _: None,
) -> dict[str, np.ndarray]:
    """Run samples one at a time, and keep max|X_j| of each tensor along its last axis.

    Args:
        model: float32; it is not changed.
        tensors: names of activations with at least one axis.
        samples: inputs of the graph; their shapes may vary. They are read once.
        scratch: a file for the model that is run.
        on_sample: called with the number of samples done.

    Returns:
        By tensor, float32 of shape (channels,).

    Raises:
        QuantbenchError: there is no sample, or a value is not finite.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    there = {value.name for value in watched.graph.output} | {
        value.name for value in watched.graph.input
    }
    watched.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in tensors if name not in there
    )
    onnx.save(watched, scratch)
    del watched
    session = open_calibration(scratch)
    computed = [value.name for value in session.get_outputs() if value.name in set(tensors)]
    found: dict[str, np.ndarray] = {}
    count = 0
    for inputs in samples:
        # Asked for nothing, a session gives all.
        answers = session.run(computed, dict(inputs)) if computed else []
        values = dict(zip(computed, answers, strict=True))
        for name in tensors:
            array = values[name] if name in values else inputs[name]
            channels = np.abs(array).reshape(-1, array.shape[-1])
            largest = channels.max(axis=0, initial=0.0)
            if not np.isfinite(largest).all():
                raise QuantbenchError(
                    f"{name} is not finite in calibration input {count} (the first is 0)",
                    hint="Leave smooth_quant_alpha out, or mend the model or the samples.",
                )
            found[name] = np.maximum(found.get(name, 0.0), largest)
        count += 1
        on_sample(count)
    if count == 0:
        raise QuantbenchError(
            "there are no samples to take maxima over",
            hint="Check dataset.calibration_split and calibration.num_calibration_samples.",
        )
    return found
