"""Preparing a float graph: what is done to it before it is calibrated and quantized."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from quantbench.core.errors import QuantbenchError
from quantbench.core.preparation import Preparation
from quantbench.core.results import PreparedFacts
from quantbench.graph.masks import clamp_masks
from quantbench.graph.smooth_quant import SmoothCounts, smooth, smoothed_activations
from quantbench.protocols import Inputs
from quantbench.runtimes.ort import OrtSession, open_session
from quantbench.stages.export import with_padding
from quantbench.stages.fuse import fuse_graph
from quantbench.stages.maxima import channel_maxima

# What other orders of sums make of float32, as a part of the largest output.
TOLERANCE = 1e-4


def optimize_model(
    exported: Path,
    preparation: Preparation,
    checked: Sequence[Inputs],
    output: Path,
    model_config: Mapping[str, Any],
    samples: Iterable[Inputs] = (),
    on_sample: Callable[[int], None] = lambda _: None,
) -> PreparedFacts:
    """Prepare an exported file, and check that it computes what it did.

    Args:
        exported: ONNX file; it is not touched.
        preparation: what to do.
        checked: inputs to compare outputs on, with a copy of each that has padding.
        output: the file to write; nothing is left there after an error.
        model_config: the model's `config.json`, for fusion.
        samples: inputs that maxima of activations are taken over, for SmoothQuant alone.
        on_sample: called with the number of samples done.

    Raises:
        QuantbenchError: it cannot be prepared like that, or the outputs are not the same.
    """
    model, num_masks = onnx.load(exported), 0
    fused: dict[str, int] = {}
    if preparation.fuse:
        model, fused = fuse_graph(model, model_config)
    if preparation.clamp_mask:
        model, num_masks = clamp_masks(model)
    counts = SmoothCounts(0, 0)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".optimize-") as folder:
        if preparation.smoothing is not None:
            tensors = smoothed_activations(model)
            if not tensors:
                raise QuantbenchError(
                    "smooth_quant_alpha: the model has no activations that are multiplied with "
                    "stored float32 weights",
                    hint="Leave smooth_quant_alpha out.",
                )
            scratch = Path(folder) / "watched.onnx"
            maxima = channel_maxima(model, tensors, samples, scratch, on_sample)
            model, counts = smooth(model, maxima, preparation.smoothing.alpha)
        written = Path(folder) / "model.onnx"
        onnx.save(model, written)
        del model
        try:
            difference = _largest_difference(exported, written, checked)
        except QuantbenchError as error:
            raise QuantbenchError(
                f"the graph cannot be prepared ({preparation.name}): {error.args[0]}",
                hint=_without(preparation),
            ) from error
        written.replace(output)
    return PreparedFacts(
        num_masks=num_masks,
        num_folded=counts.num_folded,
        num_multiplied=counts.num_multiplied,
        fused=fused,
        largest_difference=difference,
    )


def _without(preparation: Preparation) -> str:
    """How to do without what was done."""
    done = {
        "framework_args.optimize_before_quantization to false": preparation.fuse,
        "clamp_mask to false": preparation.clamp_mask,
        "smooth_quant_alpha to null": preparation.smoothing is not None,
    }
    return f"Set {' or '.join(name for name, was_done in done.items() if was_done)}."


def _largest_difference(exported: Path, prepared: Path, checked: Sequence[Inputs]) -> float:
    """The largest difference of an output, as a part of its largest value (at least 1).

    Raises:
        QuantbenchError: it is above `TOLERANCE`, or an output is not finite.
    """
    # Without optimization: what the files say, not what an optimizer makes of them.
    one, other = (OrtSession(open_session(path, 0, 1), None) for path in (exported, prepared))
    largest = 0.0
    for sample in checked:
        for inputs in (sample, *with_padding(sample)):
            wanted, found = one.bind(inputs)(), other.bind(inputs)()
            for name, array in wanted.items():
                scale = max(1.0, float(np.abs(array).max()))
                difference = float(np.abs(found[name] - array).max()) / scale
                if not difference <= TOLERANCE:  # also when it is not a number
                    raise QuantbenchError(
                        f"the prepared model differs from the exported one in {name} by "
                        f"{difference:.3g} of its largest value (allowed: {TOLERANCE:g})"
                    )
                largest = max(largest, difference)
    one.close()
    other.close()
    return largest
