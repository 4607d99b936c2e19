"""What units took on this machine before, kept in the store: estimates are learned from it."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from quantbench import environment
from quantbench.core.estimate import Past
from quantbench.core.frozen import content_key

_FILE = "history.jsonl"
# Of a long history the end is enough.
_MOST_LINES = 5000


def this_machine() -> str:
    """A hash of what times belong to: the machine, as it may be used now."""
    return content_key(environment.timing_fingerprint())


def read_history(store: Path) -> tuple[Past, ...]:
    """What is known, the oldest first. A line that was cut off by a crash is passed over."""
    file = store / _FILE
    if not file.is_file():
        return ()
    found: list[Past] = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(Past.model_validate_json(line))
        except ValidationError:
            continue  # half a line, or one of another version: an estimate can do without
    return tuple(found[-_MOST_LINES:])


def add_to_history(store: Path, past: Past) -> None:
    """Add a line. Several processes may do so at once: each line is written whole."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK  # a pipe is not waited for
    handle = os.open(store / _FILE, flags, 0o666)
    with os.fdopen(handle, "a", encoding="utf-8") as file:
        file.write(past.model_dump_json() + "\n")
