"""What `lint` found, for people and as JSON."""

from __future__ import annotations

from typing import Any, TextIO

from quantbench.analysis.lint import Lint
from quantbench.cards.read import PublishedCard
from quantbench.core.printable import printable
from quantbench.reports.wording import plural


def print_lint(found: Lint, card: PublishedCard, source: str, stream: TextIO) -> None:
    """Print the findings: what, the card's words with their place, why it cannot be, what to do."""
    lines: list[str] = []
    for finding in found.findings:
        lines.append(f"{finding.rule}: {finding.what}")
        for quote in finding.quotes:
            lines.append(f"    says: {_where(card, quote.where)}: {quote.says}")
        lines.append(f"    why:  {finding.why}")
        lines.append(f"    do:   {finding.change}")
        lines.append("")
    for item in found.unchecked:
        lines.append(f"not checked, {', '.join(item.rules)}: {item.reason}")
    lines.append(f"{source}: {plural(len(found.findings), 'finding')}")
    for line in lines:
        print(printable(line), file=stream)


def lint_as_json(found: Lint, card: PublishedCard, source: str) -> dict[str, Any]:
    """The same as plain data; a quote has the line and column of the row that it is from."""
    data = found.model_dump(mode="json")
    for finding in data["findings"]:
        for quote in finding["quotes"]:
            place = card.place(quote["where"])
            quote["line"] = place.line if place else None
            quote["column"] = place.column if place else None
    return {"card": source, **data}


def _where(card: PublishedCard, name: str) -> str:
    """A place by its name; with its line where the text has lines."""
    place = card.place(name)
    return name if place is None or "\n" not in card.text.strip() else f"line {place.line}, {name}"
