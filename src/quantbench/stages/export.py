"""Export: a transformers model in, one ONNX file out, checked against PyTorch.

The TorchScript exporter with eager attention: the only path that writes every opset from 11 on, up
to 20, its last (`docs/decisions/0030-torchscript-export.md`; what works is in `docs/export.md`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from quantbench.core.errors import QuantbenchError
from quantbench.graph.counts import default_opset
from quantbench.protocols import Inputs, Outputs
from quantbench.runtimes.ort import OrtSession, open_session
from quantbench.runtimes.pytorch import PyTorchSession, load_model

if TYPE_CHECKING:
    import torch

# Sums in another order differ by 1e-6 to 1e-4 of the largest output in float32; a wrong graph
# (a constant that should depend on the input, a lost mask) by a tenth and more.
TOLERANCE = 1e-3
MOST_BYTES = 2**31 - 2**24  # protobuf's limit, with room for the graph itself
_NEWER = "A newer opset has more operators, for more types: try framework_args.opset 17."


@dataclass(frozen=True)
class ExportFacts:
    """What was written, and how far it is from PyTorch.

    `max_abs_difference` over all elements of all outputs of all checked inputs; allowed is
    `tolerance` times the largest absolute output (at least 1) of each input.
    """

    opset: int
    max_abs_difference: float
    num_checked_inputs: int
    tolerance: float = TOLERANCE


def export_onnx(
    model_dir: Path,
    auto_class: str,
    opset: int,
    sample_inputs: Sequence[Inputs],
    output: Path,
) -> ExportFacts:
    """Export a model and compare the file with PyTorch.

    Integer inputs of rank 2 get a dynamic batch and a dynamic length, others a dynamic batch.
    The file computes what the model computes with the library's default attention; for every
    sample that has an `attention_mask`, a copy with padding in its first row is compared too.

    Args:
        model_dir: directory in transformers layout.
        auto_class: the transformers class with the task's head.
        opset: ONNX operator set to write.
        sample_inputs: the first is traced, all are compared; more than one shape, to check that
            the shape is not baked in.
        output: the file to write; nothing is left there after an error.

    Raises:
        QuantbenchError: the exporter failed, wrote another opset, or the results differ.
    """
    if not sample_inputs:
        raise QuantbenchError("an export needs at least one sample input")
    checked = [variant for sample in sample_inputs for variant in (sample, *_padded(sample))]
    original = PyTorchSession(load_model(model_dir, auto_class))
    expected = [original.bind(inputs)() for inputs in checked]
    original.close()
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-") as folder:
        path = Path(folder) / "model.onnx"
        model = load_model(model_dir, auto_class, attention="eager")
        _write(model, sample_inputs[0], list(expected[0]), opset, path)
        del model
        written = default_opset(onnx.load(path, load_external_data=False))
        if written != opset:
            raise QuantbenchError(f"the exporter wrote opset {written} instead of {opset}")
        difference = _compare(path, checked, expected)
        path.replace(output)
    return ExportFacts(opset, difference, len(checked))


def _padded(inputs: Inputs) -> Iterator[Inputs]:
    """The same inputs with the last quarter of the first row masked, if there is a mask."""
    mask = inputs.get("attention_mask")
    if mask is not None and mask.ndim == 2 and mask.shape[1] >= 2:
        padded = mask.copy()
        padded[0, -max(1, mask.shape[1] // 4) :] = 0
        yield {**inputs, "attention_mask": padded}


def _write(
    model: torch.nn.Module, inputs: Inputs, outputs: list[str], opset: int, path: Path
) -> None:
    import torch

    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in model.parameters())
    if num_bytes > MOST_BYTES:
        raise QuantbenchError(f"the model has {num_bytes / 1e9:.1f} GB; one file holds at most 2")
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in inputs.items()}
    with _captured() as said:
        try:
            torch.onnx.export(
                model,
                (),
                str(path),
                kwargs=tensors,
                input_names=list(tensors),
                output_names=outputs,
                dynamic_axes={name: _dynamic(array) for name, array in inputs.items()},
                opset_version=opset,
                dynamo=False,
            )
        except Exception as error:  # The exporter raises whatever the model's code raises.
            raise QuantbenchError(
                f"PyTorch cannot export {type(model).__name__} to opset {opset}: "
                f"{_last_lines(str(error) or said())}",
                hint=_NEWER,
            ) from error


def _dynamic(array: np.ndarray) -> dict[int, str]:
    is_sequence = array.ndim == 2 and np.issubdtype(array.dtype, np.integer)
    return {0: "batch", 1: "length"} if is_sequence else {0: "batch"}


@contextlib.contextmanager
def _captured() -> Iterator[Callable[[], str]]:
    """Hold back what the exporter says: warnings, and a whole graph on stdout when it fails.

    Some of it is printed by compiled code, so the file descriptors themselves are redirected for
    the duration. Yields a function that reads what was said so far.
    """
    with tempfile.TemporaryFile() as said, contextlib.ExitStack() as restore:
        for number, stream in ((1, sys.stdout), (2, sys.stderr)):
            stream.flush()
            kept = os.dup(number)
            restore.callback(os.close, kept)
            restore.callback(os.dup2, kept, number)
            restore.callback(stream.flush)
            os.dup2(said.fileno(), number)
        restore.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")

        def read() -> str:
            return os.pread(said.fileno(), 1_000_000, 0).decode(errors="replace")

        yield read


def _last_lines(text: str, count: int = 3) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-count:])


def _compare(path: Path, checked: Sequence[Inputs], expected: Sequence[Outputs]) -> float:
    # Without optimization: a fault of the exporter is not to be mistaken for one of the optimizer.
    try:
        session = OrtSession(open_session(path, 0, 1), None)
    except QuantbenchError as error:
        # The exporter does not check that each operator takes these types in this version.
        raise QuantbenchError(
            f"the file of opset {default_opset(onnx.load(path))} is not valid: {error.args[0]}",
            hint=_NEWER,
        ) from error
    largest = 0.0
    for inputs, wanted in zip(checked, expected, strict=True):
        found = session.bind(inputs)()
        difference = _difference(found, wanted)
        scale = max(1.0, *(float(np.abs(array).max()) for array in wanted.values()))
        if not difference <= TOLERANCE * scale:  # also when it is not a number
            shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
            raise QuantbenchError(
                f"the exported model differs from PyTorch by {difference:.3g} "
                f"(allowed: {TOLERANCE * scale:.3g}) on inputs {shapes}"
            )
        largest = max(largest, difference)
    session.close()
    return largest


def _difference(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> float:
    if set(found) != set(wanted):
        raise QuantbenchError(
            f"the exported model has outputs {sorted(found)}, not {sorted(wanted)}"
        )
    for name, array in wanted.items():
        if found[name].shape != array.shape:
            raise QuantbenchError(
                f"output {name} of the exported model has shape {found[name].shape}, "
                f"not {array.shape}: a dimension is baked in"
            )
    return float(max(np.abs(found[name] - array).max() for name, array in wanted.items()))
