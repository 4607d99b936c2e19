"""What the errors of a download mean: whether they may pass, and what a user can do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from quantbench.data.moved_names import Kind

# The library tries most requests again by itself; these waits are around all of them.
RETRY_WAITS_S = (1.0, 4.0)
PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NOT_WRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class DamagedFileError(OSError):
    """A file arrived complete in length, but with other contents than the hub has."""


@dataclass(frozen=True)
class Refusal:
    """Why the hub did not give something: which parameter it is about, why, and what to do."""

    about: Literal["name", "revision"]
    message: str
    hint: str


def explain(error: BaseException, kind: Kind, name: str, revision: str | None) -> Refusal | None:
    """Say what an error of a download means; None if it is not about the hub or the disk."""
    for part in chain(error):
        found = _explain(part, kind, name, revision)
        if found is not None:
            return found
    return None


def unreachable(error: BaseException) -> str | None:
    """In a few words, why the hub did not answer; None if it did answer."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "offline mode is set"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return f"it answers {status}" if status in PASSING_STATUS else None
    if isinstance(error, httpx2.TransportError) and not isinstance(error, httpx2.ProxyError):
        return _first_line(error)
    return None


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed a moment later."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    for part in chain(error):
        if isinstance(part, DamagedFileError):
            return True
        if isinstance(part, HfHubHTTPError):
            return part.response.status_code in PASSING_STATUS
        # Without a network nothing gets better by waiting.
        if isinstance(part, httpx2.TransportError):
            return not isinstance(part, httpx2.ConnectError | httpx2.ProxyError)
        if isinstance(part, OSError) and "Consistency check failed" in str(part):
            return True
    return False


def _explain(error: BaseException, kind: Kind, name: str, revision: str | None) -> Refusal | None:
    import httpx2
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        DisabledRepoError,
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    match error:
        case GatedRepoError():
            return Refusal(
                "name",
                f"the hub lets only people who accepted its terms download this {kind}",
                f"Accept them on the {kind}'s page, then log in with `hf auth login` "
                "(or set HF_TOKEN).",
            )
        case RepositoryNotFoundError():
            what = "directory" if kind == "model" else "folder"
            return Refusal(
                "name",
                f"no such {what} here, and no such {kind} on the hub that you may see",
                f"Check the spelling (owner/name); for a private {kind} log in: `hf auth login`.",
            )
        case RevisionNotFoundError():
            return Refusal(
                "revision",
                f"the {kind} {name} has no such branch, tag or commit",
                f"They are listed on the {kind}'s page below Files; leave the revision out for "
                "the default branch.",
            )
        case DisabledRepoError():
            return Refusal(
                "name", f"the hub has disabled this {kind}", f"The {kind}'s page may say why."
            )
        case HfHubHTTPError() if error.response.status_code in (401, 403):
            return Refusal(
                "name",
                f"the hub refuses the token that this machine sends ({error.response.status_code})",
                "Log in again with `hf auth login`, or correct HF_TOKEN.",
            )
        case HfHubHTTPError() if error.response.status_code in PASSING_STATUS:
            return Refusal(
                "name",
                f"the hub answers {error.response.status_code}, and did so "
                f"{len(RETRY_WAITS_S) + 1} times",
                "Try again later: files that are complete are kept.",
            )
        case OSError() if error.errno in DISK_FULL:
            return Refusal(
                "name",
                f"the download does not fit on the disk of {constants.HF_HOME} ({error.strerror})",
                "Free space there, or set HF_HOME to a directory on another disk. Files that are "
                "complete are kept, no partial one is.",
            )
        case OSError() if error.errno in NOT_WRITABLE:
            return Refusal(
                "name",
                f"the download cannot be kept: {error.filename or constants.HF_HOME}: "
                f"{error.strerror}",
                "Make it writable, or set HF_HOME to another directory.",
            )
        case DamagedFileError():
            return Refusal(
                "name",
                f"{error}: it arrived damaged, {len(RETRY_WAITS_S) + 1} times",
                "Try again later, perhaps over another network; nothing of it was kept.",
            )
        case httpx2.ProxyError():
            return Refusal("name", f"the proxy fails: {_first_line(error)}", "Check HTTPS_PROXY.")
        case httpx2.TransportError():
            return Refusal(
                "name",
                f"the connection to the hub broke off: {_first_line(error)}",
                "Try again: files that are complete are kept, no partial one is.",
            )
    return None


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it came from, also where a traceback would hide them."""
    seen: set[int] = set()
    part: BaseException | None = error
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        yield part
        part = part.__cause__ or part.__context__


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
