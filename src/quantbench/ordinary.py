"""Reading files that may be none: a pipe, a device or a socket is refused, and never waited for."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


class NotOrdinaryError(OSError):
    """A pipe, device, socket or folder stands where a file belongs."""


def open_ordinary(path: Path) -> BufferedReader:
    """Open a file to be read, without ever waiting for someone who writes it.

    Raises:
        NotOrdinaryError: it is a pipe, a device, a socket or a folder.
        OSError: it cannot be opened.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise NotOrdinaryError(errno.EINVAL, "it is no ordinary file", str(path))
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # in case it was replaced just now
    return open(handle, "rb")  # noqa: PTH123 - the handle is open


def read_ordinary(path: Path) -> bytes:
    """The content of a file, opened as `open_ordinary` does."""
    with open_ordinary(path) as file:
        return file.read()
