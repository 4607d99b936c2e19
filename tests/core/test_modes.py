"""Two states of a machine are told from the noise of one."""

from __future__ import annotations

import math
import random

import pytest

from quantbench.core.modes import LEAST_BLOCKS, modes

SESSIONS = 300


def blocks(
    count: int, noise: float, seed: int, gap: float = 1.0, share: float = 0.0
) -> list[float]:
    """Medians of blocks around 10 ms; that share of them in a state that is `gap` times slower."""
    rng = random.Random(seed)
    slow = round(share * count)
    return [
        10 * math.exp(rng.gauss(0, noise)) * (gap if number < slow else 1.0)
        for number in range(count)
    ]


def share_split(count: int, noise: float, gap: float = 1.0, share: float = 0.0) -> float:
    found = [modes(blocks(count, noise, seed, gap, share)) for seed in range(SESSIONS)]
    return sum(len(item) == 2 for item in found) / SESSIONS


@pytest.mark.parametrize("count", [LEAST_BLOCKS, 20, 28, 60, 200])
@pytest.mark.parametrize("noise", [0.02, 0.05, 0.10])
def test_the_noise_of_one_state_is_seldom_taken_for_two(count: int, noise: float) -> None:
    assert share_split(count, noise) <= 0.05


@pytest.mark.parametrize("count", [LEAST_BLOCKS, 28, 60])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_states_as_far_apart_as_those_that_were_seen_are_found(count: int, share: float) -> None:
    assert share_split(count, 0.05, gap=1.42, share=share) >= 0.7
    assert share_split(count, 0.02, gap=1.27, share=share) >= 0.95


def test_the_states_are_given_with_their_share_fast_first() -> None:
    fast, slow = modes([10.0, 10.1, 9.9] * 7 + [14.2, 14.0, 14.1] * 3)
    assert (fast.median, slow.median) == (10.0, 14.1)
    assert (fast.share, slow.share) == (0.7, 0.3)


def test_a_few_disturbed_blocks_are_no_state() -> None:
    (only,) = modes([10.0, 10.1, 9.9] * 9 + [20.0] * 5)
    assert only.share == 1.0


def test_states_that_are_closer_than_a_tenth_are_not_told_apart() -> None:
    assert len(modes([10.0, 10.01] * 10 + [10.9, 10.91] * 10)) == 1
    assert len(modes([10.0, 10.01] * 10 + [11.2, 11.21] * 10)) == 2


def test_a_drift_from_slow_to_fast_is_one_state() -> None:
    assert len(modes([10.0 + 0.2 * number for number in range(30)])) == 1


def test_few_blocks_are_one_state_and_none_have_none() -> None:
    assert len(modes([10.0] * 6 + [20.0] * 7)) == 1
    assert modes([]) == ()


def test_one_value_that_repeats_is_one_state() -> None:
    assert len(modes([10.0] * 40)) == 1
