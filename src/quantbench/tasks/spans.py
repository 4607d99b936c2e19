"""From the logits of question answering to the best span of the context.

Source: `postprocess_qa_predictions` of transformers' `run_qa` example (`utils_qa.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantbench.protocols import Array

# Per token: where it stands in the context, in characters; None outside the context.
Offsets = Sequence[tuple[int, int] | None]


@dataclass(frozen=True)
class Span:
    """A span of the context, in characters, and the sum of its two logits."""

    start: int
    end: int
    score: float


def best_span(
    offsets: Sequence[Offsets],
    start_logits: Sequence[Array],
    end_logits: Sequence[Array],
    n_best: int,
    max_answer_length: int,
    min_characters: int = 0,
) -> Span | None:
    """The span with the highest sum of logits, over all windows of one context.

    In each window the `n_best` highest start logits are combined with the `n_best` highest end
    logits, over all tokens; kept are the pairs inside the context, not ending before they start,
    of at most `max_answer_length` tokens. Of equal scores the first window and the highest, then
    first, start and end win. Logits are summed in float64, so the score can be compared between
    runtimes; it is not a probability.

    Args:
        offsets: per window, the characters of each token; None outside the context.
        start_logits: per window, shape [length] or longer: what stands after the window's
            tokens (padding) is ignored.
        end_logits: likewise.
        n_best: candidates on each side.
        max_answer_length: in tokens.
        min_characters: of a span. Some tokenizers have tokens of no character (a lone blank of
            RoBERTa), which `run_qa` takes for answers, but not where there may be no answer.

    Returns:
        The best span; None if no pair is valid. Pairs whose score is not finite are not valid.
    """
    best: Span | None = None
    for window, starts, ends in zip(offsets, start_logits, end_logits, strict=True):
        starts = np.asarray(starts, dtype=np.float64)[: len(window)]
        ends = np.asarray(ends, dtype=np.float64)[: len(window)]
        last_tokens = _highest(ends, n_best)
        for first in _highest(starts, n_best):
            for last in last_tokens:
                begin, finish = window[first], window[last]
                if begin is None or finish is None:
                    continue
                if not first <= last < first + max_answer_length:
                    continue
                if finish[1] - begin[0] < min_characters:
                    continue
                score = float(starts[first] + ends[last])
                if math.isfinite(score) and (best is None or score > best.score):
                    best = Span(begin[0], finish[1], score)
    return best


def null_score(
    positions: Sequence[int], start_logits: Sequence[Array], end_logits: Sequence[Array]
) -> float:
    """How much speaks for there being no answer: the least over all windows of one context.

    Each window says it with both logits of one token: all of them have to agree that the answer is
    not in them.

    Args:
        positions: per window, the place of that token.
        start_logits: per window, shape [length] or longer.
        end_logits: likewise.

    Returns:
        The sum of the two logits, in float64; NaN if it is in any window.
    """
    scores = [
        float(starts[position]) + float(ends[position])
        for position, starts, ends in zip(positions, start_logits, end_logits, strict=True)
    ]
    return math.nan if any(map(math.isnan, scores)) else min(scores)


def _highest(logits: Array, count: int) -> list[int]:
    """Positions of the highest values, highest first, then in order; NaN last."""
    return [int(position) for position in np.argsort(-logits, kind="stable")[:count]]
