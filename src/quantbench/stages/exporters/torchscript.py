"""PyTorch's older exporter, through TorchScript."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def write(
    model: torch.nn.Module,
    tensors: Mapping[str, torch.Tensor],
    axes: Mapping[str, Mapping[int, str]],
    outputs: Sequence[str],
    opset: int,
    path: Path,
) -> None:
    """Trace a model and write it as an ONNX file.

    Args:
        model: with eager attention; the library's default needs opset 14.
        tensors: the inputs that are traced, by name.
        axes: the dimensions of each input that may vary, with their names.
        outputs: the names of the model's outputs.
        opset: ONNX operator set to write.
        path: the file to write.
    """
    import torch

    # The graph's inputs are in the order of the signature, whatever that of `kwargs` is, and names
    # are given by place: BERT takes the mask before the token types, its tokenizer makes it after.
    signature = inspect.signature(model.forward).parameters
    names = [name for name in signature if name in tensors]
    names += [name for name in tensors if name not in signature]
    torch.onnx.export(
        model,
        (),
        str(path),
        kwargs=dict(tensors),
        input_names=names,
        output_names=list(outputs),
        dynamic_axes={name: dict(varying) for name, varying in axes.items()},
        opset_version=opset,
        dynamo=False,
    )
