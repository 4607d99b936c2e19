"""ONNX Runtime on the CPU: opens one ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from quantbench.core.errors import QuantbenchError
from quantbench.core.timing_defaults import OPTIMIZATION_LEVELS
from quantbench.protocols import Array, Forward, Inputs, Outputs, SessionOptions
from quantbench.runtimes.inputs import check_names

if TYPE_CHECKING:
    import onnxruntime

PROVIDERS = ["CPUExecutionProvider"]
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
}
_TASKS = Path("/proc/self/task")


class OnnxRuntime:
    """The runtime; see `quantbench.protocols.Runtime`."""

    name = "onnxruntime"

    def open(self, path: Path, options: SessionOptions) -> OrtSession:
        """Open an ONNX file on the CPU with `options.optimization_level` (99 when None).

        Raises:
            QuantbenchError: ONNX Runtime cannot load the file; the message is its own.
        """
        import onnxruntime  # noqa: F401 - starts a thread of its own, which is not to be counted

        level = 99 if options.optimization_level is None else options.optimization_level
        before = _threads()
        session = open_session(path, level, options.num_threads)
        after = _threads()
        # By id, as threads of a session that was closed may end meanwhile. The pool has one
        # thread less than asked for: the thread that calls run() works too.
        started = None if before is None or after is None else len(after - before) + 1
        return OrtSession(session, started)


class OrtSession:
    """An open ONNX file; see `quantbench.protocols.Session`."""

    def __init__(
        self, session: onnxruntime.InferenceSession, num_started_threads: int | None
    ) -> None:
        self._session: onnxruntime.InferenceSession | None = session
        self._num_started_threads = num_started_threads

    def bind(self, inputs: Inputs) -> Forward:
        """Fix the inputs; each call of the result is one `run` that returns every output by name.

        Arrays are copied and brought to the dtype of the graph's inputs here, once; a change of
        kind (integers for floats) is refused, and so are unknown and missing inputs.

        Raises:
            QuantbenchError: the inputs are not those of the graph.
        """
        session = self._opened()
        declared = {value.name: value.type for value in session.get_inputs()}
        check_names(inputs, declared, declared)
        feed = {name: _as_declared(name, inputs[name], declared[name]) for name in declared}
        names = [value.name for value in session.get_outputs()]

        def forward() -> Outputs:
            return dict(zip(names, session.run(names, feed), strict=True))

        return forward

    def verified_num_threads(self) -> int:
        """Threads that compute: those the process gained when the session was made, plus one.

        Where /proc is missing (macOS), the session's own setting is returned instead.
        """
        if self._num_started_threads is not None:
            return self._num_started_threads
        return int(self._opened().get_session_options().intra_op_num_threads)

    def close(self) -> None:
        """Free the model and its threads. Forwards that were bound before keep it alive."""
        self._session = None

    def _opened(self) -> onnxruntime.InferenceSession:
        if self._session is None:
            raise QuantbenchError("the session is closed")
        return self._session


def open_session(
    path: Path,
    level: int,
    num_threads: int,
    *,
    optimized: Path | None = None,
    profile: Path | None = None,
) -> onnxruntime.InferenceSession:
    """An `onnxruntime.InferenceSession` on the CPU alone, one operator after the other, silent.

    Args:
        path: an ONNX file.
        level: graph optimization, one of `OPTIMIZATION_LEVELS`.
        num_threads: threads inside one operator, at least 1.
        optimized: where to write the graph that the session really runs.
        profile: the start of the name of a profile, which `end_profiling` writes. The threads of
            such a session sleep between forwards, so that another one may run beside it.

    Raises:
        QuantbenchError: the level or thread count is not allowed, or the file does not load.
    """
    import onnxruntime

    if level not in OPTIMIZATION_LEVELS:
        raise QuantbenchError(f"optimization level {level} is none of {OPTIMIZATION_LEVELS}")
    if num_threads < 1:
        raise QuantbenchError(f"num_threads must be at least 1, not {num_threads}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel(level)
    # Failures arrive as exceptions; the log would say them twice.
    options.log_severity_level = 4
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
        options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=PROVIDERS)
    except Exception as error:  # ONNX Runtime's exceptions share no other base class.
        raise QuantbenchError(
            f"ONNX Runtime {onnxruntime.__version__} cannot load {path.name}: {error}",
            hint=_load_hint(str(error)),
        ) from error


def _load_hint(message: str) -> str | None:
    if "NOT_IMPLEMENTED" in message:
        return "It has no kernel for that operator: leave its type out of operators_to_quantize."
    if "DequantizeLinear" in message or "QuantizeLinear" in message:
        return "Per-channel scales need opset 13 or newer: raise framework_args.opset."
    return None


def _as_declared(name: str, array: Array, declared: str) -> Array:
    dtype = np.dtype(_DTYPES.get(declared, array.dtype))
    if not np.can_cast(array.dtype, dtype, casting="same_kind"):
        raise QuantbenchError(f"input {name} must be {declared}, not {array.dtype}")
    return np.array(array, dtype=dtype, order="C")


def _threads() -> set[str] | None:
    """The ids of this process's threads; None where /proc is missing."""
    return {path.name for path in _TASKS.iterdir()} if _TASKS.is_dir() else None


RUNTIME = OnnxRuntime()
