"""Text from outside, made fit for a terminal, a message or a card."""

from __future__ import annotations

import re

# What a terminal acts on, what turns the direction of writing or ends a line unseen, and halves of
# characters, which cannot be encoded. Line feeds and tabs are what our own messages are made of.
UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_CREDENTIALS = re.compile(r"//[^/\s]*@")
_LONGEST = 120


def printable(text: str) -> str:
    r"""The text with control characters written out: escape becomes `\x1b`, and so on."""
    return UNPRINTABLE.sub(lambda found: _escaped(found[0]), text)


def shortened(text: str, longest: int = _LONGEST) -> str:
    """The text, cut with an ellipsis if it is longer than that many characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def without_credentials(text: str) -> str:
    """The text with `//user:secret@` of an address masked."""
    return _CREDENTIALS.sub("//…@", text)


def has_credentials(text: str) -> bool:
    """Whether an address in the text names a user, a password or a token."""
    return _CREDENTIALS.search(text) is not None


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
