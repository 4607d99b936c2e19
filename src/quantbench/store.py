"""Artifacts by content key: made once, found again by any run on this machine.

An artifact is a folder with its files and `facts.json`. It is made under a temporary name and
moved into place whole, so that a reader never sees half of one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantbench.core.errors import UsageError
from quantbench.core.frozen import content_key

Facts = dict[str, Any]

_ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Stored:
    """An artifact in the store: its folder, and what is known of it."""

    path: Path
    facts: Facts


def default_store() -> Path:
    """`QUANTBENCH_STORE`, or `~/.cache/quantbench`."""
    configured = os.environ.get("QUANTBENCH_STORE")
    return Path(configured) if configured else Path.home() / ".cache" / "quantbench"


def check_store(root: Path) -> None:
    """Refuse a store that cannot be written, before any work is done.

    Raises:
        UsageError: the folder cannot be made or written.
    """
    try:
        (root / "artifacts").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root / "artifacts"):
            pass
    except OSError as error:
        raise UsageError(
            f"the store {root} cannot be written: {error.strerror}",
            hint="Set QUANTBENCH_STORE to a folder that can.",
        ) from None


def artifact_key(stage: str, version: int, reads: Facts) -> str:
    """The key of what a stage makes: a hash of all that the stage reads, and of nothing else.

    Args:
        stage: the stage's name.
        version: raised when the stage's own code changes what it makes.
        reads: digests of files, parameters and versions of tools.
    """
    return content_key({"stage": stage, "version": version, "reads": reads}, 32)


def find(root: Path, key: str) -> Stored | None:
    """The artifact with that key, if it is there and its files are what was written."""
    folder = _folder(root, key)
    facts_file = folder / "facts.json"
    if not facts_file.exists():
        return None
    try:
        record = json.loads(facts_file.read_text())
        files: dict[str, str] = record["files"]
        facts: Facts = record["facts"]
    except (ValueError, KeyError, TypeError):
        shutil.rmtree(folder)  # damaged: it is made again
        return None
    if any(
        not (folder / name).exists() or file_sha256(folder / name) != digest
        for name, digest in files.items()
    ):
        shutil.rmtree(folder)
        return None
    return Stored(folder, facts)


def make(root: Path, key: str, build: Callable[[Path], Facts]) -> Stored:
    """The artifact with that key, built if it is not there.

    Args:
        root: the store.
        key: from `artifact_key`.
        build: writes files into the folder that it is given, and returns facts about them. If it
            raises, nothing is kept.
    """
    found = find(root, key)
    if found is not None:
        return found
    folder = _folder(root, key)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder.parent)
    temporary = Path(tempfile.mkdtemp(prefix=f".{key[:8]}-", dir=folder.parent))
    try:
        facts = build(temporary)
        files = sorted(
            path.relative_to(temporary) for path in temporary.rglob("*") if path.is_file()
        )
        record = {
            "files": {str(name): file_sha256(temporary / name) for name in files},
            "facts": facts,
        }
        write_atomically(temporary / "facts.json", json.dumps(record))
        # Another process may have been faster: its artifact is as good as this one.
        with contextlib.suppress(OSError):
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    stored = find(root, key)
    if stored is None:
        raise OSError(f"could not move an artifact to {folder}")
    return stored


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new one, never a part."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; results are for everyone whom the umask admits.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left half made, once it is older than any making takes."""
    for path in folder.glob(".*-*"):
        if path.is_dir() and time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _folder(root: Path, key: str) -> Path:
    return root / "artifacts" / key[:2] / key
