"""What the errors of an upload mean: whether to try again, and what a user can do."""

from __future__ import annotations

from dataclasses import dataclass

from quantbench.core.printable import shortened, without_credentials
from quantbench.data.hub_errors import PASSING_STATUS, chain

# With these the hub says that it did not do what was asked; with other errors nobody knows.
_NOT_DONE = frozenset({429, 503})
_CONFLICT = frozenset({409, 412})
_NOTHING = "Nothing of this push is in the repository"
_LONGEST = 300


@dataclass(frozen=True)
class Refusal:
    """Why something was not published, and what to do."""

    message: str
    hint: str


def may_repeat(error: BaseException, *, even_if_lost: bool) -> bool:
    """Whether the same request may succeed a moment later, and does no harm if it is done twice.

    Args:
        error: what it raised.
        even_if_lost: whether it may be repeated where only the answer may have been lost.
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    for part in chain(error):
        if isinstance(part, HfHubHTTPError):
            status = part.response.status_code
            return status in (PASSING_STATUS if even_if_lost else _NOT_DONE)
        if isinstance(part, httpx2.ProxyError):
            return False
        if isinstance(part, httpx2.TransportError):
            return even_if_lost or isinstance(part, httpx2.ConnectError)
    return False


def refusal(error: BaseException, repo: str, *, pull_request: bool) -> Refusal | None:
    """Say what an error of an upload means; None if it is not about the hub."""
    for part in chain(error):
        found = _explain(part, repo, pull_request)
        if found is not None:
            return found
    return None


def _explain(error: BaseException, repo: str, pull_request: bool) -> Refusal | None:
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    if isinstance(error, RepositoryNotFoundError):
        instead = " To make it, leave --pr out." if pull_request else ""
        return Refusal(
            f"there is no model repository {repo} that your token may see",
            f"Check the spelling, and the token (`hf auth whoami`).{instead}",
        )
    if isinstance(error, HfHubHTTPError):
        return _status(error.response.status_code, error.server_message, repo)
    if isinstance(error, httpx2.TransportError):
        return Refusal(
            f"the connection to the hub failed: {_told(str(error) or type(error).__name__)}",
            f"{_NOTHING}, unless the answer to the commit was what got lost: look at its page, "
            "then run the same command again.",
        )
    if isinstance(error, ValueError) and str(error).startswith(("Invalid metadata", "LFS batch")):
        return Refusal(f"the hub refuses the files: {_told(str(error))}", f"{_NOTHING}.")
    return None


def _status(status: int, said: str | None, repo: str) -> Refusal:
    """What a status of the hub means, given what it said beside it."""
    if status == 401:
        return Refusal(
            "the hub refuses the token of this machine (401)",
            "Log in again with `hf auth login`, or correct HF_TOKEN.",
        )
    if status == 403:
        return Refusal(
            f"the token of this machine may not write to {repo} (403)",
            "Use a token that has the role write, or the right to write to this repository; or "
            "propose the files with --pr.",
        )
    if status in _CONFLICT:
        return Refusal(
            f"somebody else committed to {repo} meanwhile ({status})",
            f"{_NOTHING}, unless that commit is its own first try, to which no answer came: look "
            "at the repository's history, then run the same command again.",
        )
    if status in PASSING_STATUS:
        return Refusal(
            f"the hub answers {status}, and did so each time it was asked",
            "Try again later. Large files that arrived are not sent again; a commit or pull "
            "request that was made although the answer was an error is on the repository's page.",
        )
    told = f": {_told(said)}" if said else ""
    return Refusal(f"the hub refuses to take the files ({status}){told}", f"{_NOTHING}.")


def _told(text: str) -> str:
    """What the hub or the network said, on one line."""
    return shortened(without_credentials(" ".join(text.split())), _LONGEST)
