"""The two published cards of the family, as text and as the data that they were checked against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from quantbench import registry
from quantbench.cards.read import PublishedCard, read_card
from quantbench.reports.card_parity import render_parity

DATA = Path(__file__).parents[1] / "data"
NAMES = ("distilbert-squad", "vit-beans")
CATALOG = registry.catalog()


def collapsed(name: str) -> str:
    """The card's text with its white space collapsed."""
    return (DATA / f"{name}.card.txt").read_text()


def tables(name: str) -> dict[str, Any]:
    """The card's tables as data, made by other means than this reader."""
    found: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text())
    return found


def read(text: str) -> PublishedCard:
    return read_card(text, "card.md", CATALOG)


def markdown(name: str) -> str:
    """The card as Markdown with lines."""
    return render_parity(read(collapsed(name)).result)
