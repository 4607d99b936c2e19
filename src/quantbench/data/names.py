"""Names in configs: which of them are paths."""

from __future__ import annotations


def is_explicit_path(text: str) -> bool:
    """Whether a name can only be a path: absolute, or starting with `.` or `~`.

    `owner/name` is not explicit: it is also how the hub names things.
    """
    return text.startswith(("/", ".", "~"))
