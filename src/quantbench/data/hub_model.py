"""Downloading a model from the hub: the files that are needed and no others."""

from __future__ import annotations

import glob
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from quantbench.core.config import ONNX_SUFFIX
from quantbench.core.errors import UsageError
from quantbench.data import hub, model_files, onnx_parts
from quantbench.data.hub_errors import DamagedFileError, explain

PARAMETER = "model_name_or_path"


@dataclass(frozen=True)
class Download:
    """A model in the hub's cache: its commit, its name today, and what the user should know."""

    directory: Path
    commit: str
    name: str
    notes: tuple[str, ...]


def download(given: str, revision: str | None) -> Download:
    """Download a model, or find it in the hub's cache if the hub cannot be reached.

    Only the files of `model_files.SAFE_PATTERNS` and the README are taken: no code. Pickled
    weights are taken if there are no others, and read as tensors only.

    Args:
        given: a name on the hub, old or today's.
        revision: branch, tag or commit; None for the default branch.

    Raises:
        UsageError: not a hub name, no such model or revision, no access, no connection, or a
            download that failed: no file that is incomplete is kept.
    """

    def fetch(pinned: hub.Pin) -> Path:
        directory = _fetch(where, revision, pinned, model_files.SAFE_PATTERNS)
        if not model_files.weight_files(model_files.file_names(directory)):
            directory = _fetch(where, revision, pinned, model_files.PICKLED_PATTERNS)
        return directory

    where = f"{PARAMETER} = {given}"
    found = _download(where, given, revision, fetch)
    _check_format(found.name, found.directory)
    return found


def download_onnx(given: str, file: str, revision: str | None) -> Download:
    """Download an ONNX file with what belongs to it, or find it in the hub's cache.

    Args:
        given: a name on the hub, old or today's.
        file: the path of the ONNX file in the repository.
        revision: branch, tag or commit; None for the default branch.

    Raises:
        UsageError: as `download`; or the repository has no such file, or it is no ONNX file.
    """
    where = f"{PARAMETER} = {given}/{file}"
    folder = file.rpartition("/")[0]
    beside = [f"{_literal(folder)}/{name}" for name in model_files.COMMON_PATTERNS if folder]
    patterns = (_literal(file), *model_files.COMMON_PATTERNS, *beside)

    def fetch(pinned: hub.Pin) -> Path:
        directory = _fetch(where, revision, pinned, patterns)
        path = directory / file
        # Only the file itself says what the files with its weights are called.
        external = onnx_parts.external_files(onnx_parts.load(path)) if path.is_file() else ()
        if external:
            parts = [_literal(f"{folder}/{name}" if folder else name) for name in external]
            directory = _fetch(where, revision, pinned, (*patterns, *parts))
        return directory

    found = _download(where, given, revision, fetch)
    if not (found.directory / file).is_file():
        listed = _onnx_files(found.name, found.commit)
        if file in listed:
            command = hub.download_command("model", found.name, found.commit)
            raise UsageError(
                f"{where}: the hub cannot be reached, and its cache lacks {file}",
                hint=f"Once online: {command}",
            )
        raise UsageError(
            f"{where}: {found.name} has no such file",
            hint=f"Its ONNX files: {', '.join(listed)}." if listed else "It has no ONNX file.",
        )
    return found


def _listed(name: str, commit: str) -> tuple[str, ...]:
    """What the hub said is in the repository at that commit; nothing if it never did."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        tree = get_cached_repo_tree(name, revision=commit)
    except CachedRepoTreeNotFoundError:
        return ()
    return tuple(sorted(entry.path for entry in tree))


def _onnx_files(name: str, commit: str) -> tuple[str, ...]:
    return tuple(path for path in _listed(name, commit) if path.endswith(ONNX_SUFFIX))


def _literal(path: str) -> str:
    """A pattern that only this path matches."""
    return glob.escape(path)


def _download(
    where: str, given: str, revision: str | None, fetch: Callable[[hub.Pin], Path]
) -> Download:
    import httpx2
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(given)
    except HFValidationError:
        raise UsageError(
            f"{where} is neither a directory that exists here nor a name on the hub",
            hint="Hub names look like owner/name; a local path starts with ./ or /.",
        ) from None
    name = given
    try:
        pinned = hub.pin("model", given, revision)
        name = pinned.name
        directory = fetch(pinned)
    except (OSError, httpx2.HTTPError) as error:
        found = explain(error, "model", name, revision)
        if found is None:
            raise UsageError(
                f"{where}: the download failed: {error}",
                hint="Try again: files that are complete are kept.",
            ) from error
        subject = where if found.about == "name" else f"model_revision = {revision}"
        raise UsageError(f"{subject}: {found.message}", hint=found.hint) from None
    notes = pinned.notes
    if pinned.unreachable is not None:
        cached = f"{name} is what the cache holds, commit {directory.name}"
        notes = (*notes, f"the hub cannot be reached ({pinned.unreachable}): {cached}")
    return Download(directory, directory.name, name, notes)


def _fetch(where: str, revision: str | None, pinned: hub.Pin, patterns: tuple[str, ...]) -> Path:
    """The folder with the files of a commit; whatever of them is missing is downloaded."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    name = pinned.name
    wanted = [*patterns, "README.md"]
    if pinned.unreachable is None:

        def fetch() -> Path:
            path = snapshot_download(name, revision=pinned.commit, allow_patterns=wanted)
            damaged = hub.remove_damaged(Path(path))
            if damaged:
                raise DamagedFileError(", ".join(damaged))
            return Path(path)

        return hub.retrying(fetch)
    if pinned.commit is None:
        raise _not_cached(where, revision, pinned, wanted)
    try:
        directory = Path(
            snapshot_download(
                name, revision=pinned.commit, allow_patterns=wanted, local_files_only=True
            )
        )
    except LocalEntryNotFoundError:
        raise _not_cached(where, revision, pinned, wanted) from None
    damaged = hub.damaged_files(directory)
    if damaged:
        raise UsageError(
            f"{where}: {', '.join(damaged)} in {directory} is damaged",
            hint=f"Remove {directory.parent.parent}, and once online: "
            f"{hub.download_command('model', name, revision)}",
        )
    return directory


def _check_format(name: str, directory: Path) -> None:
    """Name the files when a model has weights only in formats that were not downloaded."""
    if model_files.weight_files(model_files.file_names(directory)):
        return
    onnx_files = _onnx_files(name, directory.name)
    if onnx_files:
        raise UsageError(
            f"{name} has no weights for PyTorch, only ONNX files: {', '.join(onnx_files)}",
            hint=f"To start from one, name it: {PARAMETER}: {name}/{onnx_files[0]}",
        )
    names = model_files.select(_listed(name, directory.name), model_files.UNUSABLE_WEIGHTS)
    if names:
        raise UsageError(
            f"{name} has weights only as {', '.join(names)}, not as model.safetensors",
            hint="Use a revision that has safetensors (often refs/pr/1), or load and save the "
            "model once with the library that wrote it, and give the directory.",
        )


def _not_cached(
    where: str, revision: str | None, pinned: hub.Pin, patterns: list[str]
) -> UsageError:
    """Name the files that the cache lacks: as the hub listed them, or as every model has them."""
    from huggingface_hub import constants, get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    name = pinned.name
    missing: tuple[str, ...] = ("config.json", "model.safetensors")
    if pinned.commit is not None:
        there = hub.snapshot_folder("model", name, pinned.commit)
        try:
            listed = get_cached_repo_tree(name, revision=pinned.commit)
        except CachedRepoTreeNotFoundError:
            pass  # this commit was never listed: what every model has is what is missing
        else:
            names = model_files.select((entry.path for entry in listed), patterns)
            missing = tuple(file for file in names if not (there / file).exists())
    at = "" if revision is None else f" at revision {revision}"
    return UsageError(
        f"{where}: no such directory here, the hub cannot be reached ({pinned.unreachable}), and "
        f"its cache {constants.HF_HUB_CACHE} lacks {' and '.join(missing)} of the model{at}",
        hint=f"Once online: {hub.download_command('model', name, revision)}; or give a directory "
        "that holds the model.",
    )
