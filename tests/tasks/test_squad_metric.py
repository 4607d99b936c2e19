"""SQuAD's exact match and F1, as `evaluate-v1.1.py` gives them."""

from typing import Any

import pytest

from quantbench.tasks.squad_metric import best_over_references, exact_match, f1, normalize_answer


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Bridge", "bridge"),
        ("an apple, a pear and the plum", "apple pear and plum"),
        ("  white \t space\nhere ", "white space here"),
        ("U.S.A.", "usa"),
        ("don't", "dont"),
        ("theatre", "theatre"),  # articles are whole words
        ("the-end", "theend"),  # punctuation goes first, so the article is no word any more
        ("Zürich", "zürich"),
        ("ÉCOLE", "école"),
        ("“quoted”", "“quoted”"),  # only ASCII punctuation goes
        ("the", ""),
        ("", ""),
        ("5 000", "5 000"),
        ("$1,000.50", "100050"),
    ],
)
def test_normalisation(text: str, normal: str) -> None:
    assert normalize_answer(text) == normal


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("the Eiffel Tower", "Eiffel tower.", 1.0),
        ("Eiffel", "Eiffel Tower", 0.0),
        ("the", "a", 1.0),  # both empty
        ("", "", 1.0),
        ("cafe\u0301", "café", 0.0),  # composed and decomposed characters differ
    ],
)
def test_exact_match(prediction: str, reference: str, expected: Any) -> None:
    assert exact_match(prediction, reference) == expected


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("Eiffel Tower", "the Eiffel Tower", 1.0),
        ("Eiffel", "Eiffel Tower", 2 / 3),  # precision 1, recall 1/2
        ("big Eiffel Tower in Paris", "Eiffel Tower", 2 * (2 / 5) / (2 / 5 + 1)),
        ("no no no", "no", 0.5),  # one of three, not three of three
        ("no no", "no no yes", 0.8),
        ("Paris", "London", 0.0),
        ("", "", 0.0),  # both empty: version 1.1 gives 0
        ("the", "an", 0.0),
        ("", "something", 0.0),
    ],
)
def test_f1(prediction: str, reference: str, expected: Any) -> None:
    assert f1(prediction, reference) == pytest.approx(expected)
    assert f1(reference, prediction) == pytest.approx(expected)


def test_the_reference_that_fits_best_counts() -> None:
    references = ["Denver", "the Denver Broncos", "Broncos of Denver"]
    assert best_over_references(exact_match, "Denver Broncos", references) == 1.0
    assert best_over_references(f1, "Denver", references) == 1.0
    assert best_over_references(f1, "Broncos", references) == pytest.approx(2 / 3)
