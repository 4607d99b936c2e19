"""An ONNX file that was given: into the store as one file, after it was checked by running."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from quantbench.core.errors import QuantbenchError
from quantbench.protocols import Inputs, Outputs
from quantbench.runtimes.ort import OrtSession, open_session
from quantbench.stages.export import MOST_BYTES, TOLERANCE

_EXPORT_AGAIN = "Export it again with dynamic axes for the batch and, for texts, the length."


def take_onnx(given: Path, sample_inputs: Sequence[Inputs], output: Path) -> None:
    """Check a given file and write it, weights and all, as one file.

    Each row of a batch must have the outputs that it has alone: a batch size or a length that is
    baked in shows there, if the file runs at all.

    Args:
        given: the ONNX file; weights in other files lie beside it.
        sample_inputs: of several shapes.
        output: the file to write; nothing is left there after an error.

    Raises:
        QuantbenchError: the file does not run with these inputs, answers otherwise in a batch, or
            is larger than one file can be.
    """
    # Without optimization: what the file says, not what an optimizer makes of it.
    session = OrtSession(open_session(given, 0, 1), None)
    for inputs in sample_inputs:
        shape = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
        together = _run(session, inputs, shape)
        for row in range(len(next(iter(inputs.values())))):
            alone = _run(session, {name: a[row : row + 1] for name, a in inputs.items()}, shape)
            _compare(together, alone, row, shape)
    session.close()
    model = onnx.load(given)
    if model.ByteSize() > MOST_BYTES:
        raise QuantbenchError(f"the file has {model.ByteSize() / 1e9:.1f} GB; one holds at most 2")
    onnx.save(model, output)


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


def _compare(together: Outputs, alone: Outputs, row: int, shape: str) -> None:
    for name, array in together.items():
        one = alone[name]
        if array.shape[1:] != one.shape[1:] or row >= len(array) or len(one) != 1:
            raise QuantbenchError(
                f"output {name} of the given file has shape {array.shape} for {shape}, and "
                f"{one.shape} for one row of it: a dimension is baked in",
                hint=_EXPORT_AGAIN,
            )
        difference = float(np.abs(array[row] - one[0]).max())
        allowed = TOLERANCE * max(1.0, float(np.abs(one).max()))
        if not difference <= allowed:  # also when it is not a number
            raise QuantbenchError(
                f"output {name} of the given file for a row of {shape} differs by "
                f"{difference:.3g} from the same row alone (allowed: {allowed:.3g})",
                hint=_EXPORT_AGAIN,
            )
