"""Reading `.bin` weights, which are pickles, without running what a pickle could hold."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.core.errors import UsageError

if TYPE_CHECKING:
    import torch

# How torch's reader says that a pickle names something other than tensors.
NOT_TENSORS = ("GLOBAL ", "Can only ", "Trying to call ")


def num_parameters(path: Path) -> int:
    """The number of floating-point values in a file; values that tensors share count once.

    Args:
        path: a file written by `torch.save` that holds names and tensors.

    Raises:
        UsageError: the file is damaged, or holds anything but tensors.
    """
    seen = set()
    total = 0
    for tensor in _tensors(path).values():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride())
        if tensor.is_floating_point() and place not in seen:
            seen.add(place)
            total += tensor.numel()
    return total


def _tensors(path: Path) -> Mapping[str, torch.Tensor]:
    """All tensors by name, mapped from the file where its format allows that.

    `weights_only` is torch's reader that knows tensors and plain containers, and calls nothing.
    """
    import torch

    try:
        content = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError as error:
        if any(words in str(error) for words in NOT_TENSORS):
            raise UsageError(
                f"{path} holds more than tensors, and could run code when it is read: refused",
                hint="If you trust it, load and save the model once with transformers: "
                "save_pretrained writes model.safetensors.",
            ) from None
        raise _damaged(path) from None
    except (RuntimeError, ValueError, EOFError, OSError):
        raise _damaged(path) from None
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    ):
        raise UsageError(
            f"{path} does not hold names and tensors, as weights do",
            hint="It may be a checkpoint of a training: save the model with save_pretrained.",
        )
    return content


def _damaged(path: Path) -> UsageError:
    return UsageError(
        f"{path} is not a file of weights that torch.save wrote, or only a part of one",
        hint="Download it again.",
    )
