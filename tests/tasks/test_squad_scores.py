"""Scores of whole question sets: against cases worked out by hand and the official definitions."""

import random

import pytest

from quantbench.tasks.squad_scores import score_version_1, score_version_2
from squad_cases import CASES, Case, official

OF_VERSION_1 = tuple(case for case in CASES if case.version_1 is not None)
# Pieces of answers: words, articles, signs of both kinds, white space of several widths.
PIECES = (
    "the", "a", "an", "The", "river", "Denver", "5", "1,000", "é", "e\u0301", "İ", "ß", "日本",
    " ", "  ", "\t", "\u00a0", "\u200b", "-", ".", "...", "'", "\u2019", "\u2014", "$", "€", "_",
)  # fmt: skip
NAMES_2 = {"exact_match", "f1", "HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1"}


def test_there_are_cases_enough() -> None:
    assert len(OF_VERSION_1) >= 50
    assert len(CASES) - len(OF_VERSION_1) >= 5


@pytest.mark.parametrize("case", OF_VERSION_1, ids=lambda case: ascii(case.prediction))
def test_a_case_scores_in_version_1_as_worked_out_by_hand(case: Case) -> None:
    found = score_version_1([case.prediction], [case.references])
    expected = [float(value) for value in case.version_1 or ()]
    assert [found.per_sample[name][0] for name in ("exact_match", "f1")] == pytest.approx(
        expected, abs=1e-9
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.prediction))
def test_a_case_scores_in_version_2_as_worked_out_by_hand(case: Case) -> None:
    found = score_version_2([case.prediction], [case.references])
    exact, f1 = (float(value) for value in case.version_2)
    kind, other = ("HasAns", "NoAns") if case.references else ("NoAns", "HasAns")
    assert found.metrics == pytest.approx(
        {
            "exact_match": 100 * exact,
            "f1": 100 * f1,
            f"{kind}_exact": 100 * exact,
            f"{kind}_f1": 100 * f1,
            f"{other}_exact": 0.0,
            f"{other}_f1": 0.0,
        },
        abs=1e-9,
    )
    assert found.parts[f"{kind}_f1"] == (pytest.approx((f1, 1.0), abs=1e-9),)
    assert found.parts[f"{other}_f1"] == ((0.0, 0.0),)


def random_answers(seed: int, least: int) -> tuple[list[str], list[list[str]]]:
    """200 predictions and their references, `least` to 3 of them; some are the same text."""
    rng = random.Random(seed)

    def text() -> str:
        return "".join(rng.choice(PIECES) + rng.choice(("", " ")) for _ in range(rng.randrange(6)))

    predictions = [text() for _ in range(200)]
    references = [[text() for _ in range(rng.randint(least, 3))] for _ in range(200)]
    for prediction, texts in zip(predictions, references, strict=True):
        if texts and rng.random() < 0.2:
            texts[0] = f" {prediction.upper()} "
    return predictions, references


@pytest.mark.parametrize("seed", range(20))
def test_any_set_scores_as_the_definition_of_version_1_says(seed: int) -> None:
    predictions, references = random_answers(seed, least=1)
    found = score_version_1(predictions, references).metrics
    assert found == pytest.approx(official(predictions, references, version=1), abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_any_set_scores_as_the_definition_of_version_2_says(seed: int) -> None:
    predictions, references = random_answers(seed, least=0)
    expected = official(predictions, references, version=2)
    expected["exact_match"] = expected.pop("exact")
    assert set(expected) == NAMES_2
    found = score_version_2(predictions, references).metrics
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_cases_together_score_as_the_definitions_say() -> None:
    predictions = [case.prediction for case in CASES]
    references = [case.references for case in CASES]
    expected = official(predictions, references, version=2)
    expected["exact_match"] = expected.pop("exact")
    assert score_version_2(predictions, references).metrics == pytest.approx(expected, abs=1e-9)
    predictions = [case.prediction for case in OF_VERSION_1]
    references = [case.references for case in OF_VERSION_1]
    assert score_version_1(predictions, references).metrics == pytest.approx(
        official(predictions, references, version=1), abs=1e-9
    )


def test_a_model_that_gives_no_numbers_is_not_right_where_there_is_no_answer() -> None:
    assert set(score_version_2([None, None], [[], ["river"]]).metrics.values()) == {0.0}
