"""Intervals and tests: published values, and coverage in simulation."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from quantbench.core import stats


@dataclass(frozen=True)
class TimedBlock:
    round: int
    samples_ns: tuple[int, ...]
    process_set: int = 0


@pytest.mark.parametrize(
    ("n", "b", "c", "low", "high"),
    [
        # Airway hyper-responsiveness, Bentur et al. 2009, as in Fagerland, Lydersen and Laake,
        # "Recommended tests and confidence intervals for paired binomial proportions" (2014).
        (21, 1, 7, -0.517, -0.026),
        # No flips: z^2 / (n + z^2) on each side, from the paper's formula.
        (133, 0, 0, -0.02807, 0.02807),
    ],
)
def test_tango_gives_the_published_limits(n: int, b: int, c: int, low: float, high: float) -> None:
    assert stats.tango_interval(n, b, c) == pytest.approx((low, high), abs=5e-4)


def test_tango_limits_are_where_the_score_test_turns() -> None:
    """Against the constrained likelihood, maximized by brute force."""
    n, b, c = 60, 9, 3
    for delta in stats.tango_interval(n, b, c):
        grid = np.linspace(1e-9, (1 - abs(delta)) / 2, 2_000_001)
        grid = grid + max(0.0, -delta)  # q21 > 0 and q12 = q21 + delta > 0
        rest = 1 - 2 * grid - delta
        with np.errstate(divide="ignore", invalid="ignore"):
            likelihood = b * np.log(grid + delta) + c * np.log(grid) + (n - b - c) * np.log(rest)
        q21 = grid[np.nanargmax(likelihood)]
        score = (b - c - n * delta) / math.sqrt(n * (2 * q21 + delta * (1 - delta)))
        assert abs(score) == pytest.approx(1.959964, abs=1e-3)


def test_tango_mirrors_when_the_flips_change_sides() -> None:
    low, high = stats.tango_interval(200, 7, 2)
    assert stats.tango_interval(200, 2, 7) == pytest.approx((-high, -low))


def test_tango_covers_with_few_flips() -> None:
    rng = np.random.default_rng(1)
    counts = rng.multinomial(200, [0.03, 0.01, 0.96], size=800)
    intervals = {(b, c): stats.tango_interval(200, int(b), int(c)) for b, c, _ in counts}
    covered = sum(intervals[b, c][0] <= 0.02 <= intervals[b, c][1] for b, c, _ in counts)
    assert covered / 800 > 0.93


def test_tango_refuses_more_flips_than_pairs() -> None:
    with pytest.raises(ValueError, match="no such paired counts"):
        stats.tango_interval(10, 8, 5)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    assert stats.mcnemar_p(1, 7) == pytest.approx(0.0703125)
    assert stats.mcnemar_p(0, 5) == pytest.approx(2 / 32)
    assert stats.mcnemar_p(4, 4) == 1.0
    assert stats.mcnemar_p(0, 0) == 1.0
    assert 0 < stats.mcnemar_p(2000, 2200) < 0.01


def test_bootstrap_is_the_same_every_time_and_near_the_normal_interval() -> None:
    rng = random.Random(3)
    differences = [rng.gauss(0.1, 1.0) for _ in range(400)]
    ((low, high),) = stats.bootstrap_intervals(differences, seed=5)
    assert ((low, high),) == stats.bootstrap_intervals(differences, seed=5)
    half = 1.96 * float(np.std(differences)) / 20
    mean = sum(differences) / 400
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.02)


def test_clusters_of_copies_widen_the_bootstrap_as_if_there_were_fewer_samples() -> None:
    rng = random.Random(4)
    contexts = [rng.gauss(0, 1) for _ in range(60)]
    differences = [value for value in contexts for _ in range(9)]
    clusters = [index for index in range(60) for _ in range(9)]
    ((low, high),) = stats.bootstrap_intervals(differences, clusters)
    ((plain_low, plain_high),) = stats.bootstrap_intervals(differences)
    assert (high - low) / (plain_high - plain_low) == pytest.approx(3.0, rel=0.15)
    assert stats.design_effect(differences, clusters) == pytest.approx(9.0, rel=0.1)


def test_design_effect_is_one_without_clusters_or_differences() -> None:
    assert stats.design_effect([1.0, 0.0, -1.0], None) == 1.0
    assert stats.design_effect([0.0, 0.0, 0.0], ["a", "a", "b"]) == 1.0


def test_a_ratio_is_taken_against_the_mean_log_of_the_references_around_it() -> None:
    arm = [TimedBlock(0, (50, 50, 90)), TimedBlock(1, (60,)), TimedBlock(2, (70,))]
    reference = [TimedBlock(0, (80,)), TimedBlock(0, (125,)), TimedBlock(1, (120,))]
    logs = stats.ratio_per_round(arm, reference)
    assert set(logs) == {(0, 0), (0, 1)}
    assert logs[0, 0] == pytest.approx(math.log(0.5))
    assert logs[0, 1] == pytest.approx(math.log(0.5))


def test_two_arms_are_compared_in_the_rounds_that_both_have() -> None:
    found = stats.subtract_rounds({(0, 0): 1.0, (0, 1): 2.0}, {(0, 1): 0.5, (1, 2): 9.0})
    assert found == {(0, 1): 1.5}


def sets_of(medians: Sequence[float]) -> dict[stats.Round, float]:
    """Three rounds for each process set, of which one is disturbed."""
    return {
        (number, 3 * number + place): value + (1.0 if place == 1 else 0.0)
        for number, value in enumerate(medians)
        for place in range(3)
    }


def test_the_ratio_is_the_mean_over_process_sets_of_the_median_over_rounds() -> None:
    logs = sets_of([math.log(2), math.log(8)])
    assert stats.set_medians(logs) == pytest.approx([math.log(2), math.log(8)])
    assert stats.ratio_estimate(logs) == pytest.approx(4.0)


@pytest.mark.parametrize(("sets", "quantile"), [(2, 12.706), (4, 3.182), (10, 2.262), (30, 2.045)])
def test_the_interval_uses_the_tabulated_quantiles_of_student(sets: int, quantile: float) -> None:
    medians = [0.01 * (-1) ** number for number in range(sets)]
    spread = 0.01 * math.sqrt(sets / (sets - 1))
    low, high = stats.ratio_interval(sets_of(medians), confidence=0.95) or (0.0, 0.0)
    half = quantile * spread / math.sqrt(sets)
    assert math.log(high) == pytest.approx(half, rel=1e-3)
    assert math.log(low) == pytest.approx(-half, rel=1e-3)


def test_one_process_set_gives_no_interval_however_many_rounds_it_has() -> None:
    logs = {(0, number): 0.01 * number for number in range(40)}
    assert stats.ratio_interval(logs) is None
    assert stats.relative_half_width(logs) is None
    assert stats.ratio_estimate({}) is None


def test_the_half_width_is_relative_to_the_estimate() -> None:
    logs = sets_of([math.log(2), math.log(2.1), math.log(1.9), math.log(2.0)])
    low, high = stats.ratio_interval(logs) or (0.0, 0.0)
    estimate = stats.ratio_estimate(logs) or 0.0
    assert stats.relative_half_width(logs) == pytest.approx((high - low) / 2 / estimate)


def test_the_ratio_survives_a_third_of_disturbed_rounds() -> None:
    rng = random.Random(5)
    logs = {
        (index // 10, index): math.log(4.7) + rng.gauss(0, 0.01) - (0.8 if index % 3 == 0 else 0.0)
        for index in range(40)
    }
    assert stats.ratio_estimate(logs) == pytest.approx(4.7, rel=0.02)


@pytest.mark.parametrize("offset", [0.005, 0.015, 0.03, 0.04, 0.06])
def test_the_interval_covers_95_percent_although_its_width_decides_when_to_stop(
    offset: float,
) -> None:
    """Process sets whose offsets are normal; looked at after 4, 6, 9, ... of them."""
    rng = random.Random(7)
    sessions, covered = 2000, 0
    for _ in range(sessions):
        drawn = [rng.gauss(0.0, offset) for _ in range(stats.LOOKS[-1])]
        for count in stats.LOOKS:
            logs = {(number, number): drawn[number] for number in range(count)}
            width = stats.relative_half_width(logs)
            if width is not None and width <= 0.03:
                break
        low, high = stats.ratio_interval(logs) or (1.0, 1.0)
        covered += low <= 1.0 <= high
    assert covered / sessions >= 0.94


def test_the_interval_covers_when_the_whole_machine_drifts() -> None:
    rng = random.Random(6)
    covered = 0
    for _ in range(400):
        arm, reference = [], []
        speed = 1.0
        for number in range(12):
            speed *= math.exp(rng.gauss(0, 0.1))
            for _ in range(2):
                time = round(1e6 * speed * math.exp(rng.gauss(0, 0.02)))
                reference.append(TimedBlock(number, (time,), number // 3))
            own = round(4e5 * speed * math.exp(rng.gauss(0, 0.02)))
            arm.append(TimedBlock(number, (own,), number // 3))
        interval = stats.ratio_interval(stats.ratio_per_round(arm, reference))
        assert interval is not None
        covered += interval[0] <= 0.4 <= interval[1]
    assert covered / 400 > 0.93


@pytest.mark.parametrize("percent", [90, 95, 99])
def test_a_percentile_needs_enough_samples_to_lie_above_it(percent: int) -> None:
    """The least n for which at most one sample above has a probability of 1 % at most."""
    p = percent / 100
    least = next(n for n in range(1, 2000) if p**n + n * (1 - p) * p ** (n - 1) <= 0.01)
    assert stats.PERCENTILE_MIN_SAMPLES[percent] == least
    samples = [1_000_000 * (1 + index % 10) for index in range(least)]
    assert stats.percentile_ms(samples[:-1], percent) is None
    assert stats.percentile_ms(samples, percent) == pytest.approx(10.0, abs=1.0)


def test_the_geometric_mean_of_nothing_is_an_error() -> None:
    assert stats.geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    with pytest.raises(ValueError, match="nothing"):
        stats.geometric_mean([])
