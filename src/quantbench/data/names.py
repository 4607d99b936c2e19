"""Names in configs: which of them are paths, and what they lead to."""

from __future__ import annotations

from pathlib import Path

from quantbench.core.errors import UsageError


def is_explicit_path(text: str) -> bool:
    """Whether a name can only be a path: absolute, or starting with `.` or `~`.

    `owner/name` is not explicit: it is also how the hub names things.
    """
    return text.startswith(("/", ".", "~"))


def local_path(parameter: str, text: str) -> Path | None:
    """What a name leads to on this machine, with `~` replaced; None if nothing is there.

    Args:
        parameter: what holds the name, for the message.
        text: the name.

    Raises:
        UsageError: it cannot be looked up: too long, the home of nobody, or a folder that must not
            be read.
    """
    try:
        path = Path(text).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"{parameter} = {text:.80}{'…' if len(text) > 80 else ''} cannot be looked up on this "
            f"machine: {reason}",
            hint="Give another path, or a name on the hub (owner/name).",
        ) from None
