"""Files that a command is asked to write: all of them can be written, or none is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from quantbench.core.errors import UsageError
from quantbench.store import write_atomically


def check_outputs(paths: Mapping[str, Path | None]) -> None:
    """Refuse files that cannot be written, before any work is done.

    Args:
        paths: by the option that names them; None where it was not given.

    Raises:
        UsageError: it names the first that is no place for a file, or two options name one file.
    """
    seen: dict[Path, str] = {}
    for option, path in paths.items():
        if path is None:
            continue
        try:
            problem = _problem(path)
            place = path.absolute()
        except OSError as error:
            problem, place = error.strerror or str(error), path
        if problem is not None:
            raise UsageError(
                f"{option} {path} cannot be written: {problem}",
                hint="Name an ordinary file, new or old, in a folder that may be written to.",
            )
        if place in seen:
            raise UsageError(
                f"{option} and {seen[place]} name one file: {path}",
                hint="Give each a file of its own.",
            )
        seen[place] = option


def write_output(path: Path, text: str) -> None:
    """Write a file whole, or leave what was there.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        write_atomically(path, text)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="Make room or get the right to write there, or name another place.",
        ) from None


def _problem(path: Path) -> str | None:
    if path.is_symlink():
        return "it is a link, which would be replaced"
    if path.is_dir():
        return "it is a folder"
    if path.exists() and not path.is_file():
        return "it is no ordinary file"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return "its folder is not writable"
    return None
