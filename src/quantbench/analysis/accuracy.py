"""Paired accuracy of one arm against the original."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from quantbench.core import stats
from quantbench.core.errors import QuantbenchError
from quantbench.core.metric_values import drop_intervals
from quantbench.core.results import Evaluation
from quantbench.core.specs import NUM_PARTS, MetricForm, MetricSpec
from quantbench.core.summary import MetricSummary

Parts = tuple[float, ...]
Intervals = tuple[tuple[float, float], ...]

# Forms of which samples may have no part.
_COUNTING = ("ratio", "f1")
# Per-sample scores lie between 0 and 1, whatever unit the metric itself is given in.
POINTS = 100.0


def compare_metric(
    original: Evaluation,
    optimized: Evaluation,
    metric: MetricSpec,
    seed: int = 0,
    num_compared: int = 1,
) -> MetricSummary:
    """The drop of one metric with its paired 95 % interval.

    `num_compared` is how many models are compared with this original: the more there are, the
    higher is the upper end that a claim about any of them has to stay below (`family_high`).

    Samples that add nothing to the counts of a ratio or F1 of either model are left out: questions
    without an answer, where those with one are looked at; sentences without entities. Right/wrong
    metrics get Tango's score interval, others a smoothed paired bootstrap, of the metric itself
    where it is no mean; all heed the clusters of the evaluation. Where no sample differs, the score
    interval with zero flips bounds what was not seen.

    Raises:
        QuantbenchError: the evaluations are not of the same samples, or a per-sample score is
            not between 0 and 1.
    """
    if original.sample_ids != optimized.sample_ids:
        raise QuantbenchError(
            "original and optimized were evaluated on different samples: they cannot be paired",
            hint="Evaluate both again with the same dataset, sampling and seed.",
        )
    old_parts, new_parts = (item.parts.get(metric.name, ()) for item in (original, optimized))
    clusters = original.clusters
    before = original.per_sample[metric.name]
    after = optimized.per_sample[metric.name]
    if metric.form in _COUNTING:
        counted = _counted(old_parts, new_parts)
        before, after = (tuple(itertools.compress(each, counted)) for each in (before, after))
        old_parts, new_parts = (
            tuple(itertools.compress(each, counted)) for each in (old_parts, new_parts)
        )
        clusters = None if clusters is None else tuple(itertools.compress(clusters, counted))
    is_mean = metric.form == "mean"
    if is_mean and not all(0.0 <= score <= 1.0 for score in (*before, *after)):
        raise QuantbenchError(
            f"per-sample scores of {metric.name} must lie between 0 and 1",
            hint="Let the task's `score` return fractions per sample; MetricSpec.scale is for the "
            "metric's own value.",
        )
    differences = [old - new for old, new in zip(before, after, strict=True)]
    worse = sum(difference > 0 for difference in differences)
    better = sum(difference < 0 for difference in differences)
    count = len(differences)
    effect = stats.design_effect(differences, clusters)
    by_score = metric.binary or (worse + better == 0 and old_parts == new_parts)
    levels = (0.95, stats.family_confidence(num_compared))
    if by_score:
        share = 1.0 if is_mean else _share_that_decides(metric.form, old_parts)
        counts = (count * share / effect, worse / effect, better / effect)
        intervals = tuple(stats.tango_interval(*counts, level) for level in levels)
    elif is_mean:
        intervals = _smoothed_bootstrap(differences, clusters, seed, levels)
    else:
        parts = (old_parts, new_parts)
        intervals = _bootstrap_of_parts(metric.form, *parts, clusters, seed, levels)
    (low, high), (_, family_high) = intervals
    value, new_value = original.metrics[metric.name], optimized.metrics[metric.name]
    return MetricSummary(
        name=metric.name,
        original=value,
        optimized=new_value,
        original_points=value * metric.scale,
        drop=(value - new_value) * metric.scale,
        low=low * POINTS,
        high=high * POINTS,
        family_high=family_high * POINTS,
        num_compared=num_compared,
        method="score" if by_score else "bootstrap",
        worse=worse,
        better=better,
        mcnemar_p=stats.mcnemar_p(worse, better) if metric.binary else None,
        is_mean=is_mean,
        num_samples=count,
        effective_samples=count / effect,
    )


def _share_that_decides(form: MetricForm, parts: Sequence[Parts]) -> float:
    """Of the samples, how many a metric hangs on where the worst of what was not seen happens.

    A lost answer of a rare class costs macro F1 and Matthews as much as many of a frequent one: the
    interval without a flip is that of the rarest class. Macro F1 averages over the classes.
    """
    if form not in ("macro_f1", "matthews"):
        return 1.0
    sizes = Counter(reference for reference, _ in parts).values()
    return min(sizes) * (len(sizes) if form == "macro_f1" else 1) / len(parts)


def _smoothed_bootstrap(
    differences: Sequence[float],
    clusters: Sequence[str] | None,
    seed: int,
    levels: Sequence[float],
) -> Intervals:
    """A paired bootstrap with one sample added that got fully worse and one fully better.

    A plain bootstrap knows nothing of changes that were not seen, and is too narrow when few
    samples changed. The two pseudo-samples leave the mean where it is; Agresti and Min add to
    the counts of a right/wrong metric in the same way (Statistics in Medicine 24 (2005), 729-740).
    """
    groups = None if clusters is None else [*map(repr, clusters), "worse", "better"]
    return stats.bootstrap_intervals(
        [*differences, 1.0, -1.0], groups, seed=seed, confidences=levels
    )


def _bootstrap_of_parts(
    form: MetricForm,
    before: Sequence[Parts],
    after: Sequence[Parts],
    clusters: Sequence[str] | None,
    seed: int,
    levels: Sequence[float],
) -> Intervals:
    """A paired bootstrap of a metric that is no mean, with two samples added as above.

    Not to correlations: their samples are no right or wrong ones, and nearly all of them differ.
    Of metrics over classes both are of the rarest one, which a single sample moves most.
    """
    added = _right_and_wrong(form, before)
    groups = [str(place) for place in range(len(before))] if clusters is None else clusters
    if added is None:
        return drop_intervals(form, before, after, groups, seed=seed, confidences=levels)
    right, wrong = added
    return drop_intervals(
        form,
        [*before, right, wrong],
        [*after, wrong, right],
        [*map(repr, groups), "worse", "better"],
        seed=seed,
        confidences=levels,
    )


def _right_and_wrong(form: MetricForm, parts: Sequence[Parts]) -> tuple[Parts, Parts] | None:
    """The parts of a sample of ordinary size that is fully right, and of one that is wrong."""
    if form in ("ratio", "f1"):
        size = fmean(each[-1] for each in parts)
        return ((size,) * NUM_PARTS[form], (0.0, *(size,) * (NUM_PARTS[form] - 1)))
    if form in ("macro_f1", "matthews"):
        frequent, *others = [value for value, _ in Counter(each[0] for each in parts).most_common()]
        if others:
            return (others[-1], others[-1]), (others[-1], frequent)
    return None


def compare_metrics(
    original: Evaluation,
    optimized: Evaluation,
    metrics: Sequence[MetricSpec],
    seed: int = 0,
    num_compared: int = 1,
) -> tuple[MetricSummary, ...]:
    """`compare_metric` for each of the metrics.

    A ratio or F1 that no sample counts in for either model has no value, and is left out.
    """
    return tuple(
        compare_metric(original, optimized, metric, seed, num_compared)
        for metric in metrics
        if metric.form not in _COUNTING
        or any(_counted(*(item.parts.get(metric.name, ()) for item in (original, optimized))))
    )


def _counted(before: Sequence[Parts], after: Sequence[Parts]) -> list[bool]:
    """Per sample, whether it contributes to the counts of either model."""
    return [any(old) or any(new) for old, new in zip(before, after, strict=True)]


def agreement(original: Evaluation, optimized: Evaluation) -> float:
    """The share of samples for which both models answer the same."""
    pairs = zip(original.predictions, optimized.predictions, strict=True)
    same = sum(old.answer == new.answer for old, new in pairs)
    return same / len(original.predictions)
