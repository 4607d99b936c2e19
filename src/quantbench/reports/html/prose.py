"""The blocks of a card as HTML: what is said in words is said once, for both."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from quantbench.reports.html.markup import Html, escaped

# The only HTML that cards have in their Markdown (`reports.markdown`); all else is text.
_FOLD = re.compile(r"<details>\s*<summary>([^<>]*)</summary>\s*|</details>\s*")
_BREAK = "<br>"


def prose(blocks: Iterable[str], caption: str, *, level: int = 2) -> Html:
    """Markdown blocks as HTML.

    Args:
        blocks: of a card. Raw HTML in them is shown as text, but for folded parts and line breaks.
        caption: what its tables show.
        level: of a heading that is `##` in a card.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    shown = 0

    def open_table(*_: Any) -> str:
        nonlocal shown
        shown += 1
        label = escaped(caption if shown == 1 else f"{caption} ({shown})")
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
            f"<table><caption><span>{label}</span></caption>\n"
        )

    def heading(_renderer: Any, tokens: Sequence[Any], place: int, *_: Any) -> str:
        token = tokens[place]
        depth = min(6, int(token.tag[1]) + level - 2)
        return f"<h{depth}>" if token.nesting == 1 else f"</h{depth}>\n"

    rules: dict[str, Callable[..., str]] = {
        "table_open": open_table,
        "table_close": lambda *_: "</table></div>\n",
        "th_open": lambda *_: '<th scope="col">',
        "td_open": lambda *_: "<td>",
        "heading_open": heading,
        "heading_close": heading,
        "html_inline": _html,
        "html_block": _html,
        "image": _html,
        "link_open": lambda *_: "",
        "link_close": lambda *_: "",
    }
    for name, rule in rules.items():
        parser.add_render_rule(name, rule)
    return Html(parser.render("\n\n".join(blocks)))


def _html(_renderer: Any, tokens: Sequence[Any], place: int, *_: Any) -> str:
    """What the project's own Markdown has of HTML; anything else as text."""
    content: str = tokens[place].content
    if content == _BREAK or _FOLD.fullmatch(content):
        return content
    return escaped(content)
