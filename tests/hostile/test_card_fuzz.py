"""Whatever a card holds: it is read and written again, or refused with line and column."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile_data import ODD_TEXT, command, json_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantbench import registry
from quantbench.analysis.compare import summarize
from quantbench.analysis.lint import lint
from quantbench.cards.read import PublishedCard, read_card
from quantbench.core.errors import UsageError
from quantbench.reports.card_parity import first_difference, render_parity
from quantbench.reports.lint import lint_as_json

CATALOG = registry.catalog()
DATA = Path(__file__).parents[1] / "data"
COLLAPSED = [(DATA / f"{name}.card.txt").read_text() for name in ("distilbert-squad", "vit-beans")]
CARDS = [
    *COLLAPSED,
    *(render_parity(read_card(text, "card", CATALOG).result) for text in COLLAPSED),
]

Spoil = Callable[[str], str]
# Pieces that mean something to a card.
PIECES = (
    "|", "| ", r"\|", "`", "``", "---", "- ", "* **opset**: `11`", "* **dataset**:", "\n", "  ",
    "**task**:", "# Evaluation", "## Time metrics", ":---:", "| :-: |", "`All dataset`", "`1000`",
    "Benchmarked parameters:", "Fixed parameters:", "0.00", "0.000", "9999999999.99", "-1.00",
    "1e5", "nan", "٣.٠٠", "[]", "['Add']", "`['Add']`", "True", "None", "tags:", "metrics: []",
    "library_name: onnx", "Below, time metrics for batch size = 1, input length = 32.",
    "batch size = 999999999", "15 seconds", "1e-9 seconds", "86400 seconds", "* **a**: `" * 300,
    "`" * 4000, "|" * 4000, "[" * 3000, "- " * 2000, "&amp;", "<b>",
)  # fmt: skip
pieces = st.one_of(
    st.integers(0, len(PIECES) - 1).map(lambda number: PIECES[number]),
    st.integers(0, len(ODD_TEXT) - 1).map(lambda number: ODD_TEXT[number]),
    st.text(st.characters(exclude_categories=[]), max_size=12),
    json_values.map(repr),
)


def _word(text: str, place: int) -> re.Match[str]:
    words = list(re.finditer(r"\S+", text))
    return words[place % len(words)]


def _replaced(place: int, new: str) -> Spoil:
    def spoil(text: str) -> str:
        word = _word(text, place)
        return text[: word.start()] + new + text[word.end() :]

    return spoil


def _inserted(place: int, new: str) -> Spoil:
    return lambda text: text[: place % len(text)] + new + text[place % len(text) :]


def _removed(place: int, length: int) -> Spoil:
    return lambda text: text[: place % len(text)] + text[place % len(text) + length :]


def _doubled(place: int, length: int) -> Spoil:
    return lambda text: text[: place % len(text) + length] + text[place % len(text) :]


def _moved(place: int, target: int, length: int) -> Spoil:
    def spoil(text: str) -> str:
        start = place % len(text)
        part, rest = text[start : start + length], text[:start] + text[start + length :]
        return rest[: target % (len(rest) + 1)] + part + rest[target % (len(rest) + 1) :]

    return spoil


def _number(place: int, new: str) -> Spoil:
    """Another number, with the same number of decimals, or none at all."""

    def spoil(text: str) -> str:
        found = list(re.finditer(r"\d+\.\d+", text))
        if not found:
            return text
        match = found[place % len(found)]
        return text[: match.start()] + new + text[match.end() :]

    return spoil


def _everywhere(place: int, new: str) -> Spoil:
    """Another word in the place of all that are like one: a name in header and tables."""
    return lambda text: text.replace(_word(text, place)[0], new)


places = st.integers(0, 60_000)
numbers = st.one_of(
    st.decimals(0, 10**11, places=2).map(str),
    st.decimals(-100, 200, places=3).map(str),
    st.sampled_from(["0.00", "0.01", "0.000", "1.000", "100.000", "999999999999.99"]),
)
spoils = st.one_of(
    st.builds(_number, places, numbers),
    st.builds(_number, places, numbers),
    st.builds(_everywhere, places, numbers),
    st.builds(_everywhere, places, pieces),
    st.builds(_replaced, places, pieces),
    st.builds(_replaced, places, pieces),
    st.builds(_inserted, places, pieces),
    st.builds(_removed, places, st.integers(1, 400)),
    st.builds(_doubled, places, st.integers(1, 3000)),
    st.builds(_moved, places, places, st.integers(1, 1500)),
    places.map(lambda end: lambda text: text[: end % len(text)]),
    places.map(lambda start: lambda text: text[start % len(text) :]),
)
# By number: hypothesis writes out what it samples from.
cards = st.integers(0, len(CARDS) - 1).map(lambda number: CARDS[number])
spoilt_cards = st.builds(
    lambda card, done: _all(done)(card),
    cards,
    st.lists(spoils, min_size=1, max_size=3),
)
texts = st.one_of(
    spoilt_cards,
    spoilt_cards,
    spoilt_cards,
    st.lists(pieces, max_size=8).map(" ".join),
)


def _all(done: list[Spoil]) -> Spoil:
    def spoil(text: str) -> str:
        for one in done:
            text = one(text) or " "
            text = text if text.strip() else "x"
        return text

    return spoil


def check_read(text: str) -> PublishedCard | None:
    """The card comes out and can be written and read again, or an error names the place."""
    try:
        card = read_card(text, "card.md", CATALOG)
    except UsageError as error:
        assert re.match(r"card\.md, line \d+, column \d+: \S", str(error))  # noqa: PT017
        assert len(str(error)) < 20_000  # noqa: PT017
        return None
    result = card.result
    json.loads(result.model_dump_json(), parse_constant=pytest.fail)
    rendered = render_parity(result)
    assert read_card(rendered, "again.md", CATALOG).result == _in_order(result)
    first_difference(text, rendered)
    spec = CATALOG.tasks[result.config.task]
    summary = summarize(result, spec)
    assert len(summary.rows) == len(result.published)
    found = lint(result, spec)
    json.dumps(lint_as_json(found, card, "card.md"), allow_nan=False)
    for finding in found.findings:
        for quote in finding.quotes:
            assert card.place(quote.where) is not None
    return card


def _in_order(result: Any) -> Any:
    """The result with its rows as the rendering sorts and so numbers them."""
    rows = sorted(result.published, key=lambda row: [repr(v) for v in row.parameters.values()])
    numbered = tuple(row.model_copy(update={"number": n}) for n, row in enumerate(rows, 1))
    return result.model_copy(update={"published": numbered})


def fuzz(check: Callable[[str], object], examples: int, *, repeatable: bool = True) -> None:
    @settings(
        max_examples=examples,
        deadline=20_000,  # a hang
        derandomize=repeatable,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(texts)
    def once(text: str) -> None:
        check(text)

    once()


def test_a_spoilt_card_is_read_or_refused_with_its_place() -> None:
    fuzz(check_read, 300)


@pytest.mark.slow
def test_a_spoilt_card_is_read_or_refused_with_its_place_many_times() -> None:
    fuzz(check_read, 10_000, repeatable=False)


def test_the_commands_say_what_is_wrong_on_one_line(tmp_path: Path) -> None:
    file = tmp_path / "card.md"

    def check(text: str) -> None:
        file.write_bytes(text.encode(errors="surrogatepass"))
        said = command("lint", str(file))
        assert said.code in (0, 1, 2)
        assert "Traceback" not in said.out + said.err
        assert (said.code == 2) == said.err.startswith(f"quantbench: {file}")
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", said.out + said.err)

    fuzz(check, 100)


def test_most_changes_of_a_number_leave_a_card_that_is_read() -> None:
    """So that the fuzzing reaches what comes after reading."""
    found: list[bool] = []

    @settings(max_examples=60, derandomize=True, database=None, deadline=20_000)
    @given(
        st.sampled_from(CARDS), st.builds(_number, places, st.decimals(1, 99, places=2).map(str))
    )
    def once(card: str, spoil: Spoil) -> None:
        found.append(check_read(spoil(card)) is not None)

    once()
    assert sum(found) > len(found) // 3
