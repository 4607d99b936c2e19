"""ONNX files that a command is given."""

from __future__ import annotations

from pathlib import Path

from quantbench.core.errors import UsageError


def check_is_file(path: Path) -> None:
    """Refuse a path at which there is no file.

    Raises:
        UsageError: there is nothing, or a folder.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "there is no such file"
        raise UsageError(f"{path}: {what}", hint="Give the path of an ONNX file.")
