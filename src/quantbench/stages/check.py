"""Checking a written file: it loads, runs, gives finite outputs; and what really ran."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from quantbench.core.errors import QuantbenchError
from quantbench.graph.counts import op_type_counts
from quantbench.protocols import Inputs
from quantbench.runtimes.ort import OrtSession, open_session


def check_file(
    path: Path, levels: Sequence[int], sample_inputs: Inputs, num_threads: int
) -> dict[str, dict[str, int]]:
    """Load a model at each optimization level and run it once.

    Args:
        path: ONNX file.
        levels: ONNX Runtime's graph optimization levels (0, 1, 2, 99).
        sample_inputs: one batch of inputs.
        num_threads: threads of the session.

    Returns:
        For each level, as text: the operator types of the graph that the session really ran,
        after its own optimization, with their numbers.

    Raises:
        QuantbenchError: the file does not load or run, or an output is not finite.
    """
    return {str(level): _executed(path, level, sample_inputs, num_threads) for level in levels}


def _executed(path: Path, level: int, inputs: Inputs, num_threads: int) -> dict[str, int]:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".check-") as folder:
        optimized = Path(folder) / "optimized.onnx"
        session = OrtSession(open_session(path, level, num_threads, optimized=optimized), None)
        counts = op_type_counts(onnx.load(optimized, load_external_data=False))
    forward = session.bind(inputs)
    try:
        outputs = forward()
    except Exception as error:  # ONNX Runtime's exceptions share no other base class.
        raise QuantbenchError(
            f"{path.name} loads but does not run at optimization level {level}: {error}"
        ) from error
    session.close()
    broken = [name for name, array in outputs.items() if not np.isfinite(array).all()]
    if broken:
        raise QuantbenchError(
            f"{path.name} gives outputs that are not finite at optimization level {level}: "
            f"{', '.join(broken)}"
        )
    return counts
