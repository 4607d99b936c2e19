"""Intervals and tests for paired accuracy and interleaved times. Pure; seeded where it resamples.

A ratio of times is estimated once for each set of fresh arm processes. Its interval comes from how
much the sets differ, so it holds the offset of 1-5 % that each new process brings along, not only
what varies between the rounds of one set.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from statistics import NormalDist, fmean, median, stdev
from typing import Protocol

import numpy as np
import numpy.typing as npt

METHOD_VERSION = "sets-1"

# After so many process sets it is looked whether a ratio is known well enough to stop.
LOOKS = (4, 6, 9, 13, 19, 28)
# The level of the t-interval that is computed, so that what is printed covers 95 % although its
# width decides when to stop: in simulation the worst case is 95.4 % (tests/core/test_stats.py).
# Without that correction it is 92 %.
NOMINAL_CONFIDENCE = 0.975

# The least n for which P(at most one of n samples lies above the percentile) <= 1 %: with fewer,
# the second largest value may well lie below it. MLPerf Inference's early stopping asks the same.
PERCENTILE_MIN_SAMPLES: dict[int, int] = {90: 64, 95: 130, 99: 662}

_Floats = npt.NDArray[np.float64]


# A round of a session, and the process set that it was measured in: (process_set, round).
Round = tuple[int, int]


class TimedBlock(Protocol):
    """What is read of a block: its process set, its round and its raw times in nanoseconds."""

    @property
    def process_set(self) -> int:
        """The set of fresh processes that the block was measured in."""
        ...

    @property
    def round(self) -> int:
        """The round that the block was measured in."""
        ...

    @property
    def samples_ns(self) -> Sequence[int]:
        """One time per forward."""
        ...


# --- Paired accuracy ---


def tango_interval(n: float, b: float, c: float, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval for the difference of two paired proportions, (b - c) / n.

    Unlike Wald's it has a width when nothing flips: (n, 0, 0) gives z^2 / (n + z^2) on each side.

    Args:
        n: pairs; may be fractional, when it is an effective sample size.
        b: pairs right in the first and wrong in the second.
        c: pairs wrong in the first and right in the second.
        confidence: two-sided level.

    Returns:
        (low, high) of p1 - p2, each within [-1, 1].

    Raises:
        ValueError: counts that cannot be.

    References:
        T. Tango, "Equivalence test and confidence interval for the difference in proportions for
        the paired-sample design", Statistics in Medicine 17 (1998), 891-908.
    """
    if n <= 0 or b < 0 or c < 0 or b + c > n * (1 + 1e-12):
        raise ValueError(f"no such paired counts: n={n}, b={b}, c={c}")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    estimate = (b - c) / n

    def excess(delta: float) -> float:
        """The squared score statistic at `delta`, less its critical value, times the variance."""
        quadratic = 2 * n
        linear = -b - c + (2 * n - b + c) * delta
        constant = -c * delta * (1 - delta)
        root = math.sqrt(max(0.0, linear * linear - 4 * quadratic * constant))
        # The maximum likelihood estimate of P(wrong, right) under p1 - p2 = delta.
        q21 = (root - linear) / (2 * quadratic)
        variance = n * max(0.0, 2 * q21 + delta * (1 - delta))
        return (b - c - n * delta) ** 2 - z * z * variance

    def limit(outside: float) -> float:
        inside = estimate
        if excess(outside) <= 0:
            return outside
        for _ in range(100):
            middle = (inside + outside) / 2
            if excess(middle) <= 0:
                inside = middle
            else:
                outside = middle
        return inside

    return limit(-1.0), limit(1.0)


def mcnemar_p(b: int, c: int) -> float:
    """Exact two-sided McNemar p: b and c flips under equal chance for both directions.

    References:
        Q. McNemar, Psychometrika 12 (1947), 153-157; exact binomial form.
    """
    flips = b + c
    tail = sum(math.comb(flips, k) for k in range(min(b, c) + 1))
    return min(1.0, 2 * tail / (1 << flips))


def bootstrap_intervals(
    differences: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    confidences: Sequence[float] = (0.95,),
    resamples: int = 4000,
    seed: int = 0,
) -> tuple[tuple[float, float], ...]:
    """Percentile bootstrap intervals of the mean of paired differences.

    Args:
        differences: one per sample.
        clusters: what each sample shares with others; whole clusters are then drawn, and the
            mean is taken over the samples of those drawn.
        confidences: two-sided levels.
        resamples: number of resamples.
        seed: of the generator; the same input gives the same interval.

    Returns:
        (low, high) for each level. Both are the same when all differences are.

    References:
        B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), ch. 13; C. Field,
        A. Welsh, "Bootstrapping clustered data", JRSS B 69 (2007), 369-390.
    """
    if not differences:
        raise ValueError("no samples to resample")
    sums, sizes = _by_cluster(differences, clusters)
    rng = np.random.default_rng(seed)
    # Resamples are made in portions: all at once would take gigabytes for 10,000 samples.
    portion = max(1, 2_000_000 // len(sums))
    means: list[_Floats] = []
    for start in range(0, resamples, portion):
        count = min(portion, resamples - start)
        drawn = rng.integers(0, len(sums), size=(count, len(sums)))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return quantile_intervals(np.concatenate(means), confidences)


def quantile_intervals(
    values: _Floats, confidences: Sequence[float]
) -> tuple[tuple[float, float], ...]:
    """What lies between the outer quantiles of resampled values, (low, high) for each level."""
    tails = np.array([(1 - level) / 2 for level in confidences])
    bounds = np.quantile(values, [tails, 1 - tails])
    return tuple((float(low), float(high)) for low, high in bounds.T)


def family_confidence(num_compared: int) -> float:
    """The level of each interval for claims about the best of several to hold at 95 % together.

    Of the upper ends of that many two-sided intervals one or more lies below its true value with a
    chance of 5 % at most (Bonferroni). Two 95 % intervals have that already: the level is never
    below 95 %.

    Args:
        num_compared: models that are compared with one original, of which any may be chosen.
    """
    return max(0.95, 1 - 2 * 0.05 / max(1, num_compared))


def design_effect(differences: Sequence[float], clusters: Sequence[Hashable] | None) -> float:
    """How many times wider the mean's variance is for samples that come in clusters; at least 1.

    Dividing n, b and c by it makes a score interval honest for clustered samples.

    References:
        J. Rao, A. Scott, "A simple method for the analysis of clustered binary data",
        Biometrics 48 (1992), 577-585.
    """
    values = np.asarray(differences, dtype=np.float64)
    independent = float(((values - values.mean()) ** 2).sum())
    sums, sizes = _by_cluster(differences, clusters)
    if clusters is None or independent == 0.0 or len(sums) < 2:
        return 1.0
    residuals = sums - sizes * values.mean()
    clustered = float((residuals**2).sum()) * len(sums) / (len(sums) - 1)
    return max(1.0, clustered / independent)


def _by_cluster(
    differences: Sequence[float], clusters: Sequence[Hashable] | None
) -> tuple[_Floats, _Floats]:
    values = np.asarray(differences, dtype=np.float64)
    if clusters is None:
        return values, np.ones_like(values)
    numbers: dict[Hashable, int] = {}
    index = np.array([numbers.setdefault(name, len(numbers)) for name in clusters])
    sums = np.bincount(index, weights=values, minlength=len(numbers)).astype(np.float64)
    sizes = np.bincount(index, minlength=len(numbers)).astype(np.float64)
    return sums, sizes


# --- Times ---


def ratio_per_round(
    arm: Sequence[TimedBlock], reference: Sequence[TimedBlock]
) -> dict[Round, float]:
    """The log of an arm's time over the reference's, by process set and round.

    Per round: log(median of the arm's block) - mean(log(median) of the reference's blocks of that
    round, which runs first and last). An arm with several blocks in a round gets the mean of
    their logs. Rounds that one of the two lacks are left out; none is left out for its value.

    Returns:
        Round to natural log of the ratio; 0 is equal speed, negative is faster than the reference.
    """
    arm_logs = _log_medians(arm)
    reference_logs = _log_medians(reference)
    return {
        number: arm_logs[number] - reference_logs[number]
        for number in arm_logs
        if number in reference_logs
    }


def subtract_rounds(
    left: Mapping[Round, float], right: Mapping[Round, float]
) -> dict[Round, float]:
    """Left minus right in the rounds that both have: the log of the ratio of two arms."""
    return {number: left[number] - right[number] for number in left if number in right}


def set_medians(log_ratios: Mapping[Round, float]) -> list[float]:
    """The median over the rounds of each process set: it survives a third of disturbed rounds."""
    by_set: dict[int, list[float]] = {}
    for (process_set, _), value in log_ratios.items():
        by_set.setdefault(process_set, []).append(value)
    return [median(values) for values in by_set.values()]


def ratio_estimate(log_ratios: Mapping[Round, float]) -> float | None:
    """The ratio: exp of the mean over process sets of their medians; None without rounds."""
    return math.exp(fmean(set_medians(log_ratios))) if log_ratios else None


def ratio_interval(
    log_ratios: Mapping[Round, float], confidence: float = NOMINAL_CONFIDENCE
) -> tuple[float, float] | None:
    """Student's t-interval of the mean over process sets, in logs; None with fewer than two sets.

    The default level makes it an interval of 95 % after stopping at one of `LOOKS`.

    References:
        Student, "The probable error of a mean", Biometrika 6 (1908), 1-25. On stopping by width:
        Y. Chow, H. Robbins, Annals of Mathematical Statistics 36 (1965), 457-462.
    """
    medians = set_medians(log_ratios)
    if len(medians) < 2:
        return None
    half = t_quantile(len(medians) - 1, confidence) * stdev(medians) / math.sqrt(len(medians))
    return math.exp(fmean(medians) - half), math.exp(fmean(medians) + half)


def spread(values: Sequence[float]) -> float:
    """A standard deviation that disturbed values hardly change: 1.4826 times the median distance.

    References:
        P. Rousseeuw, C. Croux, "Alternatives to the median absolute deviation", Journal of the
        American Statistical Association 88 (1993), 1273-1283.
    """
    middle = median(values)
    return 1.4826 * median(abs(value - middle) for value in values)


def t_quantile(degrees: int, confidence: float = NOMINAL_CONFIDENCE) -> float:
    """The quantile of Student's t for a two-sided interval."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + confidence / 2))


def relative_half_width(log_ratios: Mapping[Round, float]) -> float | None:
    """Half the width of `ratio_interval` over the estimate; None with too few process sets."""
    interval = ratio_interval(log_ratios)
    estimate = ratio_estimate(log_ratios)
    if interval is None or estimate is None:
        return None
    low, high = interval
    return (high - low) / 2 / estimate


def percentile_ms(samples_ns: Sequence[int], percent: int) -> float | None:
    """A tail percentile in milliseconds; None with too few samples for it.

    Args:
        samples_ns: raw times in nanoseconds.
        percent: 90, 95 or 99.
    """
    if len(samples_ns) < PERCENTILE_MIN_SAMPLES[percent]:
        return None
    return float(np.percentile(np.asarray(samples_ns, dtype=np.float64), percent)) / 1e6


def geometric_mean(values: Iterable[float]) -> float:
    """The exponential of the mean log. Raises ValueError on nothing."""
    logs = [math.log(value) for value in values]
    if not logs:
        raise ValueError("geometric mean of nothing")
    return math.exp(sum(logs) / len(logs))


def _log_medians(blocks: Sequence[TimedBlock]) -> dict[Round, float]:
    logs: dict[Round, list[float]] = {}
    for block in blocks:
        if block.samples_ns:
            number = (block.process_set, block.round)
            logs.setdefault(number, []).append(math.log(median(block.samples_ns)))
    return {number: fmean(values) for number, values in logs.items()}
