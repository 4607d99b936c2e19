"""PyTorch's newer exporter, through `torch.export` and the package onnxscript."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.core.errors import QuantbenchError

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
    """Export a model as an ONNX file, weights inside.

    Args:
        model: with eager attention; some models cannot be exported with another one.
        tensors: the inputs that are traced, by name; at least 2 in each dimension that may vary,
            since `torch.export` takes a dimension of 1 for one that is always 1.
        axes: the dimensions of each input that may vary, with their names.
        outputs: the names of the model's outputs.
        opset: ONNX operator set to write, from 18 on; asked for an older one, the exporter may
            write another.
        path: the file to write.

    Raises:
        QuantbenchError: a package is missing.
    """
    import torch

    if importlib.util.find_spec("onnxscript") is None:
        raise QuantbenchError(
            "the exporter dynamo needs the package onnxscript, which is not installed",
            hint="Run `pip install onnxscript`, or set framework_args.exporter to torchscript.",
        )
    sizes = {name: torch.export.Dim(name) for found in axes.values() for name in found.values()}
    torch.onnx.export(
        model,
        (),
        str(path),
        kwargs=dict(tensors),
        input_names=list(tensors),
        output_names=list(outputs),
        dynamic_shapes={
            name: {axis: sizes[size] for axis, size in found.items()}
            for name, found in axes.items()
        },
        opset_version=opset,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
