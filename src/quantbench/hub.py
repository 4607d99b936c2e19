"""Publishing a folder on the hub: a repository, and one commit or pull request that holds it all.

Files are uploaded first and named by the commit last, so that nobody ever sees half of them. The
commit says which one it follows: what others committed meanwhile is never buried.
"""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.hub_refusals import may_repeat, refusal
from quantbench.store import file_sha256

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")
Sleep = Callable[[float], None]

# Between tries of one request; the library has waits of its own around uploads.
WAITS_S = (1.0, 2.0, 4.0, 8.0)
_LOGIN = "Log in with `hf auth login`, or set HF_TOKEN, to a token that may write."


@dataclass(frozen=True)
class Upload:
    """A file as it is sent: its path in the repository, and what it is."""

    path: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class Destination:
    """Where to publish: `owner/name`; as a pull request; private if the repository is made."""

    repo: str
    private: bool = False
    pull_request: bool = False


@dataclass(frozen=True)
class Published:
    """What was made: the commit, its page, and that of the pull request.

    `changed` is False if the repository had all files before: then there is no new commit.
    """

    commit: str
    url: str
    pull_request_url: str | None
    changed: bool


def listing(folder: Path) -> tuple[Upload, ...]:
    """All files below a folder, by path, with sizes in bytes and digests."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        Upload(path.relative_to(folder).as_posix(), path.stat().st_size, file_sha256(path))
        for path in files
    )


def token_of_this_machine() -> str:
    """The token that `hf auth login` stored, or HF_TOKEN.

    Raises:
        UsageError: there is none, or the hub may not be contacted.
    """
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise UsageError(
            "offline mode is set: nothing can be published",
            hint="Unset HF_HUB_OFFLINE, or add --dry-run to see what would be sent.",
        )
    token = get_token()
    if not token:
        raise UsageError("there is no token of the hub on this machine", hint=_LOGIN)
    return token


@contextlib.contextmanager
def contacting_nothing() -> Iterator[None]:
    """Keep huggingface_hub off the network: models come from its cache, or are not found."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def publish(
    folder: Path,
    files: Sequence[Upload],
    to: Destination,
    message: str,
    token: str,
    sleep: Sleep = time.sleep,
) -> Published:
    """Upload files of a folder, and commit them.

    Args:
        folder: where the files are.
        files: which of them, by their paths in the folder and in the repository.
        to: where to. A repository that is missing is made, but not for a pull request.
        message: the first line of the commit.
        token: sent to the hub alone, not to where it stores files.
        sleep: waits that many seconds between tries.

    Raises:
        UsageError: the repository is public and was to be private, or there is none.
        QuantbenchError: the hub refused, failed several times, or somebody else committed
            meanwhile. Nothing of the files is in the repository then.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(token=token)
    with _quiet():
        try:
            if not to.pull_request:
                private = to.private or None  # else as the owner has set it
                _tried(lambda: api.create_repo(to.repo, private=private, exist_ok=True), sleep)
            head = _head(api, to, sleep)
            added = [CommitOperationAdd(item.path, folder / item.path) for item in files]
            api.preupload_lfs_files(
                to.repo, added, create_pr=to.pull_request, free_memory=False
            )  # the library tries each of these requests six times
            # A second pull request is worse than to be told that the first was not confirmed.
            lost = not to.pull_request
            made = _tried(
                lambda: api.create_commit(
                    to.repo,
                    added,
                    commit_message=message,
                    parent_commit=head,
                    create_pr=to.pull_request,
                ),
                sleep,
                even_if_lost=lost,
            )
        except QuantbenchError:
            raise
        except Exception as error:
            found = refusal(error, to.repo, pull_request=to.pull_request)
            if found is None:
                raise
            raise QuantbenchError(found.message, hint=found.hint) from None
    return Published(
        commit=made.oid,
        url=made.commit_url,
        pull_request_url=made.pr_url,
        changed=made.oid != head,
    )


def _head(api: HfApi, to: Destination, sleep: Sleep) -> str | None:
    """The commit that the repository is at.

    Raises:
        UsageError: it is public and was to be private.
    """
    info = _tried(lambda: api.model_info(to.repo), sleep)
    if to.private and info.private is False:
        raise UsageError(
            f"--private: {to.repo} is there already, and is public",
            hint="Choose another name, or make it private in its settings on the hub.",
        )
    return info.sha


def _tried(action: Callable[[], T], sleep: Sleep, *, even_if_lost: bool = True) -> T:
    """Do something, again after a pause if it failed for a reason that may pass.

    `even_if_lost`: also if it may have been done, and only the answer did not come.
    """
    for wait in WAITS_S:
        try:
            return action()
        except Exception as error:
            if not may_repeat(error, even_if_lost=even_if_lost):
                raise
        sleep(wait)
    return action()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No warnings of the library: they show addresses that are signed to be written to."""
    from huggingface_hub.utils import logging as library

    before = library.get_verbosity()
    library.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # A table beside a model is meant to be there.
            warnings.filterwarnings("ignore", message="It seems that you are about to commit a dat")
            # huggingface_hub 2.4 calls httpx2 in a way that this does not like any more.
            warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)
            yield
    finally:
        library.set_verbosity(before)
