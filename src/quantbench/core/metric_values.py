"""Metrics as functions of numbers that each sample contributes, so that samples can be drawn anew.

A metric that is no mean over samples (F1 over all entities, a correlation) has no score per sample
that it could be resampled from. It has *parts*: a few numbers per sample, from which its value
follows. All functions take weights, how often each sample is drawn; drawn once, the value is the
metric itself. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from quantbench.core.specs import NUM_PARTS, MetricForm
from quantbench.core.stats import quantile_intervals

Floats = npt.NDArray[np.float64]


def metric_value(form: MetricForm, parts: Sequence[Sequence[float]]) -> float:
    """The metric over all samples.

    Where it is not defined (nothing found and nothing to be found, a constant list, one class
    only) it is 0, as scikit-learn has it for F1 and Matthews.

    Args:
        form: which function of the parts.
        parts: one entry per sample, of `NUM_PARTS[form]` numbers.

    Raises:
        ValueError: no samples, or not as many numbers.
    """
    array = _checked(form, parts)
    return float(metric_values(form, array, np.ones((1, len(array))))[0])


def metric_values(form: MetricForm, parts: Floats, weights: Floats) -> Floats:
    """The metric over several drawings of the samples.

    Args:
        form: which function of the parts.
        parts: [samples, parts].
        weights: [drawings, samples], how often each sample is in each drawing.

    Returns:
        [drawings].

    References:
        `f1_score`, `matthews_corrcoef` (J. Gorodkin, Computational Biology and Chemistry 28
        (2004), 367-374, for several classes) of scikit-learn; `pearsonr` and `spearmanr` of scipy,
        ranks of equal values averaged.
    """
    return _FORMS[form](parts, weights)


def drop_intervals(
    form: MetricForm,
    before: Sequence[Sequence[float]],
    after: Sequence[Sequence[float]],
    clusters: Sequence[Hashable] | None = None,
    *,
    confidences: Sequence[float] = (0.95,),
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[tuple[float, float], ...]:
    """Percentile bootstrap intervals of value(before) - value(after), samples drawn in pairs.

    Args:
        form: which function of the parts.
        before: the original's parts, one entry per sample.
        after: those of the other model on the same samples.
        clusters: what each sample shares with others; whole clusters are then drawn.
        confidences: two-sided levels.
        resamples: number of drawings.
        seed: of the generator; the same input gives the same interval.

    Returns:
        (low, high) for each level.

    References:
        B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), ch. 13; C. Field,
        A. Welsh, "Bootstrapping clustered data", JRSS B 69 (2007), 369-390.
    """
    old, new = _checked(form, before), _checked(form, after)
    if len(old) != len(new):
        raise ValueError(f"{len(old)} and {len(new)} samples cannot be paired")
    _, group = np.unique(
        np.arange(len(old)) if clusters is None else np.array([repr(item) for item in clusters]),
        return_inverse=True,
    )
    count = int(group.max()) + 1
    rng = np.random.default_rng(seed)
    # Drawings are made in portions: all at once would take gigabytes for 10,000 samples.
    portion = max(1, 1_000_000 // len(old))
    found: list[Floats] = []
    for start in range(0, resamples, portion):
        size = min(portion, resamples - start)
        times = rng.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64)
        weights = times[:, group]
        found.append(metric_values(form, old, weights) - metric_values(form, new, weights))
    return quantile_intervals(np.concatenate(found), confidences)


def _checked(form: MetricForm, parts: Sequence[Sequence[float]]) -> Floats:
    array = np.asarray(parts, dtype=np.float64)
    if array.ndim != 2 or not len(array) or array.shape[1] != NUM_PARTS[form]:
        raise ValueError(f"{form} needs samples of {NUM_PARTS[form]} numbers, not {array.shape}")
    return array


def _divided(part: Floats, whole: Floats) -> Floats:
    """A part of a whole; 0 where there is no whole."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)


def _mean(parts: Floats, weights: Floats) -> Floats:
    return _divided(weights @ parts[:, 0], weights.sum(axis=1))


def _ratio(parts: Floats, weights: Floats) -> Floats:
    return _divided(weights @ parts[:, 0], weights @ parts[:, 1])


def _f1(parts: Floats, weights: Floats) -> Floats:
    both, found, right = (weights @ parts).T
    return _divided(2 * both, found + right)


def _class_counts(parts: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """How often each class is right, is predicted, and is the reference: [drawings, classes]."""
    classes = np.unique(parts)
    is_reference = (parts[:, :1] == classes).astype(np.float64)
    is_predicted = (parts[:, 1:] == classes).astype(np.float64)
    return (
        weights @ (is_reference * is_predicted),
        weights @ is_predicted,
        weights @ is_reference,
    )


def _macro_f1(parts: Floats, weights: Floats) -> Floats:
    """The mean over the classes that occur in a drawing."""
    both, predicted, reference = _class_counts(parts, weights)
    occurs = (predicted + reference > 0).astype(np.float64)
    return _divided(_divided(2 * both, predicted + reference).sum(axis=1), occurs.sum(axis=1))


def _matthews(parts: Floats, weights: Floats) -> Floats:
    both, predicted, reference = _class_counts(parts, weights)
    total = weights.sum(axis=1)
    covariance = both.sum(axis=1) * total - (predicted * reference).sum(axis=1)
    spread = (total**2 - (predicted**2).sum(axis=1)) * (total**2 - (reference**2).sum(axis=1))
    return _divided(covariance, np.sqrt(np.maximum(spread, 0.0)))


def _pearson(parts: Floats, weights: Floats) -> Floats:
    return _correlation(parts[:, 0][None], parts[:, 1][None], weights)


def _spearman(parts: Floats, weights: Floats) -> Floats:
    return _correlation(_ranks(parts[:, 0], weights), _ranks(parts[:, 1], weights), weights)


def _correlation(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Of x and y, [1 or drawings, samples]."""
    x, y = _centred(x, weights), _centred(y, weights)
    product = (weights * x * y).sum(axis=1)
    spread = np.sqrt((weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1))
    return np.clip(_divided(product, spread), -1.0, 1.0)


def _centred(x: Floats, weights: Floats) -> Floats:
    """Less the mean of each drawing; exactly 0 where all of it is the same, but for rounding."""
    mean = (weights * x).sum(axis=1, keepdims=True) / weights.sum(axis=1, keepdims=True)
    centred = x - mean
    largest = np.abs(np.where(weights > 0, centred, 0.0)).max(axis=1, keepdims=True)
    return np.where(largest <= 1e-14 * np.abs(mean), 0.0, centred)


def _ranks(values: Floats, weights: Floats) -> Floats:
    """The rank of each sample among those of a drawing, equal values averaged: as `weights`."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(group.max() + 1))
    sizes = np.add.reduceat(weights[:, order], starts, axis=1)
    middle = np.cumsum(sizes, axis=1) - (sizes - 1) / 2
    return np.asarray(middle[:, group], dtype=np.float64)


_FORMS: Mapping[MetricForm, Callable[[Floats, Floats], Floats]] = {
    "mean": _mean,
    "ratio": _ratio,
    "f1": _f1,
    "macro_f1": _macro_f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
}
