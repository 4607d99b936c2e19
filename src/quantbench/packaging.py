"""A row's model written as a folder that transformers, Optimum and transformers.js can load.

It is written beside its place and moved there whole, so nobody ever sees half of it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from quantbench.analysis.package import Package, PackagedModel
from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.results import Subject
from quantbench.data import model_files
from quantbench.data.models import resolve_model
from quantbench.ordinary import read_ordinary
from quantbench.store import artifact_folder, file_sha256

MANIFEST = "quantbench.json"
_KEY = re.compile("[0-9a-f]{32}")
_CHUNK_BYTES = 4 << 20
_LISTED = 5

OnBytes = Callable[[int, int], None]


def check_target(target: Path, force: bool) -> None:
    """Refuse a place that the folder cannot be written to. Nothing is written.

    With `force`, a folder is replaced only if all that is in it was written by `save_model`: the
    list is in its `quantbench.json`.

    Raises:
        UsageError: something else is there; the message says what.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        kind = "link" if target.is_symlink() else "file"
        raise UsageError(f"--to {target} is a {kind}", hint="Choose a folder that is not there.")
    there = _files_below(target) if target.is_dir() else []
    if not there:
        return
    if not force:
        raise UsageError(
            f"--to {target} is not empty: it holds {_listing(there)}",
            hint="Choose another folder; --force replaces one that save-model wrote.",
        )
    others = sorted(set(there) - _written_before(target))
    if others:
        raise UsageError(
            f"--to {target} holds what save-model did not write: {_listing(others)}",
            hint="--force replaces only what save-model wrote: choose another folder.",
        )


def model_directory(subject: Subject) -> Path:
    """Where the model is that a run measured: its config and tokenizer or processor.

    Raises:
        UsageError: it is gone, or no longer the one that was measured.
    """
    try:
        source = resolve_model(subject.model_name_or_path, subject.model_revision)
    except UsageError as error:
        raise UsageError(
            f"config and tokenizer or processor are taken from the model, which is gone: {error}",
            hint="Bring it back, or run the command in the folder in which the sweep was run.",
        ) from error
    if source.digest != subject.model_digest:
        raise UsageError(
            f"{subject.model_name_or_path} changed since the run ({subject.model_digest[:12]} → "
            f"{source.digest[:12]}): its tokenizer may not fit the measured file",
            hint="Bring back the model that was measured, or run the sweep again.",
        )
    return source.directory


def save_model(
    found: Package,
    model: Path,
    store: Path,
    texts: Mapping[str, bytes],
    target: Path,
    force: bool,
    on_bytes: OnBytes = lambda done, total: None,
) -> Package:
    """Write the folder, and check that its files are those that were measured.

    Args:
        found: what belongs into it.
        model: the folder of the config and the tokenizer or processor.
        store: where the run's artifacts are.
        texts: further files by their path in the folder, such as the card.
        target: the folder to write. Its parents are made if need be.
        force: replace what an earlier `save_model` wrote there.
        on_bytes: told how many bytes of the model files are copied, and how many there are.

    Returns:
        The package with the digests of all files, as `quantbench.json` has it.

    Raises:
        UsageError: the place is taken, or cannot be written.
        QuantbenchError: the store has no such artifact any more, or a damaged one.
    """
    check_target(target, force)
    sources = [_artifact(store, item) for item in found.models]
    total = sum(item.num_bytes for item in found.models)
    done = 0

    def told(before: int, copied: int) -> None:
        on_bytes(before + copied, total)

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _beside(target) as half:
            for item, source in zip(found.models, sources, strict=True):
                _copy_model(item, source, half / item.path, functools.partial(told, done))
                done += item.num_bytes
            for name in model_files.select(
                model_files.file_names(model), model_files.COMMON_PATTERNS
            ):
                _write(half / name, (model / name).read_bytes())
            for name, content in texts.items():
                _write(half / name, content)
            models = {item.path for item in found.models}
            others = [name for name in _files_below(half) if name not in models]
            written = found.model_copy(
                update={"files": {name: file_sha256(half / name) for name in others}}
            )
            manifest = json.dumps(written.model_dump(mode="json"), indent=1, ensure_ascii=False)
            _write(half / MANIFEST, f"{manifest}\n".encode())
            for folder in (*(path for path in half.rglob("*") if path.is_dir()), half):
                _sync(folder)
            check_target(target, force)  # it may have been filled meanwhile
            _put(half, target)
            return written
    except OSError as error:
        raise UsageError(
            f"--to {target} cannot be written: {error.strerror or error}",
            hint="Nothing is left of it: make room, or choose another folder.",
        ) from error


def _artifact(store: Path, item: PackagedModel) -> Path:
    """The file of an artifact.

    Raises:
        QuantbenchError: it is not in the store, or the run's key is none.
    """
    if not _KEY.fullmatch(item.key):  # results come from files, and this becomes a path
        raise QuantbenchError(f"the run's results are damaged: {item.key!r:.80} is no key")
    path = artifact_folder(store, item.key) / "model.onnx"
    if not path.is_file():
        raise QuantbenchError(
            f"the store {store} no longer has the file for {item.path} (artifact {item.key})",
            hint="Run `quantbench run` with the same config and --out NEW: it makes it again; or "
            "set QUANTBENCH_STORE to the store that the run used.",
        )
    return path


def _copy_model(
    item: PackagedModel, source: Path, path: Path, on_copied: Callable[[int], None]
) -> None:
    """Copy a file by chunks; then read the copy, whose digest must be the measured one."""
    path.parent.mkdir(exist_ok=True)
    copied = 0
    with source.open("rb") as read, path.open("wb") as write:
        while chunk := read.read(_CHUNK_BYTES):
            write.write(chunk)
            copied += len(chunk)
            on_copied(copied)
        write.flush()
        os.fsync(write.fileno())
    found = file_sha256(path)
    if found != item.sha256:
        raise QuantbenchError(
            f"artifact {item.key} in the store is damaged: what was measured has the digest "
            f"{item.sha256[:12]}…, the file has {found[:12]}…",
            hint="`quantbench cache verify` removes it; then `quantbench run` makes it again.",
        )


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder beside the target, removed at the end if it is still there."""
    half = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        umask = os.umask(0)
        os.umask(umask)
        half.chmod(0o777 & ~umask)
        yield half
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _put(half: Path, target: Path) -> None:
    """Move a whole folder into its place; what was there goes when the new one is there."""
    if not target.is_dir() or not any(target.iterdir()):
        half.rename(target)
    else:
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        target.rename(old)
        try:
            half.rename(target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old)
    _sync(target.parent)


def _written_before(target: Path) -> set[str]:
    """The files that an earlier `save_model` wrote to a folder, by their paths in it."""
    try:
        record = Package.model_validate_json(read_ordinary(target / MANIFEST))
    except (OSError, ValueError):
        return set()
    return {MANIFEST, *record.files, *(item.path for item in record.models)}


def _files_below(folder: Path) -> list[str]:
    """All that is no folder, and empty folders, by paths in the folder."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir() or not any(path.iterdir())
    )


def _listing(names: list[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
