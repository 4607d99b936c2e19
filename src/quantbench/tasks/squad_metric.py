"""Exact match and F1 of extractive question answering.

Source: the official `evaluate-v1.1.py` (Rajpurkar et al., 2016) and `evaluate-v2.0.py` (Rajpurkar,
Jia and Liang, 2018) of SQuAD. Each function follows the one of the same purpose there, so that
numbers can be compared with published ones.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_PUNCTUATION = frozenset(string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and surplus white space."""
    lowered = "".join(character for character in text.lower() if character not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", lowered).split())


def exact_match(prediction: str, reference: str) -> float:
    """1.0 if both are equal after normalisation, else 0.0."""
    return float(normalize_answer(prediction) == normalize_answer(reference))


def f1(prediction: str, reference: str) -> float:
    """Harmonic mean of precision and recall of the words, 0 to 1; repeated words count.

    Two answers that are both empty after normalisation have no word in common: 0, as in the
    official script of version 1.1 (`f1_version_2` and torchmetrics give 1).
    """
    predicted = normalize_answer(prediction).split()
    expected = normalize_answer(reference).split()
    num_same = sum((Counter(predicted) & Counter(expected)).values())
    if num_same == 0:
        return 0.0
    precision = num_same / len(predicted)
    recall = num_same / len(expected)
    return 2 * precision * recall / (precision + recall)


def f1_version_2(prediction: str, reference: str) -> float:
    """As `f1`, but 1.0 where both are empty after normalisation: nothing was to be said."""
    if not normalize_answer(prediction) and not normalize_answer(reference):
        return 1.0
    return f1(prediction, reference)


def accepted_version_2(references: Sequence[str]) -> tuple[str, ...]:
    """The references that a prediction is compared with in version 2: never none.

    Those that are not empty after normalisation; the empty answer if there are none.
    """
    return tuple(text for text in references if normalize_answer(text)) or ("",)


def best_over_references(
    metric: Callable[[str, str], float], prediction: str, references: Sequence[str]
) -> float:
    """The metric against the reference that fits best.

    Raises:
        ValueError: there are no references.
    """
    return max(metric(prediction, reference) for reference in references)
