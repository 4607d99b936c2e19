"""The files of a model in transformers layout: which ones matter, and their digest."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from quantbench.core.errors import UsageError
from quantbench.data import pickled_weights

CONFIG_FILE = "config.json"
INDEX_FILE = "model.safetensors.index.json"
SAFE_WEIGHTS = ("model.safetensors", "model-?????-of-?????.safetensors")
PICKLED_INDEX_FILE = "pytorch_model.bin.index.json"
PICKLED_WEIGHTS = ("pytorch_model.bin", "pytorch_model-?????-of-?????.bin")

# What a tokenizer or an image processor is made from.
PROCESSOR_PATTERNS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "*.model",
    "preprocessor_config.json",
    "processor_config.json",
)
COMMON_PATTERNS = (CONFIG_FILE, *PROCESSOR_PATTERNS)
SAFE_PATTERNS = (*COMMON_PATTERNS, INDEX_FILE, *SAFE_WEIGHTS)
PICKLED_PATTERNS = (*COMMON_PATTERNS, PICKLED_INDEX_FILE, *PICKLED_WEIGHTS)

# Formats that run code when they are read, or that another framework wrote.
UNUSABLE_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")


def select(names: Iterable[str], patterns: Iterable[str]) -> tuple[str, ...]:
    """The names that match one of the patterns, sorted.

    A name in a sub-directory matches only patterns that are as deep.
    """
    kept = tuple(patterns)

    def matches(name: str, pattern: str) -> bool:
        return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)

    return tuple(sorted(n for n in names if any(matches(n, pattern) for pattern in kept)))


def file_names(directory: Path) -> tuple[str, ...]:
    """The names of the files right in a directory."""
    return tuple(path.name for path in directory.iterdir() if path.is_file())


def weight_files(names: Iterable[str]) -> tuple[str, ...]:
    """The weight files among names; pickled ones only where nothing in safetensors is."""
    kept = tuple(names)
    return select(kept, PICKLED_WEIGHTS if _only_pickled(kept) else SAFE_WEIGHTS)


def index_file(names: Iterable[str]) -> str:
    """The name of the index that belongs to the weights, if they are in several files."""
    return PICKLED_INDEX_FILE if _only_pickled(tuple(names)) else INDEX_FILE


def _only_pickled(names: tuple[str, ...]) -> bool:
    return INDEX_FILE not in names and not select(names, SAFE_WEIGHTS)


def missing_shards(directory: Path) -> tuple[str, ...]:
    """Weight files that the index names and that are not there.

    Raises:
        UsageError: the index cannot be read.
    """
    names = file_names(directory)
    index = directory / index_file(names)
    if not index.is_file():
        return ()
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        named = {str(name) for name in weight_map.values()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f"{index} is not an index of weights, or only a part of one", hint="Download it again."
        ) from None
    return tuple(sorted(named - set(names)))


def digest(directory: Path) -> str:
    """SHA-256 over the names and contents of the files that decide what the model computes.

    Other files (README, training logs, other formats) do not change it.

    Returns:
        64 hex digits.
    """
    total = hashlib.sha256()
    names = file_names(directory)
    used = select(names, (*COMMON_PATTERNS, index_file(names))) + weight_files(names)
    for name in sorted(used):
        with (directory / name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{name} {content}\n".encode())
    return total.hexdigest()


def num_parameters(directory: Path) -> int:
    """The number of floating-point values in the weight files; tied weights are stored once.

    Source: the safetensors format, whose header names every tensor's type, shape and place.

    Raises:
        UsageError: a file is not in its format, incomplete, or a pickle of more than tensors.
    """
    total = 0
    for name in weight_files(file_names(directory)):
        path = directory / name
        if path.suffix == ".bin":
            total += pickled_weights.num_parameters(path)
        else:
            total += _safe_parameters(path)
    return total


def _safe_parameters(path: Path) -> int:
    header, num_bytes = _header(path)
    try:
        tensors = [tensor for key, tensor in header.items() if key != "__metadata__"]
        end = max((int(tensor["data_offsets"][1]) for tensor in tensors), default=0)
        count: int = sum(
            math.prod(tensor["shape"])
            for tensor in tensors
            if tensor["dtype"].startswith(("F", "BF"))
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise _damaged(path) from None
    if end != num_bytes:
        raise _damaged(path)
    return count


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header, and the number of bytes that follow it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if 0 < length <= size - 8:
            try:
                header = json.loads(file.read(length))
            except ValueError:
                header = None
            if isinstance(header, dict):
                return header, size - 8 - length
    raise _damaged(path)


def _damaged(path: Path) -> UsageError:
    return UsageError(
        f"{path} is not a safetensors file, or only a part of one", hint="Download it again."
    )
