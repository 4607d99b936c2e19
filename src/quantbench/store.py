"""Artifacts by content key: made once, found again by any run on this machine.

An artifact is a folder with its files and `facts.json`. It is made in `tmp/KEY` and moved into
place whole, so that a reader never sees half of one. Whoever makes it holds a lock on that folder,
which ends with the process: others wait for it, and what nobody holds was abandoned.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.frozen import content_key
from quantbench.ordinary import NotOrdinaryError, open_ordinary, read_ordinary

Facts = dict[str, Any]

FACTS_FILE = "facts.json"


# What reading a damaged `facts.json`, or the files that it names, raises.
UNUSABLE = (
    FileNotFoundError, NotOrdinaryError, ValueError, KeyError, TypeError, AttributeError,
    RecursionError,
)  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """An artifact in the store: its folder, and what is known of it."""

    path: Path
    facts: Facts


def default_store() -> Path:
    """`QUANTBENCH_STORE`, or `~/.cache/quantbench`."""
    configured = os.environ.get("QUANTBENCH_STORE")
    return Path(configured) if configured else Path.home() / ".cache" / "quantbench"


def open_store(root: Path) -> None:
    """Make a store ready, and remove what killed processes left half made.

    Raises:
        UsageError: the folder cannot be made or written; said before any work is done.
    """
    try:
        for name in ("artifacts", "tmp"):
            (root / name).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=root / name):
                pass
        for folder in (root / "tmp").iterdir():
            with _try_lock(folder) as is_ours:
                if is_ours:
                    shutil.rmtree(folder, ignore_errors=True)
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
    """The artifact with that key, if it is there and its files are, by digest, what was written.

    One that is damaged counts as not there: it is made again.
    """
    return _read(root, key, _is_unchanged)


def recall(root: Path, key: str) -> Facts | None:
    """The facts of an artifact, if it is there: its files are looked at, but not read.

    Files whose size and time stamp are as they were count as unchanged; `find` reads them.
    """

    def is_unchanged(path: Path, wrote: Facts) -> bool:
        return _stamp(path) == wrote["stamp"] or _is_unchanged(path, wrote)

    found = _read(root, key, is_unchanged)
    return None if found is None else found.facts


def make(
    root: Path,
    key: str,
    stage: str,
    build: Callable[[Path], Facts],
    waiting: Callable[[], None] = lambda: None,
) -> Stored:
    """The artifact with that key, built if it is not there.

    If another process is building it, that one is waited for.

    Args:
        root: the store.
        key: from `artifact_key`.
        stage: what makes it, for whoever lists the store.
        build: writes files into the folder that it is given, and returns facts about them. If it
            raises, nothing is kept.
        waiting: called if another process is building it.
    """
    found = find(root, key)
    if found is not None:
        return found
    with _folder_to_build(root, key, waiting) as temporary:
        found = find(root, key)  # another process may have made it meanwhile
        if found is not None:
            return found
        _keep(temporary, artifact_folder(root, key), stage, build(temporary))
    return _kept(root, key)


def remake(
    root: Path,
    key: str,
    stage: str,
    build: Callable[[Path], Facts],
    waiting: Callable[[], None] = lambda: None,
) -> Stored:
    """As `make`, but built anew; what was there before is replaced when the new one is whole."""
    with _folder_to_build(root, key, waiting) as temporary:
        _keep(temporary, artifact_folder(root, key), stage, build(temporary))
    return _kept(root, key)


def _kept(root: Path, key: str) -> Stored:
    stored = find(root, key)
    if stored is None:
        raise QuantbenchError(f"artifact {key} was written to {root}, but cannot be read again")
    return stored


@contextlib.contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """A folder for files that are needed for a while; it does not outlive its process for long."""
    with _folder_to_build(root, f"scratch-{uuid.uuid4().hex}", lambda: None) as folder:
        yield folder


def write_beside(root: Path, folder: str, name: str, text: str) -> None:
    """Write a small file of the store that is no artifact, whole.

    It is written in a scratch folder first, so that nothing is left of it if that is interrupted.
    """
    (root / folder).mkdir(parents=True, exist_ok=True)
    with scratch(root) as half:
        write_atomically(half / name, text)
        (half / name).replace(root / folder / name)
        _sync(root / folder)


def artifact_folder(root: Path, key: str) -> Path:
    """Where an artifact is, or would be."""
    return root / "artifacts" / key[:2] / key


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old content or the new one, never a part.

    A link in its place is replaced, not followed. Text is written as UTF-8.
    """
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file for as long as the block lasts, which then takes the place of `path` as a whole.

    If the block raises, nothing has happened. A link in its place is replaced, not followed.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; results are for everyone whom the umask admits.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
        _sync(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remove_half_written(folder: Path) -> None:
    """Remove what `write_atomically` left in a folder when its process was killed."""
    for path in folder.glob(".*-????????"):
        if path.is_file():
            path.unlink()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with open_ordinary(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _folder_to_build(root: Path, key: str, waiting: Callable[[], None]) -> Iterator[Path]:
    """An empty folder that only this process may fill, under the name of the artifact's key."""
    folder = root / "tmp" / key
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue  # whoever held it was done with it just now
        try:
            if not _lock(handle, wait=False):
                waiting()
                _lock(handle, wait=True)
            if not _is_open_as(folder, handle):
                continue  # it was moved into place, or removed, while this process waited
            for left in folder.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            try:
                yield folder
            finally:
                if _is_open_as(folder, handle):
                    shutil.rmtree(folder, ignore_errors=True)
            return
        finally:
            os.close(handle)


@contextlib.contextmanager
def _try_lock(folder: Path) -> Iterator[bool]:
    """Hold the lock of a folder, if nobody does; yields whether."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _lock(handle, wait=False) and _is_open_as(folder, handle)
    finally:
        os.close(handle)


def _lock(handle: int, *, wait: bool) -> bool:
    """Lock an open folder for this process alone; it ends with the process."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _is_open_as(folder: Path, handle: int) -> bool:
    """Whether a name still stands for the folder that was opened under it."""
    try:
        return folder.stat().st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


def _keep(temporary: Path, folder: Path, stage: str, facts: Facts) -> None:
    """Write down what a finished folder holds, and move it into place."""
    paths = sorted(path for path in temporary.rglob("*") if path.is_file())
    files = {
        str(path.relative_to(temporary)): {"sha256": file_sha256(path), "stamp": _stamp(path)}
        for path in paths
    }
    record = {"stage": stage, "files": files, "facts": facts}
    text = json.dumps(record | {"sha256": content_key(record, 64)})
    write_atomically(temporary / FACTS_FILE, text)
    for path in (*paths, temporary):
        _sync(path)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():  # damaged, or to be replaced
        shutil.rmtree(folder)
    temporary.rename(folder)
    _sync(folder.parent)


def _read(root: Path, key: str, is_unchanged: Callable[[Path, Facts], bool]) -> Stored | None:
    folder = artifact_folder(root, key)
    try:
        record = json.loads(read_ordinary(folder / FACTS_FILE))
        digest = record.pop("sha256")
        facts: Facts = record["facts"]
        good = digest == content_key(record, 64) and all(
            is_unchanged(folder / name, wrote) for name, wrote in record["files"].items()
        )
    except UNUSABLE:
        good = False  # damaged, or somebody took a file away
    if not good:
        return None  # whoever makes it again removes what is left of it
    with contextlib.suppress(OSError):  # of another user: when it was used is not known then
        os.utime(folder)
    return Stored(folder, facts)


def _is_unchanged(path: Path, wrote: Facts) -> bool:
    return bool(file_sha256(path) == wrote["sha256"])


def _stamp(path: Path) -> list[int]:
    """Size in bytes and time of the last change in nanoseconds."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
