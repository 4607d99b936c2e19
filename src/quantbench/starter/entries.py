"""Lines of a config, each with the reason why it says what it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

# What stands where a person has to write something: a value, or a list of them.
PLACEHOLDERS = ("...", "[...]")


@dataclass(frozen=True)
class Entry:
    """A parameter, its value, and a comment.

    `block` has the entries of a mapping, and `value` is then not used. An entry that is not
    `filled` is written as a comment, for a person to fill in: a config that lacks it is refused.
    """

    key: str
    value: JsonValue = None
    comment: str = ""
    filled: bool = True
    block: tuple[Entry, ...] = ()
    above: tuple[str, ...] = ()


def guessed(key: str, value: JsonValue, why: str) -> Entry:
    """A parameter whose value is a guess."""
    return Entry(key, value, f"guessed: {why}")


def to_fill_in(key: str, what: str, above: Sequence[str] = ()) -> Entry:
    """A parameter that could not be guessed."""
    return Entry(key, "...", f"fill in: {what}", filled=False, above=tuple(above))


def open_places(entries: Sequence[Entry]) -> Iterator[str]:
    """The dotted names of what is left to fill in."""
    for entry in entries:
        if entry.comment.startswith("fill in: "):
            yield entry.key
        else:
            yield from (f"{entry.key}.{name}" for name in open_places(entry.block))
