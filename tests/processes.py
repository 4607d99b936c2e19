"""The processes that a test started, and those that these started in turn."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def alive_with(variable: str) -> list[int]:
    """All other living processes that were started with a variable, `NAME=VALUE`."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            state = (path / "stat").read_text().rsplit(")", 1)[1].split()[0]
            is_marked = variable.encode() in (path / "environ").read_bytes().split(b"\0")
            if is_marked and state != "Z" and int(path.name) != os.getpid():
                found.append(int(path.name))
    return found
