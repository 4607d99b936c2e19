"""Small pieces of Markdown: escaped text, code spans, centred tables, fences."""

from __future__ import annotations

import re
from collections.abc import Sequence

from quantbench.core.printable import printable

# A column of tables that separates groups of columns, as the published cards have it.
SEPARATOR = r"\|"


def text(value: str) -> str:
    """Plain text from outside: nothing in it is markup, and it stays on one line."""
    line = _one_line(value)
    # Inside a word an underscore is no markup: metric_names stay readable.
    escaped = re.sub(r"([\\`*\[\]|#~]|(?<!\w)_|_(?!\w))", r"\\\1", line)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(value: str, *, in_table: bool = False) -> str:
    """A code span, whatever is in the value.

    Args:
        value: its white space is collapsed, as a span is one line.
        in_table: escape the bars, which end a cell even inside a code span.
    """
    line = _one_line(value)
    if in_table:
        line = line.replace("|", r"\|")
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    if not longest:
        return f"`{line}`" if line else "` `"
    fence = "`" * (longest + 1)
    return f"{fence} {line} {fence}"


def literal(value: object, *, in_table: bool = False) -> str:
    """A value as a Python literal in a code span; text stands without its quotation marks."""
    return code(value if isinstance(value, str) else repr(value), in_table=in_table)


def fence(content: str, language: str = "") -> str:
    """A fenced block that no line of the content can end."""
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}{language}\n{printable(content.rstrip())}\n{marks}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with every cell centred and every column padded to its widest cell.

    Cells are Markdown already: bars in them must be escaped.
    """
    columns = zip(header, *rows, strict=True)
    widths = [max(3, *(len(cell) for cell in column)) for column in columns]
    rule = [f":{'-' * (width - 2)}:" for width in widths]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.center(width) for cell, width in zip(cells, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    return "\n".join([line(header), line(rule), *(line(row) for row in rows)])


def details(summary: str, body: str) -> str:
    """A block that is folded until it is asked for. `summary` is HTML-safe already."""
    return f"<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def picture(stem: str, alt: str) -> str:
    """A picture with a light and a dark version, `STEM-light.svg` and `STEM-dark.svg`."""
    safe = (
        alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
    )
    return (
        "<picture>\n"
        f'  <source media="(prefers-color-scheme: dark)" srcset="{stem}-dark.svg">\n'
        f'  <img alt="{safe}" src="{stem}-light.svg">\n'
        "</picture>"
    )


def _one_line(value: str) -> str:
    return printable(" ".join(value.split()))
