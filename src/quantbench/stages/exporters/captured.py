"""Holding back what an exporter says: warnings, and a whole graph on stdout when it fails."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def captured() -> Iterator[Callable[[], str]]:
    """Hold back all that is printed; yields a function that reads what was said so far.

    Some of it is printed by compiled code, so the file descriptors themselves are redirected for
    the duration.
    """
    with tempfile.TemporaryFile() as said, contextlib.ExitStack() as restore:
        for number, stream in ((1, sys.stdout), (2, sys.stderr)):
            stream.flush()
            kept = os.dup(number)
            restore.callback(os.close, kept)
            restore.callback(os.dup2, kept, number)
            restore.callback(stream.flush)
            os.dup2(said.fileno(), number)
        restore.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")

        def read() -> str:
            return os.pread(said.fileno(), 1_000_000, 0).decode(errors="replace")

        yield read
