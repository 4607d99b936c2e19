"""HTML from parts: text is escaped where it is put in, so nothing from outside is ever markup."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass

from quantbench.core.printable import printable

_VOID = frozenset({"meta", "input", "br"})


@dataclass(frozen=True)
class Html:
    """Markup that is whole and safe. Everything else is text."""

    text: str


Child = Html | str | None
Attribute = str | int | bool | None


def escaped(value: str) -> str:
    """Text from outside as HTML, fit for attributes too; control characters are written out."""
    return html.escape(printable(value))


def el(tag: str, *children: Child, **attributes: Attribute) -> Html:
    """An element.

    Args:
        tag: its name.
        children: in their order; strings are text, None is nothing.
        attributes: `class_` is class, an underscore stands for a hyphen; True gives an attribute
            without a value, False and None none at all.
    """
    named = "".join(_attribute(name, value) for name, value in attributes.items())
    start = f"<{tag}{named}>"
    return Html(start if tag in _VOID else f"{start}{join(children).text}</{tag}>")


def join(children: Iterable[Child]) -> Html:
    """Parts one after the other."""
    return Html(
        "".join(child.text if isinstance(child, Html) else _text(child) for child in children)
    )


def captioned(text: str) -> Html:
    """A table's caption, whose text stays in sight where the table is wider than the screen."""
    return el("caption", el("span", text))


def scrolling(content: Html, label: str) -> Html:
    """A box that scrolls sideways, by keyboard too."""
    return el("div", content, class_="scroll", tabindex=0, role="region", aria_label=label)


def data_island(json_text: str, name: str) -> Html:
    """JSON for the page's script. It cannot end its element: `<`, `>` and `&` are escaped in it."""
    safe = json_text
    for character in "<>&\u2028\u2029":
        safe = safe.replace(character, f"\\u{ord(character):04x}")
    return Html(f'<script type="application/json" id="{name}">{safe}</script>')


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    plain = name.rstrip("_").replace("_", "-")
    return f" {plain}" if value is True else f' {plain}="{escaped(str(value))}"'


def _text(child: str | None) -> str:
    return "" if child is None else escaped(child)
