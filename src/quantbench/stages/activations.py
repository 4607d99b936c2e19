"""Comparing what two models compute, tensor by tensor, one sample at a time.

Both graphs run without optimization, so that every tensor of the file exists, with all of them as
outputs. Quantize/dequantize pairs are computed there as the specification has it, in floats; the
fused integer kernels of a deployed file may round differently, which `compare_outputs` shows.

The ratio that is derived from the sums is the signal-to-quantization-noise ratio,
10 log10(sum x² / sum (x - y)²), as in onnxruntime.quantization.qdq_loss_debug, which keeps all
tensors of all samples; here only sums are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

from quantbench.core.errors import QuantbenchError
from quantbench.core.explanation import Compared
from quantbench.protocols import Array, Inputs
from quantbench.runtimes.inputs import check_names
from quantbench.runtimes.ort import open_session

if TYPE_CHECKING:
    import onnxruntime

# The names that ONNX Runtime's quantizers give.
_DEQUANTIZED = "_DequantizeLinear_Output"
_BEFORE = "_QuantizeLinear_Input"
_QUANTIZED = "_quantized"
# Of more values quantiles take longer than the model.
_QUANTILE_VALUES = 1 << 16
# What these make is no activation.
_NOT_COMPARED = frozenset({"Constant", "ConstantOfShape", "Shape", "QuantizeLinear"})


@dataclass
class Sums:
    """Sums over samples of one tensor of the float model (x) and the quantized one (y)."""

    signal: float = 0.0
    noise: float = 0.0
    num_values: int = 0
    num_nonfinite: int = 0

    def add(self, x: Array, y: Array) -> None:
        """Add the values of one sample; both of the same shape.

        Raises:
            QuantbenchError: the shapes differ.
        """
        if x.shape != y.shape:
            raise QuantbenchError(f"shapes differ: {x.shape} in floats, {y.shape} quantized")
        signal, noise = _signal_and_noise(x, y)
        num_finite = x.size
        if not np.isfinite(signal + noise):  # looked for only then: it takes as long as the rest
            finite = np.isfinite(x) & np.isfinite(y)
            num_finite = int(finite.sum())
            signal, noise = _signal_and_noise(x[finite], y[finite])
        self.signal += signal
        self.noise += noise
        self.num_values += num_finite
        self.num_nonfinite += x.size - num_finite

    def compared(self) -> Compared:
        """What was summed up, frozen."""
        return Compared(
            signal=self.signal,
            noise=self.noise,
            num_values=self.num_values,
            num_nonfinite=self.num_nonfinite,
        )


def _signal_and_noise(x: Array, y: Array) -> tuple[float, float]:
    """Sums of x² and (x - y)², in float64."""
    x, y = np.atleast_1d(x), np.atleast_1d(y)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.subtract(x, y, dtype=np.float64)
        return float(np.square(x, dtype=np.float64).sum()), float(np.square(error, out=error).sum())


@dataclass
class Tensor:
    """What is kept of one activation over all samples: sums, never values."""

    error: Sums = field(default_factory=Sums)
    rounding: Sums | None = None
    scale: float | None = None
    range_abs: float | None = None
    max_abs: float = 0.0
    p999: list[float] = field(default_factory=list[float])
    median: list[float] = field(default_factory=list[float])

    def add_range(self, x: Array) -> None:
        """Take up the range of one sample's values, those that are finite.

        Quantiles are those of evenly spaced values, as many as `_QUANTILE_VALUES`.
        """
        magnitudes = np.abs(x)
        if magnitudes.size and not np.isfinite(magnitudes.max()):
            magnitudes = magnitudes[np.isfinite(magnitudes)]
        if magnitudes.size:
            self.max_abs = max(self.max_abs, float(magnitudes.max()))
            some = magnitudes.reshape(-1)[:: -(-magnitudes.size // _QUANTILE_VALUES)]
            median, high = np.quantile(some.astype(np.float64), (0.5, 0.999))
            self.median.append(float(median))
            self.p999.append(float(high))


@dataclass(frozen=True)
class Activations:
    """The tensors that both models compute, by name, of all that the float model has."""

    tensors: Mapping[str, Tensor]
    float_names: frozenset[str]
    num_samples: int


def compare_activations(
    float_model: onnx.ModelProto,
    quantized: onnx.ModelProto,
    samples: Iterable[Inputs],
    num_threads: int,
    folder: Path,
    on_sample: Callable[[int], None] = lambda _: None,
) -> Activations:
    """Run both models without optimization and compare every float activation.

    The quantized tensor is the one that later nodes read: dequantized, where it is quantized.

    Args:
        float_model: the graph before quantization.
        quantized: the same after it; names of tensors were kept.
        samples: inputs of the graphs, one at a time; they are read once.
        num_threads: of each session.
        folder: an empty one, for two files of the models' sizes.
        on_sample: called with the number of samples done.

    Raises:
        QuantbenchError: there is no sample, or a model does not run.
    """
    exact = _with_all_outputs(float_model, num_threads, folder / "float.onnx")
    rounded = _with_all_outputs(quantized, num_threads, folder / "quantized.onnx")
    steps = _Steps.of(quantized)
    theirs = _float_outputs(rounded) | _integer_outputs(rounded)
    ours = [name for name in _names(float_model) if name in _float_outputs(exact)]
    read = {name: _as_read(name, theirs, steps) for name in ours}
    found = {name: other for name, other in read.items() if other is not None}
    tensors = {
        name: Tensor(scale=steps.scale(name), range_abs=steps.range_abs(name)) for name in found
    }
    before = {name: _before(name, found[name], theirs) for name in found}
    fetched = sorted({*found.values(), *(name for name in before.values() if name)})
    count = 0
    for inputs in samples:
        count += 1
        values = _run(exact, list(found), inputs)
        others = _run(rounded, fetched, inputs)
        for name, other in found.items():
            tensor, seen = tensors[name], steps.dequantized(other, others[other])
            tensor.add_range(values[name])
            tensor.error.add(values[name], seen)
            earlier = before[name]
            if earlier is not None:
                tensor.rounding = tensor.rounding or Sums()
                tensor.rounding.add(others[earlier], seen)
        on_sample(count)
    if not count:
        raise QuantbenchError("there are no samples to compare the models on")
    return Activations(tensors, frozenset(ours), count)


def compare_outputs(
    float_file: Path, quantized_file: Path, samples: Iterable[Inputs], level: int, num_threads: int
) -> dict[str, Tensor]:
    """The outputs of both files as they are deployed, at the row's optimization level.

    Args:
        float_file: the model before quantization.
        quantized_file: after it.
        samples: inputs, one at a time.
        level: graph optimization of both sessions, one of `OPTIMIZATION_LEVELS`.
        num_threads: of each session.
    """
    exact = open_session(float_file, level, num_threads)
    rounded = open_session(quantized_file, level, num_threads)
    names = [value.name for value in exact.get_outputs() if value.type == "tensor(float)"]
    tensors = {name: Tensor() for name in names}
    for inputs in samples:
        values, others = _run(exact, names, inputs), _run(rounded, names, inputs)
        for name, tensor in tensors.items():
            tensor.add_range(values[name])
            tensor.error.add(values[name], others[name])
    return tensors


@dataclass(frozen=True)
class _Steps:
    """The scales and zero points of a quantized file, by the name of what they are of."""

    scales: Mapping[str, Array]
    zero_points: Mapping[str, Array]

    @staticmethod
    def of(model: onnx.ModelProto) -> _Steps:
        """Those that are stored; a dynamic scale is found at run time, and is not."""
        scales: dict[str, Array] = {}
        zero_points: dict[str, Array] = {}
        for stored in model.graph.initializer:
            if stored.name.endswith("_scale"):
                scales[stored.name.removesuffix("_scale")] = numpy_helper.to_array(stored)
            elif stored.name.endswith("_zero_point"):
                name = stored.name.removesuffix("_zero_point")
                zero_points[name] = numpy_helper.to_array(stored)
        return _Steps(scales, zero_points)

    def scale(self, name: str) -> float | None:
        """The step of a tensor; the largest one of several."""
        found = self.scales.get(name)
        return None if found is None or not found.size else float(found.max())

    def range_abs(self, name: str) -> float | None:
        """The largest |x| of a quantized tensor: of its smallest and its largest integer."""
        scale, zero = self.scales.get(name), self.zero_points.get(name)
        if scale is None or zero is None or not scale.size:
            return None
        limits = np.iinfo(zero.dtype)
        steps = np.maximum(zero.astype(np.int32) - limits.min, limits.max - zero.astype(np.int32))
        return float((steps * scale).max())

    def dequantized(self, name: str, values: Array) -> Array:
        """The floats that integers of a QOperator graph stand for; floats as they are."""
        if np.issubdtype(values.dtype, np.floating):
            return values
        owner = name.removesuffix(_QUANTIZED)
        zero = self.zero_points[owner].astype(np.int32)
        return np.asarray((values.astype(np.int32) - zero) * self.scales[owner], dtype=np.float32)


def _as_read(name: str, theirs: set[str], steps: _Steps) -> str | None:
    """What stands for a float tensor in the quantized graph: what its readers see."""
    if name + _DEQUANTIZED in theirs:
        return name + _DEQUANTIZED
    if name in theirs:
        return name
    integers = name + _QUANTIZED
    is_whole = integers in theirs and name in steps.scales and name in steps.zero_points
    return integers if is_whole and steps.scales[name].size == 1 else None


def _before(name: str, read: str, theirs: set[str]) -> str | None:
    """The tensor before it was quantized, if it is and both are there."""
    if read == name + _DEQUANTIZED:
        return name if name in theirs else None
    # An output of the graph keeps its name behind the pair.
    return name + _BEFORE if name + _BEFORE in theirs else None


def _names(model: onnx.ModelProto) -> list[str]:
    return [
        name
        for node in model.graph.node
        if node.op_type not in _NOT_COMPARED
        for name in node.output
        if name
    ]


def _with_all_outputs(
    model: onnx.ModelProto, num_threads: int, path: Path
) -> onnxruntime.InferenceSession:
    """A session without optimization in which every tensor can be read."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    declared = {value.name for value in copy.graph.output}
    # Without a type: the runtime finds it.
    copy.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in _all_names(model) if name not in declared
    )
    onnx.save(copy, path)
    return open_session(path, 0, num_threads)


def _all_names(model: onnx.ModelProto) -> Sequence[str]:
    return [
        name
        for node in model.graph.node
        if node.op_type != "Constant"
        for name in node.output
        if name
    ]


def _float_outputs(session: onnxruntime.InferenceSession) -> set[str]:
    return {value.name for value in session.get_outputs() if value.type == "tensor(float)"}


def _integer_outputs(session: onnxruntime.InferenceSession) -> set[str]:
    kinds = ("tensor(int8)", "tensor(uint8)")
    return {value.name for value in session.get_outputs() if value.type in kinds}


def _run(
    session: onnxruntime.InferenceSession, names: list[str], inputs: Inputs
) -> dict[str, Array]:
    declared = [value.name for value in session.get_inputs()]
    check_names(inputs, declared, declared)
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))
