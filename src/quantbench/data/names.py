"""Names in configs: suggesting the one that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(given: str, names: Iterable[str]) -> str | None:
    """The name that looks most like the given one, whatever its case; None if none does."""
    by_folded = {name.casefold(): name for name in names}
    matches = difflib.get_close_matches(given.casefold(), by_folded, n=1)
    return by_folded[matches[0]] if matches else None


def is_explicit_path(text: str) -> bool:
    """Whether a name can only be a path: absolute, or starting with `.` or `~`.

    `owner/name` is not explicit: it is also how the hub names things.
    """
    return text.startswith(("/", ".", "~"))
