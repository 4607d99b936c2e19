"""How a session divides its budget between starting processes and running rounds."""

from __future__ import annotations

import pytest

from quantbench.core import stats
from quantbench.core.session_plan import LEAST_ROUNDS, MOST_ROUNDS, rounds_per_set

PRECISION = 0.03


def test_a_quiet_machine_gets_the_fewest_rounds() -> None:
    assert rounds_per_set(9.0, 2.0, 0.005, PRECISION, 600.0) == LEAST_ROUNDS


def test_a_noisy_machine_gets_more_rounds_rather_than_more_sets() -> None:
    quiet = rounds_per_set(9.0, 2.0, 0.02, PRECISION, 600.0)
    noisy = rounds_per_set(9.0, 2.0, 0.10, PRECISION, 600.0)
    assert LEAST_ROUNDS <= quiet < noisy


def test_where_starting_is_cheap_sets_are_preferred() -> None:
    """Four sets of more rounds, or nine of few: the same time, but nine say more."""
    cheap = rounds_per_set(0.5, 2.0, 0.2, PRECISION, 300.0)
    dear = rounds_per_set(40.0, 2.0, 0.2, PRECISION, 300.0)
    assert cheap < dear


@pytest.mark.parametrize("budget_s", [8.0, 16.0, 40.0])
def test_where_starting_takes_all_half_of_the_budget_goes_to_rounds(budget_s: float) -> None:
    rounds = rounds_per_set(10.0, 1.0, 0.2, PRECISION, budget_s)
    assert rounds == budget_s / 2 / stats.LOOKS[0]


def test_what_is_planned_fits_the_budget_where_starting_is_cheap() -> None:
    rounds = rounds_per_set(1.0, 1.0, 0.05, PRECISION, 60.0)
    assert stats.LOOKS[0] * (1.0 + rounds * 1.0) <= 60.0


def test_there_is_at_least_one_round_and_no_end_of_them() -> None:
    assert rounds_per_set(10.0, 5.0, 0.05, PRECISION, 0.1) == 1
    assert rounds_per_set(10.0, 0.001, 5.0, PRECISION, 10_000.0) == MOST_ROUNDS
