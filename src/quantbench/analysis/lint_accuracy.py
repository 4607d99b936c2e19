"""Rules of `lint` on accuracy: what a number of samples can give, and what it can show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from statistics import NormalDist

from quantbench.analysis.lint_facts import (
    Finding,
    LintFacts,
    exact,
    metric_quote,
    samples_quote,
    unquantized,
)
from quantbench.core.results import PublishedRow
from quantbench.core.specs import MetricSpec
from quantbench.core.stats import tango_interval

# Cards print metrics with three decimals.
HALF = Fraction(1, 2000)
# A drop that a reader of "no drop" would want to know of.
NOTABLE_POINTS = 1.0
POWER = 0.8
_MOST_QUOTES = 3
# Other numbers of samples are looked for up to here.
_MOST_SAMPLES = 10_000


def possible_counts(value: Fraction, num_samples: int, whole: Fraction) -> range:
    """The numbers of right answers whose printed share is `value`; empty if there is none.

    Args:
        value: as printed, rounded to three decimals.
        num_samples: n, how many answers there are.
        whole: what is printed if all are right: 1 or 100.

    References:
        N. J. L. Brown, J. A. J. Heathers, "The GRIM test: a simple technique detects numerous
        anomalies in the reporting of results in psychology", Social Psychological and Personality
        Science 8 (2017), 363-369.
    """
    low = math.ceil((value - HALF) * num_samples / whole)
    high = math.floor((value + HALF) * num_samples / whole)
    return range(max(0, low), min(num_samples, high) + 1)


def l1_impossible_accuracy(facts: LintFacts) -> Finding | None:
    """L1: no number of right answers out of the stated samples gives the accuracy."""
    if facts.num_samples is None:
        return None
    bad: list[tuple[PublishedRow, MetricSpec, Fraction]] = []
    for metric in facts.binary_metrics:
        for row in facts.result.published:
            for value in (row.original[metric.name], row.optimized[metric.name]):
                printed = exact(value, 3)
                if not possible_counts(printed, facts.num_samples, _whole(metric)):
                    bad.append((row, metric, printed))
    if not bad:
        return None
    rows = list({(row.number, metric.name): (row, metric) for row, metric, _ in bad}.values())
    _, metric, shown = bad[0]
    whole, n = _whole(metric), facts.num_samples
    below = min(max(0, math.floor(shown * n / whole)), n - 1)
    near = " and ".join(f"{k:,} ({float(k * whole / n):.3f})" for k in (below, below + 1))
    return Finding(
        rule="L1",
        what=f"{_rows(len(rows))} an accuracy that {n:,} samples cannot give",
        quotes=(
            samples_quote(facts),
            *(metric_quote(row, metric.name) for row, metric in rows[:_MOST_QUOTES]),
        ),
        why=(
            f"{metric.name} counts right answers: of {n:,} samples the nearest to "
            f"{float(shown):.3f} are {near}. {_numbers_that_fit(facts)}"
        ),
        change="ask for, or state, the number of samples that was used",
    )


def l2_too_few_samples(facts: LintFacts) -> Finding | None:
    """L2: differences from the original are within what chance alone gives with as many samples.

    A card does not say how many answers flipped. Taken as independent, the interval of the
    difference holds 0; the same samples would show it only if few of their answers changed.

    References:
        T. Tango, Statistics in Medicine 17 (1998), 891-908 (interval). Q. McNemar, Psychometrika 12
        (1947), 153-157 (flips). J. L. Fleiss, B. Levin, M. C. Paik, "Statistical Methods for Rates
        and Proportions", 3rd ed. (2003), chapter 4 (samples for a difference of two proportions).
    """
    found = [
        (row, metric)
        for metric in facts.binary_metrics
        for row in facts.result.published
        if _is_unsupported(row, metric, facts.num_samples)
    ]
    if not found or facts.num_samples is None:
        return None
    n = facts.num_samples
    row, metric = max(found, key=lambda item: abs(_drop(*item)))
    drop = abs(_drop(row, metric))
    low, high = _independent_interval(row, metric, n)
    most = math.floor((n * drop) ** 2 / _z(0.975) ** 2)
    # So many more answers are right in one of the two.
    least = round(n * drop)
    enough = samples_needed(*_shares(row, metric))
    change = f"evaluate {enough:,} samples (independent, power {POWER:.0%})"
    if most < least:
        shown_if = (
            f"at least {least:,} answers changed, and no number of changed answers would show it"
        )
    else:
        shown_if = (
            f"the samples are the same, so it is shown only if at most {most:,} of {n:,} answers "
            "changed between right and wrong, which the card does not say"
        )
        change += ", or publish how many answers got worse and better"
    return Finding(
        rule="L2",
        what=f"{n:,} samples are too few for differences that {_rows(len(found))}",
        quotes=(
            samples_quote(facts),
            *(metric_quote(row, metric.name) for row, metric in found[:_MOST_QUOTES]),
        ),
        why=(
            f"the largest of them, {100 * drop:.1f} points in row {row.number}, has the interval "
            f"[{100 * low:.1f}, {100 * high:.1f}] (95 %) if answers are independent; {shown_if}"
        ),
        change=change,
    )


def l3_no_drop_is_not_shown(facts: LintFacts) -> Finding | None:
    """L3: a drop of 0 on few samples leaves a notable drop possible, even if no answer changed."""
    n = facts.num_samples
    if n is None:
        return None
    _, high = tango_interval(n, 0, 0)
    idle = {row.number for row in unquantized(facts)}
    found = [
        (row, metric)
        for metric in facts.binary_metrics
        for row in facts.result.published
        if row.number not in idle and not _drop(row, metric)
    ]
    if not found or 100 * high <= NOTABLE_POINTS:
        return None
    enough = math.ceil(_z(0.975) ** 2 * (100 / NOTABLE_POINTS - 1))
    return Finding(
        rule="L3",
        what=f"{_rows(len(found))} no drop although quantized, more than {n:,} samples can tell",
        quotes=(
            samples_quote(facts),
            *(metric_quote(row, metric.name) for row, metric in found[:_MOST_QUOTES]),
        ),
        why=(
            "even if not one answer changed, the interval of the drop reaches "
            f"{100 * high:.1f} points (95 %); if some did, further"
        ),
        change=(
            f'read it as "less than {100 * high:.1f} points at best", or evaluate {enough:,} '
            f"samples for less than {NOTABLE_POINTS:g}"
        ),
    )


def l4_originals_differ(facts: LintFacts) -> Finding | None:
    """L4: the original has different accuracies in rows of one table."""
    first = facts.result.published[0]
    for name in first.original:
        other = next(
            (row for row in facts.result.published if row.original[name] != first.original[name]),
            None,
        )
        if other is not None:
            return Finding(
                rule="L4",
                what="the same original model has different accuracies",
                quotes=(metric_quote(first, name), metric_quote(other, name)),
                why="all rows have one original, and it answers the same samples in the same way",
                change="evaluate it once; find out which samples or which model each row used",
            )
    return None


def samples_needed(p1: float, p2: float) -> int:
    """Samples of each of two models that show a difference of two proportions at 95 %.

    n = (z_0.975 + z_power)^2 (p1 (1 - p1) + p2 (1 - p2)) / (p1 - p2)^2, for independent answers and
    a power of `POWER`: Fleiss, Levin and Paik (2003), chapter 4, without continuity correction.
    """
    spread = p1 * (1 - p1) + p2 * (1 - p2)
    return math.ceil((_z(0.975) + _z(POWER)) ** 2 * spread / (p1 - p2) ** 2)


def _rows(count: int) -> str:
    """`1 row shows`, `2 rows show`."""
    return "1 row shows" if count == 1 else f"{count:,} rows show"


def _numbers_that_fit(facts: LintFacts) -> str:
    """The numbers of samples that every accuracy of the card is possible with."""
    values = {
        (exact(value, 3), _whole(metric))
        for metric in facts.binary_metrics
        for row in facts.result.published
        for value in (row.original[metric.name], row.optimized[metric.name])
    }
    above = next((value for value, whole in values if value - HALF > whole), None)
    if above is not None:
        return f"No number of samples gives {float(above):.3f}, which is above the whole."
    most = min(facts.num_samples or 0, _MOST_SAMPLES)
    fitting = [
        n for n in range(1, most) if all(possible_counts(value, n, w) for value, w in values)
    ]
    if not fitting:
        return f"No number of samples below {most:,} gives all accuracies of the card."
    return f"All accuracies of the card are possible with {_ranges(fitting)} samples."


def _ranges(numbers: Sequence[int]) -> str:
    """For example `50 to 51, 98 to 102`; a longer list is cut in its middle."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    if len(runs) > 5:
        return f"{_written(runs[:2])}, …, {_written(runs[-2:])}"
    return _written(runs)


def _written(runs: Iterable[Sequence[int]]) -> str:
    return ", ".join(
        f"{run[0]:,}" if len(run) == 1 else f"{run[0]:,} to {run[-1]:,}" for run in runs
    )


def _is_unsupported(row: PublishedRow, metric: MetricSpec, num_samples: int | None) -> bool:
    shares = _shares(row, metric)
    if num_samples is None or shares[0] == shares[1] or not all(0 <= p <= 1 for p in shares):
        return False
    low, high = _independent_interval(row, metric, num_samples)
    return low <= 0 <= high


def _independent_interval(
    row: PublishedRow, metric: MetricSpec, num_samples: int
) -> tuple[float, float]:
    """The interval of the drop, as a share, with as many flips as independent answers have."""
    p1, p2 = _shares(row, metric)
    n = num_samples
    return tango_interval(n, n * p1 * (1 - p2), n * p2 * (1 - p1))


def _shares(row: PublishedRow, metric: MetricSpec) -> tuple[float, float]:
    """The shares of right answers, original and optimized."""
    whole = float(_whole(metric))
    return row.original[metric.name] / whole, row.optimized[metric.name] / whole


def _drop(row: PublishedRow, metric: MetricSpec) -> float:
    before, after = _shares(row, metric)
    return before - after


def _whole(metric: MetricSpec) -> Fraction:
    """What the metric is if all answers are right."""
    return Fraction(100) / Fraction(metric.scale)


def _z(quantile: float) -> float:
    return NormalDist().inv_cdf(quantile)
