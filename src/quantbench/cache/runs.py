"""Which runs use this store, and which of its artifacts they name.

A run registers its folder in the store when it begins. Its `spent.jsonl` names the key of every
unit that it needed, done or found: so also those that others were made from.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quantbench.core.errors import QuantbenchError
from quantbench.ordinary import read_ordinary
from quantbench.run_dir import is_locked
from quantbench.store import write_beside

_FOLDER = "runs"
# Read by pattern: a line that a crash cut off, or of another version, still keeps what it names.
_KEY = re.compile(rb'"([0-9a-f]{32})"')


@dataclass(frozen=True)
class RegisteredRun:
    """A run that uses the store, and the keys that it names.

    `running_since_ns` is when it began (nanoseconds since 1970), None if it is not under way.
    """

    path: Path
    keys: frozenset[str]
    running_since_ns: int | None


def register_run(store: Path, out: Path) -> None:
    """Note in the store that a run in that folder begins, or goes on.

    Args:
        store: the artifact store.
        out: the run's folder.
    """
    folder = out.resolve()
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]
    write_beside(store, _FOLDER, f"{name}.json", json.dumps({"path": str(folder)}) + "\n")


def read_runs(store: Path) -> tuple[RegisteredRun, ...]:
    """The registered runs whose folder is still there.

    Raises:
        QuantbenchError: it cannot be known what one of them names.
    """
    return tuple(
        _read_run(folder, file) for file, folder in _registrations(store) if _is_there(folder, file)
    )


def run_folders(store: Path) -> tuple[Path, ...]:
    """The folders of the registered runs, those that are still there."""
    found = _registrations(store)
    return tuple(folder for file, folder in found if _is_there(folder, file))


def forget_gone_runs(store: Path) -> None:
    """Remove the registrations of runs whose folder is gone."""
    for file, folder in _registrations(store):
        if not _is_there(folder, file):
            file.unlink(missing_ok=True)


def _registrations(store: Path) -> Iterator[tuple[Path, Path]]:
    for file in sorted((store / _FOLDER).glob("[0-9a-f]*.json")):
        try:
            yield file, Path(json.loads(read_ordinary(file))["path"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _unknown(file, f"{file} cannot be read: {error}") from None


def _is_there(folder: Path, file: Path) -> bool:
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unknown(file, f"{folder} cannot be read: {error.strerror}") from None
    return folder.is_dir()


def _read_run(folder: Path, file: Path) -> RegisteredRun:
    # Asked before the keys are read: a run that ends in between has noted them all.
    since = file.stat().st_mtime_ns if _is_running(folder, file) else None
    try:
        text = read_ordinary(folder / "spent.jsonl")
    except FileNotFoundError:
        text = b""  # it has not done anything yet
    except OSError as error:
        raise _unknown(file, f"{folder} cannot be read: {error.strerror}") from None
    return RegisteredRun(folder, frozenset(key.decode() for key in _KEY.findall(text)), since)


def _is_running(folder: Path, file: Path) -> bool:
    try:
        return is_locked(folder)
    except OSError as error:
        raise _unknown(file, f"{folder} cannot be read: {error.strerror}") from None


def _unknown(file: Path, reason: str) -> QuantbenchError:
    return QuantbenchError(
        f"it cannot be known which artifacts are still needed: {reason}",
        hint=f"Make it readable, or remove {file} if that run is of no use any more.",
    )
