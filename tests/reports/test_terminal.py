"""The terminal shows each row on a few lines, fits 80 columns, and says what to deploy."""

import io
from pathlib import Path

import pytest

from quantbench.analysis.compare import summarize
from quantbench.core.errors import ConfigError, Problem
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import Failed, SweepResult
from quantbench.reports.terminal import print_result
from quantbench.reports.wording import first_problem
from synthetic import (
    QUESTION_ANSWERING,
    sweep,
    with_arm,
    with_few_rounds,
    with_invalid_session,
)


def show(result: SweepResult) -> str:
    stream = io.StringIO()
    print_result(summarize(result, QUESTION_ANSWERING), Path("runs/name"), stream)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def printed() -> str:
    return show(sweep())


def row(printed: str, number: int) -> str:
    return printed.split(f"│   {number} │")[1].split(f"│   {number + 1} │")[0]


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


def test_a_speedup_that_is_not_resolved_is_marked_and_the_mark_explained(printed: str) -> None:
    assert "(unresolved: ±29.2%)" in row(printed, 4)
    assert "unresolved" not in row(printed, 3)
    assert "unresolved: too few process sets, or in some shape a wider interval" in printed
    assert "(unresolved)" in row(show(with_few_rounds(sweep())), 3)


def test_a_mean_over_fewer_shapes_than_planned_says_so(printed: str) -> None:
    assert "(in 1 of 2 shapes)" in row(printed, 7)


def test_an_invalid_session_is_said_before_the_advice() -> None:
    *_, caution, advice, _ = show(with_invalid_session(sweep())).splitlines()
    assert caution.startswith("Caution: The timing session is not valid")
    assert advice.startswith("Recommended: row 3: ")


def test_the_advice_ends_with_one_period(printed: str) -> None:
    advice = printed.splitlines()[-2]
    assert advice.endswith(".")
    assert not advice.endswith("..")


def test_a_row_without_a_comparison_names_what_failed() -> None:
    failure = Failed(stage="evaluate", error="the labels do not fit")
    text = row(show(with_arm(sweep(), ORIGINAL_ID, evaluation=failure)), 3)
    words = text.replace("│", " ").split()
    assert "failed (PyTorch eager): the labels do not fit" in " ".join(words)


def test_of_a_list_of_problems_the_first_problem_is_shown() -> None:
    problems = [Problem("labels", "must be one of the classes", given="7"), Problem("b", "c")]
    error = str(ConfigError("references", problems))
    assert first_problem(error) == "references: labels = 7: must be one of the classes"
    assert first_problem("killed\nby signal 9") == "killed"
    assert first_problem("") == ""
