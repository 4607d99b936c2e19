"""A cursor over a card's text, to which all white space is alike; errors name line and column."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import NoReturn

from quantbench.cards.literals import LONGEST_VALUE
from quantbench.core.errors import UsageError
from quantbench.core.printable import shortened

FAMILY = (
    "A card of this family has front matter, **task**, **Backend:**, **Backend args:**, "
    "**Number of evaluation samples:**, its parameters, # Evaluation, ## Non-time metrics and "
    "## Time metrics, in this order."
)

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"\S+")
_TICKS = re.compile(r"`+")
_BAR = re.compile(r"(?<!\\)\|")
_LONGEST_SHOWN = 40


@dataclass(frozen=True)
class Place:
    """Where something stands in a file; both count from 1, columns in characters."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


def place(text: str, offset: int) -> Place:
    """The place of a character."""
    start = text.rfind("\n", 0, offset) + 1
    return Place(text.count("\n", 0, start) + 1, offset - start + 1)


class Scanner:
    """Reads a card from its start to its end. What is not expected is an error.

    Every method skips white space first, and leaves the cursor behind what it took.
    """

    def __init__(self, text: str, source: str) -> None:
        self.text = text
        self.source = source
        self.at = 0

    def skip(self) -> int:
        """Go to the next character that is no white space; returns its offset."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at

    def is_at_end(self) -> bool:
        """Whether nothing but white space is left."""
        return self.skip() == len(self.text)

    def fail(self, message: str, at: int | None = None, hint: str | None = None) -> NoReturn:
        """Refuse the card.

        Raises:
            UsageError: always; it names the place of `at`, or of the cursor.
        """
        where = place(self.text, self.at if at is None else at)
        raise UsageError(f"{self.source}, {where}: {message}", hint=hint)

    def fail_expected(self, expected: str) -> NoReturn:
        """Refuse the card because something else stands at the cursor, or it has ended."""
        if self.is_at_end():
            self.fail(f"the card ends here, before {expected}", hint="Is the file cut off?")
        self.fail(f"expected {expected}, found {self._shown()}", hint=FAMILY)

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Take what the pattern matches here; None if it does not."""
        found = pattern.match(self.text, self.skip())
        if found is not None:
            self.at = found.end()
        return found

    def has(self, words: str) -> bool:
        """Whether these words stand here, whatever white space is between them."""
        return _pattern(words).match(self.text, self.skip()) is not None

    def take(self, words: str) -> None:
        """Take these words. Raises UsageError if something else stands here."""
        if self.match(_pattern(words)) is None:
            self.fail_expected(f"`{words}`")

    def word(self, expected: str) -> str:
        """Take all characters up to the next white space."""
        found = self.match(_WORD)
        if found is None:
            self.fail_expected(expected)
        return found[0]

    def span(self, expected: str) -> str:
        """Take a code span; returns what is in it, its white space collapsed."""
        start = self.skip()
        opened = self.match(_TICKS)
        if opened is None:
            self.fail_expected(expected)
        closed = next(
            (
                found
                for found in _TICKS.finditer(self.text, self.at)
                if len(found[0]) == len(opened[0])
            ),
            None,
        )
        if closed is None:
            self.fail("this code span has no end", start, "Is the file cut off?")
        content = " ".join(self.text[self.at : closed.start()].split())
        if len(content) > LONGEST_VALUE:
            most = f"a value has at most {LONGEST_VALUE:,}"
            self.fail(f"{expected} has {len(content):,} characters: {most}", start)
        self.at = closed.end()
        return content

    def cell(self) -> tuple[int, str] | None:
        """Take a cell and the bar that ends it: its offset and its text, collapsed.

        None, and the cursor stays, where no bar is left in the text. The bar that begins a row is
        not taken here.
        """
        start = self.skip()
        bar = _BAR.search(self.text, start)
        if bar is None:
            return None
        self.at = bar.end()
        return start, " ".join(self.text[start : bar.start()].split())

    def _shown(self) -> str:
        return repr(shortened(" ".join(self.text[self.at : self.at + 200].split()), _LONGEST_SHOWN))


@functools.lru_cache(maxsize=100)
def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(r"\s+".join(map(re.escape, words.split())))
