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

CONFIG_FILE = "config.json"
INDEX_FILE = "model.safetensors.index.json"
WEIGHT_PATTERNS = ("model.safetensors", "model-?????-of-?????.safetensors")

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
MODEL_PATTERNS = (CONFIG_FILE, INDEX_FILE, *WEIGHT_PATTERNS, *PROCESSOR_PATTERNS)

# Formats that run code when they are read, or that another framework wrote.
UNUSABLE_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")


def select(names: Iterable[str], patterns: Iterable[str]) -> tuple[str, ...]:
    """The names that match one of the patterns, sorted; names in sub-directories never do."""
    kept = tuple(patterns)
    return tuple(
        sorted(
            name
            for name in names
            if "/" not in name and any(fnmatchcase(name, pattern) for pattern in kept)
        )
    )


def file_names(directory: Path) -> tuple[str, ...]:
    """The names of the files right in a directory."""
    return tuple(path.name for path in directory.iterdir() if path.is_file())


def missing_shards(directory: Path) -> tuple[str, ...]:
    """Weight files that the index names and that are not there."""
    index = directory / INDEX_FILE
    if not index.is_file():
        return ()
    weight_map = json.loads(index.read_text(encoding="utf-8")).get("weight_map", {})
    return tuple(sorted(set(weight_map.values()) - set(file_names(directory))))


def digest(directory: Path) -> str:
    """SHA-256 over the names and contents of the files that decide what the model computes.

    Other files (README, training logs, other formats) do not change it.

    Returns:
        64 hex digits.
    """
    total = hashlib.sha256()
    for name in select(file_names(directory), MODEL_PATTERNS):
        with (directory / name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{name} {content}\n".encode())
    return total.hexdigest()


def num_parameters(directory: Path) -> int:
    """The number of floating-point values in the weight files; tied weights are stored once.

    Source: the safetensors format, whose header names every tensor's type and shape.

    Raises:
        UsageError: a file is not in that format.
    """
    total = 0
    for name in select(file_names(directory), WEIGHT_PATTERNS):
        for key, tensor in _header(directory / name).items():
            if key != "__metadata__" and tensor["dtype"].startswith(("F", "BF")):
                total += math.prod(tensor["shape"])
    return total


def _header(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if 0 < length <= path.stat().st_size - 8:
            try:
                header = json.loads(file.read(length))
            except ValueError:
                header = None
            if isinstance(header, dict):
                return header
    raise UsageError(
        f"{path} is not a safetensors file, or only a part of one", hint="Download it again."
    )
