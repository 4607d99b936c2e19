"""Awkward answers with their scores, worked out by hand; and the official scripts' definitions.

F1 is 2 x common words / (words of the prediction + words of the reference), here as a fraction.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

ZERO, ONE, HALF = Fraction(0), Fraction(1), Fraction(1, 2)
TWO_THIRDS, TWO_FIFTHS, FOUR_FIFTHS = Fraction(2, 3), Fraction(2, 5), Fraction(4, 5)
SIX_SEVENTHS = Fraction(6, 7)

Score = tuple[Fraction, Fraction]
RIGHT: Score = (ONE, ONE)
WRONG: Score = (ZERO, ZERO)


@dataclass(frozen=True)
class Case:
    """A prediction, its references, and (exact match, F1) as v1.1 and v2 give them.

    `version_1` is None where there is no reference, which v1.1 does not know.
    """

    prediction: str
    references: tuple[str, ...]
    version_1: Score | None
    version_2: Score


def same(prediction: str, references: Sequence[str], score: Score) -> Case:
    """Both scripts agree."""
    return Case(prediction, tuple(references), score, score)


def partly(prediction: str, references: Sequence[str], f1: Fraction) -> Case:
    """No exact match, some words in common; both scripts agree."""
    return same(prediction, references, (ZERO, f1))


def differ(
    prediction: str, references: Sequence[str], version_1: Score | None, version_2: Score
) -> Case:
    return Case(prediction, tuple(references), version_1, version_2)


CASES = (
    # Articles are whole words, and go after the punctuation.
    same("the Eiffel Tower", ["Eiffel tower."], RIGHT),
    same("An apple", ["apple"], RIGHT),
    same("a b", ["b"], RIGHT),
    same("vitamin A", ["vitamin"], RIGHT),
    same("Plan A or plan B", ["plan or plan B"], RIGHT),
    same("theatre", ["the atre"], WRONG),
    same("the-end", ["end"], WRONG),
    same("the_end", ["end"], WRONG),
    same("a.b", ["b"], WRONG),
    partly("à Paris", ["Paris"], TWO_THIRDS),
    partly("a\u0300 Paris", ["Paris"], TWO_THIRDS),  # the article goes, its accent stays
    # ASCII punctuation goes, and leaves no blank.
    same("U.S.A.", ["USA"], RIGHT),
    same("U.S.", ["us"], RIGHT),
    same("don't", ["dont"], RIGHT),
    same("L'Avare", ["lavare"], RIGHT),
    same('"quoted"', ["quoted"], RIGHT),
    same("and so on...", ["and so on"], RIGHT),
    same("C++", ["C"], RIGHT),
    same("C#", ["C++"], RIGHT),
    partly("Mr. & Mrs. Smith", ["Mr and Mrs Smith"], SIX_SEVENTHS),
    # Other punctuation stays.
    same("don\u2019t", ["don't"], WRONG),
    same("\u201cquoted\u201d", ["quoted"], WRONG),
    same("\u201cquoted\u201d", ["\u201cQuoted\u201d"], RIGHT),
    partly("and so on\u2026", ["and so on"], TWO_THIRDS),
    same("1914\u20141918", ["1914-1918"], WRONG),
    same("3\u20134", ["3-4"], WRONG),
    same("well\u2010known", ["well-known"], WRONG),
    # Hyphens.
    same("1914-1918", ["19141918"], RIGHT),
    same("1914 - 1918", ["1914-1918"], WRONG),
    partly("well-known writer", ["well known writer"], TWO_FIFTHS),
    # Letters: lower case, neither folded nor composed.
    same("ÉCOLE", ["école"], RIGHT),
    same("e\u0301cole", ["\u00e9cole"], WRONG),
    same("STRASSE", ["straße"], WRONG),
    same("\u0130stanbul", ["istanbul"], WRONG),  # becomes an i with a dot above
    same("\u039f\u0394\u039f\u03a3", ["\u03bf\u03b4\u03bf\u03c2"], RIGHT),  # a final sigma
    same("\u039f\u0394\u039f\u03a3", ["\u03bf\u03b4\u03bf\u03c3"], WRONG),
    same("\ufb01re", ["fire"], WRONG),  # a ligature
    same("\u2163", ["\u2173"], RIGHT),  # Roman four, a character of its own
    same("日本", ["日本"], RIGHT),
    partly("日本 東京", ["日本"], TWO_THIRDS),
    same("🙂", ["🙂"], RIGHT),
    partly("🙂 stone", ["stone"], TWO_THIRDS),
    # Kinds of white space.
    same("white\tspace\nhere ", ["white space here"], RIGHT),
    same("white\u00a0space", ["white space"], RIGHT),
    same("日本\u3000東京", ["日本 東京"], RIGHT),
    same("5\u2009000", ["5 000"], RIGHT),
    same("white\u200bspace", ["white space"], WRONG),  # of no width: no white space
    # Numbers and currencies.
    same("5,000", ["5000"], RIGHT),
    same("5.0", ["50"], RIGHT),
    same("-5", ["5"], RIGHT),
    same("five", ["5"], WRONG),
    same("\uff12\uff10", ["20"], WRONG),  # full width
    same("x\u00b2", ["x2"], WRONG),
    same("42 km/h", ["42 kmh"], RIGHT),
    same("$1,000.50", ["100050"], RIGHT),
    same("€5", ["5"], WRONG),
    partly("£5 million", ["$5 million"], HALF),
    partly("50%", ["50 percent"], TWO_THIRDS),
    # Several answers: the one that fits best.
    same("Denver", ["Denver Broncos", "Denver"], RIGHT),
    partly("Denver", ["the Broncos of Denver", "Denver Broncos"], TWO_THIRDS),
    same("river", ["...", "river"], RIGHT),
    same("river", ["", "river"], RIGHT),
    # Order does not matter to F1, repeated words do.
    partly("Denver Broncos", ["Broncos Denver"], ONE),
    partly("Broncos of Denver", ["Denver Broncos"], FOUR_FIFTHS),
    partly("no no no", ["no"], HALF),
    partly("no no", ["no no yes"], FOUR_FIFTHS),
    partly("no no yes", ["no yes yes"], TWO_THIRDS),
    partly("to be or not to be", ["not to be"], TWO_THIRDS),
    # Empty predictions and references, also those that become empty.
    same("", ["something"], WRONG),
    same("the", ["something"], WRONG),
    same("river", ["..."], WRONG),
    differ("", [""], (ONE, ZERO), RIGHT),
    differ("A", ["an"], (ONE, ZERO), RIGHT),
    differ("...", ["the"], (ONE, ZERO), RIGHT),
    differ("The The", ["the"], (ONE, ZERO), RIGHT),
    differ("", ["the", "river"], (ONE, ZERO), WRONG),  # v2 drops references that become empty
    # No references: version 2 alone.
    differ("", [], None, RIGHT),
    differ("the", [], None, RIGHT),
    differ("...", [], None, RIGHT),
    differ(" \n", [], None, RIGHT),
    differ("something", [], None, WRONG),
    differ("\u2026", [], None, WRONG),
)


def words(text: str) -> list[str]:
    """The words of an answer, in the four steps that both scripts name."""
    text = text.lower()
    text = text.translate({ord(sign): None for sign in string.punctuation})
    text = re.sub(r"\b(?:the|an|a)\b", " ", text)
    return text.split()


def official(
    predictions: Sequence[str], references: Sequence[Sequence[str]], version: int
) -> dict[str, float]:
    """What `evaluate-v1.1.py` or `evaluate-v2.0.py` prints, from their published definition.

    Version 2 has `exact` instead of `exact_match`, and leaves out a kind that has no question.
    """
    exact, f1 = [], []
    for prediction, texts in zip(predictions, references, strict=True):
        wanted = [words(text) for text in texts]
        if version == 2:
            wanted = [each for each in wanted if each] or [[]]
        exact.append(max(float(words(prediction) == each) for each in wanted))
        f1.append(max(_f1(words(prediction), each, version) for each in wanted))
    chosen = range(len(predictions))
    found = {
        ("exact" if version == 2 else "exact_match"): _percent(exact, chosen),
        "f1": _percent(f1, chosen),
    }
    if version == 2:
        for kind, has in (("HasAns", True), ("NoAns", False)):
            chosen_of_kind = [n for n in chosen if bool(references[n]) == has]
            if chosen_of_kind:
                found[f"{kind}_exact"] = _percent(exact, chosen_of_kind)
                found[f"{kind}_f1"] = _percent(f1, chosen_of_kind)
    return found


def _f1(predicted: list[str], wanted: list[str], version: int) -> float:
    if version == 2 and not (predicted and wanted):
        return float(predicted == wanted)
    common = sum((Counter(predicted) & Counter(wanted)).values())
    if not common:
        return 0.0
    precision, recall = common / len(predicted), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def _percent(values: Sequence[float], chosen: Sequence[int]) -> float:
    return 100 * sum(values[n] for n in chosen) / len(chosen)
