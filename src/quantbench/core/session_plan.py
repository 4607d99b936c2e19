"""How a timing session divides its budget between starting processes and running rounds. Pure."""

from __future__ import annotations

import math

from quantbench.core import stats

# What a ratio is taken to differ by from process set to process set (standard deviation of logs),
# before anything is known of it: processes of one file differ by 1 to 5 % from end to end.
PROCESS_OFFSET = 0.02
# The median of seven rounds survives two that are disturbed: a third of them.
LEAST_ROUNDS = 7
MOST_ROUNDS = 100
# Of a budget that is too small for four starts, this part is spent on rounds all the same.
LEAST_COUNTED_PART = 0.5


def rounds_per_set(
    start_s: float, round_s: float, noise: float, precision: float, budget_s: float
) -> int:
    """The rounds that each process set of a session is to have.

    Of all pairs of a number of sets and of rounds that the budget holds, the cheapest that is
    expected to reach the precision; if none is, the one with the narrowest expected interval.
    Where starting alone would take most of the budget, there are four sets, and half of the
    budget goes to rounds.

    Args:
        start_s: seconds that starting and warming up the processes of one set takes.
        round_s: seconds of one round.
        noise: standard deviation of a ratio's log from round to round within a set.
        precision: the relative half-width that is wanted.
        budget_s: seconds for everything.

    Returns:
        1 to `MOST_ROUNDS`; fewer than `LEAST_ROUNDS` only where the budget holds no more.

    References:
        The trade of sets for rounds is that of two-stage sampling: W. Cochran, Sampling
        Techniques (3rd ed., 1977), section 10.6.
    """
    expected: list[tuple[float, float, int]] = []
    for num_sets in stats.LOOKS:
        most = min(MOST_ROUNDS, int((budget_s / num_sets - start_s) / round_s))
        for num_rounds in range(LEAST_ROUNDS, most + 1):
            width = _expected_half_width(num_sets, num_rounds, noise)
            cost_s = num_sets * (start_s + num_rounds * round_s)
            expected.append((max(width, precision), cost_s, num_rounds))
    if expected:
        return min(expected)[2]
    part_s = max(
        budget_s / stats.LOOKS[0] - start_s, budget_s * LEAST_COUNTED_PART / stats.LOOKS[0]
    )
    return min(MOST_ROUNDS, max(1, int(part_s / round_s)))


def _expected_half_width(num_sets: int, num_rounds: int, noise: float) -> float:
    """Of the interval of a ratio; a median of rounds has pi / 2 times the variance of a mean."""
    variance = PROCESS_OFFSET**2 + math.pi / 2 * noise**2 / num_rounds
    return stats.t_quantile(num_sets - 1) * math.sqrt(variance / num_sets)
