"""ONNX files that a command is given."""

from __future__ import annotations

from pathlib import Path

from quantbench.core.errors import UsageError


def check_is_file(path: Path) -> None:
    """Refuse a path at which there is no file.

    Raises:
        UsageError: there is nothing, a folder, or a pipe, socket or device.
    """
    if not path.is_file():
        other = "it is no ordinary file" if path.exists() else "there is no such file"
        what = "is a folder" if path.is_dir() else other
        raise UsageError(f"{path}: {what}", hint="Give the path of an ONNX file.")
