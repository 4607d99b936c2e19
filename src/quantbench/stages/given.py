"""An ONNX file that was given: into the store as one file, after it was checked by running."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from quantbench.core.errors import QuantbenchError
from quantbench.core.exporters import EXPORT_TOLERANCE
from quantbench.data.onnx_parts import load_whole
from quantbench.graph.opset_needs import in_words, lowest_opset, unmet_needs
from quantbench.protocols import Array, Inputs, Outputs
from quantbench.runtimes.ort import OrtSession, open_session

_EXPORT_AGAIN = "Export it again with dynamic axes for the batch and, for texts, the length."


def take_onnx(
    given: Path,
    sample_inputs: Sequence[Inputs],
    output: Path,
    output_names: Sequence[str] | None = None,
) -> None:
    """Write a given file, weights and all, as one file, and check that by running it.

    Each row of a batch must have the outputs that it has alone: a batch size or a length that is
    baked in shows there, if the file runs at all.

    Args:
        given: the ONNX file; weights in other files lie beside it.
        sample_inputs: of several shapes.
        output: the file to write; nothing is left there after an error.
        output_names: the outputs that are read, which are compared; None for all that have rows.

    Raises:
        UsageError: the file, or what belongs to it, cannot be read.
        QuantbenchError: the file does not run with these inputs, or answers otherwise in a batch.
    """
    onnx.save(load_whole(given), output)
    try:
        _check(output, sample_inputs, output_names)
    except BaseException:
        output.unlink()
        raise


def _check(path: Path, sample_inputs: Sequence[Inputs], output_names: Sequence[str] | None) -> None:
    try:
        # Without optimization: what the file says, not what an optimizer makes of it.
        session = OrtSession(open_session(path, 0, 1), None)
    except QuantbenchError as error:
        # Its hint is for files that were quantized here.
        needs = unmet_needs(onnx.load(path))
        reason, lowest = in_words(needs) or error.args[0], lowest_opset(needs)
        raise QuantbenchError(
            f"the given file does not load: {reason}",
            hint=f"Export it again with opset {lowest} or newer." if lowest else None,
        ) from error
    for inputs in sample_inputs:
        shape = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
        together = _run(session, inputs, shape)
        names = [name for name in together if output_names is None or name in output_names]
        for row in range(len(next(iter(inputs.values())))):
            alone = _run(session, {name: a[row : row + 1] for name, a in inputs.items()}, shape)
            for name in names:
                if together[name].ndim or output_names is not None:
                    _compare(name, together[name], alone[name], row, shape)
    session.close()


def _run(session: OrtSession, inputs: Inputs, shape: str) -> Outputs:
    try:
        return session.bind(inputs)()
    except QuantbenchError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions share no other base class.
        line = " ".join(str(error).split())
        raise QuantbenchError(
            f"the given file does not run with {shape}: {line:.300}", hint=_EXPORT_AGAIN
        ) from error


def _compare(name: str, array: Array, one: Array, row: int, shape: str) -> None:
    if array.shape[1:] != one.shape[1:] or not (one.shape[:1] == (1,) and row < len(array)):
        raise QuantbenchError(
            f"output {name} of the given file has shape {array.shape} for {shape}, and "
            f"{one.shape} for one row of it: a dimension is baked in",
            hint=_EXPORT_AGAIN,
        )
    difference = float(np.abs(array[row] - one[0]).max())
    allowed = EXPORT_TOLERANCE * max(1.0, float(np.abs(one).max()))
    if not difference <= allowed:  # also when it is not a number
        raise QuantbenchError(
            f"output {name} of the given file for a row of {shape} differs by "
            f"{difference:.3g} from the same row alone (allowed: {allowed:.3g})",
            hint=_EXPORT_AGAIN,
        )
