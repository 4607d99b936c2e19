"""The terminal shows each row on a few lines, fits 80 columns, and says what to deploy."""

import io
from pathlib import Path

import pytest

from quantbench.analysis.compare import summarize
from quantbench.reports.terminal import print_result
from synthetic import QUESTION_ANSWERING, sweep


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    print_result(summarize(sweep(), QUESTION_ANSWERING), Path("runs/name"), stream)
    return stream.getvalue()


def test_the_table_fits_80_columns(printed: str) -> None:
    table = [line for line in printed.splitlines() if line[:1] in "┏┡│└"]
    assert max(map(len, table)) <= 80
    assert len(table) < 60


def test_every_row_is_there_with_what_became_of_it(printed: str) -> None:
    for number in range(1, 9):
        assert f"│   {number} │" in printed
    for word in ("= the reference", "failed:", "refused:"):
        assert word in printed


def test_the_advice_and_the_card_are_the_last_lines(printed: str) -> None:
    *_, advice, card = printed.splitlines()
    assert advice.startswith("Recommended: ")
    assert card == "Card: runs/name/README.md"
