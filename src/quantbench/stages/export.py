"""Export: a transformers model in, one ONNX file out, checked against PyTorch.

With eager attention, through one of PyTorch's two exporters: TorchScript writes opset 11 to 20,
dynamo 18 to 25 (`docs/decisions/0030-torchscript-export.md`, `0056-two-exporters.md`; what works is
in `docs/export.md`).
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from quantbench.core.errors import QuantbenchError
from quantbench.core.exporters import (
    EXPORT_TOLERANCE,
    OPSETS,
    Export,
    Exporter,
    default_exporter,
    export_refusal,
)
from quantbench.graph.counts import default_opset
from quantbench.graph.opset_needs import in_words, lowest_opset, unmet_needs
from quantbench.protocols import Inputs, Outputs
from quantbench.runtimes.ort import OrtSession, open_session
from quantbench.runtimes.pytorch import PyTorchSession, load_model
from quantbench.stages.exporters import dynamo, torchscript
from quantbench.stages.exporters.captured import captured

if TYPE_CHECKING:
    import torch

MOST_BYTES = 2**31 - 2**24  # protobuf's limit, with room for the graph itself


@dataclass(frozen=True)
class ExportFacts:
    """What was written, and how far it is from PyTorch.

    `max_abs_difference` over all elements of all outputs of all checked inputs; allowed is
    `tolerance` times the largest absolute output (at least 1) of each input.
    """

    opset: int
    max_abs_difference: float
    num_checked_inputs: int
    tolerance: float = EXPORT_TOLERANCE


def export_onnx(
    model_dir: Path,
    auto_class: str,
    opset: int,
    sample_inputs: Sequence[Inputs],
    output: Path,
    exporter: Exporter | None = None,
) -> ExportFacts:
    """Export a model and compare the file with PyTorch.

    Integer inputs of rank 2 get a dynamic batch and a dynamic length, others a dynamic batch.
    The file computes what the model computes with the library's default attention; for every
    sample that has an `attention_mask`, a copy with padding in its first row is compared too.

    Args:
        model_dir: directory in transformers layout.
        auto_class: the transformers class with the task's head.
        opset: ONNX operator set to write.
        sample_inputs: one is traced, all are compared; more than one shape, to check that the
            shape is not baked in. Dynamo needs one with a batch and a length of at least 2.
        output: the file to write; nothing is left there after an error.
        exporter: which of PyTorch's; that of `default_exporter` when left out.

    Raises:
        QuantbenchError: the exporter does not write this opset, failed, wrote another, or the
            results differ.
    """
    export = Export(opset=opset, exporter=exporter or default_exporter(opset))
    refused = export_refusal(export)
    if refused is not None:
        raise QuantbenchError(refused)
    if not sample_inputs:
        raise QuantbenchError("an export needs at least one sample input")
    checked = [variant for sample in sample_inputs for variant in (sample, *with_padding(sample))]
    original = PyTorchSession(load_model(model_dir, auto_class))
    expected = [original.bind(inputs)() for inputs in checked]
    original.close()
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-") as folder:
        path = Path(folder) / "model.onnx"
        model = load_model(model_dir, auto_class, attention="eager")
        _write(model, _traced(sample_inputs), list(expected[0]), export, path)
        del model
        written = default_opset(onnx.load(path, load_external_data=False))
        if written != opset:
            raise QuantbenchError(f"the exporter wrote opset {written} instead of {opset}")
        difference = _compare(path, checked, expected)
        path.replace(output)
    return ExportFacts(opset, difference, len(checked))


def with_padding(inputs: Inputs) -> Iterator[Inputs]:
    """The same inputs with the last quarter of the first row masked, if there is a mask."""
    mask = inputs.get("attention_mask")
    if mask is not None and mask.ndim == 2 and mask.shape[1] >= 2:
        padded = mask.copy()
        padded[0, -max(1, mask.shape[1] // 4) :] = 0
        yield {**inputs, "attention_mask": padded}


def _write(
    model: torch.nn.Module, inputs: Inputs, outputs: list[str], export: Export, path: Path
) -> None:
    import torch

    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in model.parameters())
    if num_bytes > MOST_BYTES:
        raise QuantbenchError(f"the model has {num_bytes / 1e9:.1f} GB; one file holds at most 2")
    names = _in_order(model, inputs)
    tensors = {name: torch.from_numpy(np.array(inputs[name])) for name in names}
    axes = {name: _varying(inputs[name]) for name in names}
    write = dynamo.write if export.exporter == "dynamo" else torchscript.write
    with captured() as said:
        try:
            write(model, tensors, axes, outputs, export.opset, path)
        except QuantbenchError:
            raise
        except Exception as error:  # The exporter raises whatever the model's code raises.
            raise QuantbenchError(
                f"PyTorch cannot export {type(model).__name__} to {export.name}: "
                f"{_reason(error) or _last_lines(said())}",
                hint=_other_ways(export),
            ) from error


def _in_order(model: torch.nn.Module, inputs: Inputs) -> list[str]:
    """The names of the inputs in the order of the model's parameters.

    The exporters take inputs by name, and then name the graph's by their place in that order: those
    of another order (BERT's tokenizer has token types before the mask) would change names.
    """
    places = {name: place for place, name in enumerate(inspect.signature(model.forward).parameters)}
    return sorted(inputs, key=lambda name: places.get(name, len(places)))


def _traced(samples: Sequence[Inputs]) -> Inputs:
    """The first sample with at least 2 in every dimension that may vary; else the first."""
    wide = (
        sample
        for sample in samples
        if all(array.shape[axis] > 1 for array in sample.values() for axis in _varying(array))
    )
    return next(wide, samples[0])


def _varying(array: np.ndarray) -> dict[int, str]:
    is_sequence = array.ndim == 2 and np.issubdtype(array.dtype, np.integer)
    return {0: "batch", 1: "length"} if is_sequence else {0: "batch"}


def _reason(error: BaseException) -> str:
    """What went wrong first: dynamo wraps it in advice on how to report it to PyTorch."""
    while error.__cause__ is not None:
        error = error.__cause__
    return _last_lines(str(error))


def _other_ways(export: Export) -> str:
    others = [
        f"framework_args.exporter {name} with opset {first} to {last}"
        for name, (first, last) in OPSETS.items()
        if name != export.exporter
    ]
    return f"A newer opset has more operators, for more types; or try {' or '.join(others)}."


def _last_lines(text: str, count: int = 3) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(line[:300] for line in lines[-count:])


def _compare(path: Path, checked: Sequence[Inputs], expected: Sequence[Outputs]) -> float:
    # Without optimization: a fault of the exporter is not to be mistaken for one of the optimizer.
    try:
        session = OrtSession(open_session(path, 0, 1), None)
    except QuantbenchError as error:
        # The exporter does not check that each operator takes these types in this version.
        model = onnx.load(path)
        needs = unmet_needs(model)
        raise QuantbenchError(
            f"the file of opset {default_opset(model)} is not valid: "
            f"{in_words(needs) or error.args[0]}",
            hint=f"Set framework_args.opset to {lowest_opset(needs) or 'a newer one'}.",
        ) from error
    largest = 0.0
    for inputs, wanted in zip(checked, expected, strict=True):
        found = session.bind(inputs)()
        difference = _difference(found, wanted)
        scale = max(1.0, *(float(np.abs(array).max()) for array in wanted.values()))
        if not difference <= EXPORT_TOLERANCE * scale:  # also when it is not a number
            shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
            raise QuantbenchError(
                f"the exported model differs from PyTorch by {difference:.3g} "
                f"(allowed: {EXPORT_TOLERANCE * scale:.3g}) on inputs {shapes}"
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
