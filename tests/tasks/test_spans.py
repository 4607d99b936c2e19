"""Choosing a span from logits: n-best over windows, against brute force."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantbench.tasks.spans import Span, best_span, null_score

NAN = math.nan


def offsets(length: int, outside: int = 2) -> tuple[tuple[int, int] | None, ...]:
    """Tokens of two characters; the first `outside` and the last one are not in the context."""
    inside = range(outside, length - 1)
    return tuple((2 * n, 2 * n + 2) if n in inside else None for n in range(length))


def choose(
    starts: Any, ends: Any, windows: Any = None, n_best: int = 20, max_answer_length: int = 30
) -> Span | None:
    windows = windows or [offsets(len(row)) for row in starts]
    return best_span(
        windows,
        [np.array(row, np.float32) for row in starts],
        [np.array(row, np.float32) for row in ends],
        n_best,
        max_answer_length,
    )


def brute_force(
    windows: Any, starts: Any, ends: Any, n_best: int, max_answer_length: int
) -> tuple[float, int, int] | None:
    """All pairs of all windows, then the rule's conditions one by one."""
    scores = []
    for window, start, end in zip(windows, starts, ends, strict=True):
        top_starts = sorted(range(len(start)), key=lambda n: -start[n])[:n_best]
        top_ends = sorted(range(len(end)), key=lambda n: -end[n])[:n_best]
        scores += [
            (float(start[i]) + float(end[j]), window[i][0], window[j][1])
            for i, j in itertools.product(range(len(start)), repeat=2)
            if i in top_starts and j in top_ends
            if window[i] is not None and window[j] is not None
            if i <= j and j - i + 1 <= max_answer_length
        ]
    return max(scores, default=None, key=lambda item: item[0])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_it_finds_what_brute_force_finds(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    lengths = data.draw(st.lists(st.integers(3, 12), min_size=1, max_size=4))
    n_best = data.draw(st.integers(1, 12))
    longest = data.draw(st.integers(1, 6))
    windows = [offsets(length, outside=1) for length in lengths]
    starts = [rng.standard_normal(length).astype(np.float32) for length in lengths]
    ends = [rng.standard_normal(length).astype(np.float32) for length in lengths]
    expected = brute_force(windows, starts, ends, n_best, longest)
    found = best_span(windows, starts, ends, n_best, longest)
    if expected is None:
        assert found is None
    else:
        assert found == Span(start=expected[1], end=expected[2], score=expected[0])


def test_the_best_window_wins() -> None:
    low, high = [0, 0, 1, 0, 0], [0, 0, 0, 3, 0]
    assert choose([low, high], [low, high]) == Span(6, 8, 6.0)


def test_a_span_does_not_end_before_it_starts() -> None:
    assert choose([[0, 0, 0, 9, 0, 0]], [[0, 0, 9, 0, 1, 0]]) == Span(6, 10, 10.0)


def test_a_span_is_not_longer_than_allowed() -> None:
    starts, ends = [[0, 0, 5, 0, 0, 1, 0]], [[0, 0, 0, 0, 2, 3, 0]]
    assert choose(starts, ends, max_answer_length=4) == Span(4, 12, 8.0)
    assert choose(starts, ends, max_answer_length=3) == Span(4, 10, 7.0)


def test_a_span_lies_in_the_context_however_high_other_tokens_are() -> None:
    assert choose([[99, 99, 1, 0, 99]], [[99, 99, 1, 0, 99]]) == Span(4, 6, 2.0)


def test_only_the_n_best_of_all_tokens_are_candidates() -> None:
    starts, ends = [[9, 9, 1, 0, 0]], [[9, 9, 1, 0, 0]]
    assert choose(starts, ends, n_best=3) == Span(4, 6, 2.0)
    assert choose(starts, ends, n_best=2) is None


def test_what_stands_behind_the_tokens_is_padding() -> None:
    window = [offsets(5)]
    unpadded = choose([[0, 0, 1, 2, 0]], [[0, 0, 1, 2, 0]], window, n_best=2)
    padded = choose([[0, 0, 1, 2, 0, 9, 9, 9]], [[0, 0, 1, 2, 0, 9, 9, 9]], window, n_best=2)
    assert padded == unpadded == Span(6, 8, 4.0)


def test_of_equal_scores_the_first_wins() -> None:
    flat = [0, 0, 1, 1, 0]
    assert choose([flat, flat], [flat, flat]) == Span(4, 6, 2.0)


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_no_answers(bad: float) -> None:
    assert choose([[0, 0, bad, 1, 0]], [[0, 0, 0, 1, 0]]) == Span(6, 8, 2.0)
    assert choose([[bad] * 5], [[bad] * 5]) is None


def test_a_token_of_no_character_is_no_answer_where_there_may_be_none() -> None:
    windows = [[None, (0, 2), (2, 2), (3, 5), None]]
    logits = [np.array([0.0, 1.0, 5.0, 2.0, 0.0])]
    assert best_span(windows, logits, logits, 20, 30) == Span(2, 2, 10.0)
    assert best_span(windows, logits, logits, 20, 30, min_characters=1) == Span(2, 5, 7.0)


def test_the_null_score_is_the_least_of_all_windows() -> None:
    starts = [np.array([1.0, 9.0]), np.array([9.0, 0.5, 7.0])]
    ends = [np.array([2.0, 9.0]), np.array([9.0, 0.25, 7.0])]
    assert null_score([0, 1], starts, ends) == 0.75
    assert null_score([0, 2], starts, ends) == 3.0


@pytest.mark.parametrize("place", [0, 1])
def test_a_null_score_with_a_nan_in_any_window_is_none(place: int) -> None:
    logits = [np.array([1.0]), np.array([2.0])]
    logits[place][0] = NAN
    assert math.isnan(null_score([0, 0], logits, logits))


def test_scores_are_summed_in_double_precision() -> None:
    found = choose([[0, 0, 16777216, 0, 0]], [[0, 0, 1, 0, 0]])
    assert found == Span(4, 6, 16777217.0)
