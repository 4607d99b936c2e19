"""A table of thousands of rows as text, drawn as rich draws tables, in a fraction of the time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells

# A column that folds has at least so many characters.
_NARROWEST = 8


@dataclass(frozen=True)
class TextColumn:
    """A column: its title, the side that its cells stand on, and whether long ones are folded."""

    title: str
    right: bool = True
    folds: bool = False


def draw(
    columns: Sequence[TextColumn], rows: Sequence[Sequence[str]], width: int
) -> tuple[list[str], Iterator[str]]:
    """The lines of a table: its head, and the rest.

    Args:
        columns: what stands above; lines of a title are separated by line feeds.
        rows: a printable text for each column, whose lines are separated by line feeds.
        width: of the terminal. Columns that fold share what the others leave.
    """
    cells = [[text.split("\n") for text in row] for row in rows]
    titles = [column.title.split("\n") for column in columns]
    widths = [
        max(map(_width, itertools.chain(titles[place], *(row[place] for row in cells))))
        for place in range(len(columns))
    ]
    frame = 3 * len(columns) + 1
    folding = [place for place, column in enumerate(columns) if column.folds]
    left = width - frame - sum(n for place, n in enumerate(widths) if place not in folding)
    for number, place in enumerate(folding):
        share = max(_NARROWEST, left // (len(folding) - number))
        widths[place] = min(widths[place], share)
        left -= widths[place]

    def rule(start: str, line: str, between: str, end: str) -> str:
        return start + between.join(line * (n + 2) for n in widths) + end

    def body() -> Iterator[str]:
        for row in cells:
            yield from _lines(row, columns, widths, "│")
        yield rule("└", "─", "┴", "┘")

    head = [
        rule("┏", "━", "┳", "┓"),
        *_lines(titles, columns, widths, "┃"),
        rule("┡", "━", "╇", "┩"),
    ]
    return head, body()


def _lines(
    row: Sequence[Sequence[str]],
    columns: Sequence[TextColumn],
    widths: Sequence[int],
    bar: str,
) -> Iterator[str]:
    folded = [
        [part for line in cell for part in _fold(line, width)]
        for cell, width in zip(row, widths, strict=True)
    ]
    for parts in itertools.zip_longest(*folded, fillvalue=""):
        padded = (
            _padded(text, width, right=column.right)
            for text, width, column in zip(parts, widths, columns, strict=True)
        )
        yield f"{bar} {f' {bar} '.join(padded)} {bar}"


def _fold(line: str, width: int) -> list[str]:
    """A line in parts of at most that width: between words, or else inside one."""
    if _width(line) <= width:
        return [line]
    found: list[str] = []
    rest = ""
    for word in line.split(" "):
        joined = f"{rest} {word}" if rest else word
        if _width(joined) <= width:
            rest = joined
            continue
        if rest:
            found.append(rest)
        *whole, rest = chop_cells(word, width) or [""]
        found += whole
    return [*found, rest]


def _padded(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    """The characters that a text takes on a terminal; nearly all text is ASCII."""
    return len(text) if text.isascii() else cell_len(text)
