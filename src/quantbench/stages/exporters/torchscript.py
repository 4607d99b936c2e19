"""PyTorch's older exporter, through TorchScript."""

from __future__ import annotations

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

    is_headless = getattr(model, "base_model", None) is model
    torch.onnx.export(
        _under_its_name(model, list(tensors)) if is_headless else model,
        tuple(tensors.values()) if is_headless else (),
        str(path),
        kwargs=None if is_headless else dict(tensors),
        input_names=list(tensors),
        output_names=list(outputs),
        dynamic_axes={name: dict(varying) for name, varying in axes.items()},
        opset_version=opset,
        dynamo=False,
    )


def _under_its_name(model: torch.nn.Module, names: Sequence[str]) -> torch.nn.Module:
    """A model without a head inside another one, as in those with a head: `/bert/encoder/...`.

    The exporter gives every parameter its default by place, and some of these models set the same
    one by name (`use_cache`): here all are given by name, and no others.
    """
    import torch

    class Outer(torch.nn.Module):
        def forward(self, *tensors: torch.Tensor) -> object:
            return model(**dict(zip(names, tensors, strict=True)))

    outer = Outer()
    outer.add_module(str(getattr(model, "base_model_prefix", "")) or "model", model)
    return outer
