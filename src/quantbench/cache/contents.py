"""What is in the store, looked at without counting as a use; and taking artifacts away."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from quantbench import store
from quantbench.cache.runs import RegisteredRun
from quantbench.core.errors import QuantbenchError
from quantbench.core.frozen import content_key
from quantbench.core.pruning import CachedArtifact
from quantbench.ordinary import read_ordinary

_KEY = re.compile("[0-9a-f]{32}")


def read_artifacts(root: Path, runs: Sequence[RegisteredRun]) -> tuple[CachedArtifact, ...]:
    """All artifacts of a store, by key; their files are looked at, but not read.

    A run that is under way also keeps what was used since it began: it notes what it needs a
    moment after it was made.

    Raises:
        QuantbenchError: the store cannot be read.
    """
    try:
        found = [_look_at(folder, runs) for folder in sorted((root / "artifacts").glob("*/*"))]
    except OSError as error:
        raise QuantbenchError(f"the store {root} cannot be read: {error}") from None
    return tuple(item for item in found if item is not None)


def find_damage(root: Path, key: str) -> str | None:
    """What is wrong with an artifact, by the digests of all its files; None if nothing is.

    None also for one that was taken away meanwhile.
    """
    folder = store.artifact_folder(root, key)
    try:
        reason = _damage(folder)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    return reason if folder.exists() else None


def take_away(root: Path, artifact: CachedArtifact) -> bool:
    """Remove an artifact, so that a reader finds it whole or not at all.

    Returns:
        Whether it was removed; not if it was used, replaced or removed since it was looked at.

    Raises:
        QuantbenchError: the store cannot be written.
    """
    folder = store.artifact_folder(root, artifact.key)
    try:
        with store.scratch(root) as gone:
            if folder.stat().st_mtime_ns != artifact.used_ns:
                return False
            folder.rename(gone / artifact.key)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise QuantbenchError(f"{folder} cannot be removed: {error.strerror}") from None
    return True


def _look_at(folder: Path, runs: Iterable[RegisteredRun]) -> CachedArtifact | None:
    """What is known of an artifact; None if the folder is none, or was taken away just now."""
    if not _KEY.fullmatch(folder.name) or folder.parent.name != folder.name[:2]:
        return None
    try:
        used_ns = folder.stat().st_mtime_ns
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        record = _record(folder)
        facts_file = folder / store.FACTS_FILE
        made_ns = facts_file.stat().st_mtime_ns if facts_file.exists() else used_ns
    except FileNotFoundError:
        return None
    naming = [
        str(run.path)
        for run in runs
        if folder.name in run.keys
        or (run.running_since_ns is not None and used_ns >= run.running_since_ns)
    ]
    return CachedArtifact(
        key=folder.name,
        stage=None if record is None else record["stage"],
        num_bytes=sum(sizes),
        made_ns=made_ns,
        used_ns=used_ns,
        runs=tuple(naming),
    )


def _damage(folder: Path) -> str | None:
    record = _record(folder)
    if record is None:
        return f"{store.FACTS_FILE} is damaged or missing"
    for name, wrote in record["files"].items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if store.file_sha256(path) != wrote["sha256"]:
            return f"{name} is not what was written"
    return None


def _record(folder: Path) -> dict[str, Any] | None:
    """What `facts.json` says, if it is what was written."""
    try:
        record: dict[str, Any] = json.loads(read_ordinary(folder / store.FACTS_FILE))
        digest = record.pop("sha256")
        return record if digest == content_key(record, 64) else None
    except store.UNUSABLE:
        return None
