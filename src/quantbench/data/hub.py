"""The hub and its cache: pinning a name to a commit, trying again, finding damaged files."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from quantbench.data.hub_errors import RETRY_WAITS_S, may_pass, unreachable
from quantbench.data.moved_names import Kind, todays_name, todays_revision

T = TypeVar("T")


@dataclass(frozen=True)
class Pin:
    """The commit that a name and a revision mean now.

    `name` is today's name. `unreachable` is the reason if the hub did not say so: then `commit`
    is the one that was found last time, or None if nothing is known. `notes` are sentences that
    the user should see.
    """

    name: str
    commit: str | None
    unreachable: str | None
    notes: tuple[str, ...]


def pin(kind: Kind, given: str, revision: str | None) -> Pin:
    """Ask the hub which commit a revision is, or the cache if the hub cannot be reached.

    Args:
        kind: model or dataset.
        given: a name on the hub, old or today's.
        revision: branch, tag or commit; None for the default branch.

    Raises:
        Exception: what huggingface_hub raises if the hub answers no; see `hub_errors.explain`.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionResolutionError

    api = HfApi()
    name = todays_name(kind, given)
    wanted = revision or todays_revision(kind, name)
    try:
        info = retrying(lambda: api.repo_info(name, repo_type=kind, revision=wanted))
    except Exception as error:
        reason = unreachable(error)
        if reason is None:
            raise
        try:
            commit: str | None = api.resolve_revision(
                name, repo_type=kind, revision=wanted, local_files_only=True
            ).resolved
        except RevisionResolutionError:
            commit = None
    else:
        reason = None
        # The hub redirects old names; the libraries would keep, or refuse, the old one.
        name = info.id or name
        # This one also writes down the answer, for when the hub cannot be reached.
        commit = api.resolve_revision(name, repo_type=kind, revision=wanted).resolved
    notes = () if name == given else (f"the {kind} {given} is called {name} on the hub today",)
    return Pin(name, commit, reason, notes)


def retrying(action: Callable[[], T]) -> T:
    """Do something again, after a pause, if it failed for a reason that may pass."""
    for wait in RETRY_WAITS_S:
        try:
            return action()
        except Exception as error:
            if not may_pass(error):
                raise
        time.sleep(wait)
    return action()


def remove_damaged(snapshot: Path) -> tuple[str, ...]:
    """Remove from the hub's cache what has other contents than the hub says.

    The cache names large files by their SHA-256, but does not check it after a download. Small
    files have names of another kind and are not checked.

    Args:
        snapshot: the folder of a commit in the cache.

    Returns:
        The names of the files, sorted.
    """
    damaged = _damaged(snapshot)
    for link in damaged:
        link.resolve().unlink(missing_ok=True)  # equal files share one
        link.unlink()
    return tuple(link.relative_to(snapshot).as_posix() for link in damaged)


def damaged_files(snapshot: Path) -> tuple[str, ...]:
    """What `remove_damaged` would remove."""
    return tuple(link.relative_to(snapshot).as_posix() for link in _damaged(snapshot))


def snapshot_folder(kind: Kind, name: str, commit: str) -> Path:
    """Where the hub's cache has the files of a commit."""
    from huggingface_hub import constants

    repository = f"{kind}s--{name.replace('/', '--')}"
    return Path(constants.HF_HUB_CACHE) / repository / "snapshots" / commit


def download_command(kind: Kind, name: str, revision: str | None) -> str:
    """The command that fills the cache on a machine with a network."""
    parts = ["hf", "download", name]
    parts += ["--repo-type", "dataset"] if kind == "dataset" else []
    parts += [] if revision is None else ["--revision", revision]
    return f"`{' '.join(parts)}`"


def _damaged(snapshot: Path) -> list[Path]:
    found = []
    for link in sorted(snapshot.rglob("*")):
        blob = link.resolve()
        if link.is_symlink() and blob.is_file() and re.fullmatch(r"[0-9a-f]{64}", blob.name):
            with blob.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != blob.name:
                    found.append(link)
    return found
