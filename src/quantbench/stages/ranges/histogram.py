"""Histograms that grow: the values of one sample after the other, in memory of a fixed size.

The source is `HistogramCollector` of onnxruntime/quantization/calibrate.py, in the pattern of one
`collect_data` call per sample: the first sample sets the width of the bins, later ones add bins
of the same width at the ends. Where that fails or loses values there, it does not here:

1. values too close together for their type to tell bins apart ("Too many bins"): the first
   histogram begins at zero instead;
2. more than `max_num_bins` bins (a first sample of tiny values): three bins are made one, until
   there are fewer;
3. a largest absolute value that rounding would leave above the last bin: one bin more.

As in ONNX Runtime, absolute values below the smallest of the first sample are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantbench.stages.ranges.extremes import Range, Values, extremes, widened

# Bins that become one where there are too many: odd, so that a centre bin stays the centre.
_MERGED = 3


@dataclass(frozen=True)
class Histogram:
    """Counts of values between edges.

    Attributes:
        counts: int64, shape (num_bins,).
        edges: ascending, shape (num_bins + 1,), of the tensor's type; float64 once bins were
            merged.
        seen: the smallest and largest value, signed.
        threshold: the end of the last bin as it was computed, for symmetric histograms.
    """

    counts: npt.NDArray[np.int64]
    edges: Values
    seen: Range
    threshold: Any


def fold_signed(
    so_far: Histogram | None, values: Values, num_bins: int, max_num_bins: int
) -> Histogram:
    """Add values to a histogram around zero (`collect_value`, `merge_histogram`).

    Args:
        so_far: None for the first values.
        values: finite, any shape.
        num_bins: bins of the first histogram.
        max_num_bins: bins that are not exceeded.
    """
    values = values.ravel()
    new = extremes(values)
    threshold = np.array(max(abs(new.lowest), abs(new.highest)), dtype=values.dtype)
    if threshold > np.finfo(values.dtype).max / 2:
        # The distance between both ends has to be a number.
        values, threshold = values.astype(np.float64), threshold.astype(np.float64)
    if not _can_be_split(-threshold, threshold, max_num_bins):
        threshold = np.zeros_like(threshold)
    if so_far is None:
        counts, edges = _histogram(values, num_bins, threshold)
        return Histogram(counts, edges, new, threshold)
    seen = widened(so_far.seen, new)
    old = so_far.threshold
    if threshold <= old:
        counts, _ = _histogram(values, so_far.counts.size, old)
        return replace(so_far, counts=counts + so_far.counts, seen=seen)
    if old == 0:
        counts, edges = _histogram(values, so_far.counts.size, threshold)
        return Histogram(counts + so_far.counts, edges, seen, threshold)
    so_far, old = _coarse_enough(so_far, float(threshold), max_num_bins, both_ends=True)
    stride = 2 * old / so_far.counts.size
    more = int((threshold - old) // stride + 1)
    reached = more * stride + old
    num_bins = so_far.counts.size + 2 * more
    counts, edges = _histogram(values, num_bins, reached)
    counts[more : num_bins - more] += so_far.counts
    return Histogram(counts, edges, seen, reached)


def fold_absolute(
    so_far: Histogram | None, values: Values, num_bins: int, max_num_bins: int
) -> Histogram:
    """Add values to a histogram of their absolutes (`collect_absolute_value`).

    Args:
        so_far: None for the first values.
        values: finite, any shape.
        num_bins: bins of the first histogram.
        max_num_bins: bins that are not exceeded.
    """
    new = extremes(values)
    values = np.absolute(values.ravel())
    span = extremes(values)
    if so_far is None:
        ends = _first_ends(span, num_bins)
        counts, edges = np.histogram(values, num_bins, range=ends)
        edges = edges.astype(values.dtype)
        return Histogram(counts, edges, new, edges[-1])
    if span.highest > so_far.edges[-1]:
        so_far, _ = _coarse_enough(so_far, float(span.highest), max_num_bins, both_ends=False)
        last, width = so_far.edges[-1], so_far.edges[1] - so_far.edges[0]
        more = np.arange(last + width, span.highest + width, width)
        edges = np.hstack((so_far.edges, more))
        if edges[-1] < span.highest:
            edges = np.append(edges, max(edges[-1] + width, span.highest))
    else:
        edges = so_far.edges
    counts, _ = np.histogram(values, edges)
    counts[: so_far.counts.size] += so_far.counts
    edges = edges.astype(so_far.edges.dtype)
    return Histogram(counts, edges, widened(so_far.seen, new), edges[-1])


def _first_ends(span: Range, num_bins: int) -> tuple[Any, Any]:
    """What np.histogram takes by itself, or else from zero on, or else what it takes for zeros."""
    half, zero = np.asarray(0.5, span.highest.dtype), np.zeros_like(span.highest)
    own = (span.lowest, span.highest)
    if span.lowest == span.highest:
        own = (span.lowest - half, span.highest + half)
    choices = (own, (zero, span.highest))
    return next((ends for ends in choices if _can_be_split(*ends, num_bins)), (-half, half))


def _histogram(
    values: Values, num_bins: int, threshold: Any
) -> tuple[npt.NDArray[np.int64], Values]:
    """np.histogram from -threshold to threshold, in the type of both."""
    return np.histogram(values, num_bins, range=(-threshold, threshold))


def _can_be_split(first: Any, last: Any, num_bins: int) -> bool:
    """Whether the type of the ends can tell so many bins between them apart."""
    edges = np.linspace(first, last, num_bins + 1, dtype=last.dtype)
    return bool(np.all(edges[:-1] < edges[1:]))


def _coarse_enough(
    histogram: Histogram, reach: float, max_num_bins: int, *, both_ends: bool
) -> tuple[Histogram, Any]:
    """Merge bins by threes until the histogram can grow to `reach`, and its threshold then.

    Signed histograms are filled up with empty bins at both ends, so that zero stays the centre.
    """
    while True:
        counts, edges = histogram.counts, histogram.edges
        width = (float(edges[-1]) - float(edges[0])) / counts.size
        more = (reach - float(edges[-1])) / width
        num_bins = counts.size + (2 if both_ends else 1) * (more + 1)
        if num_bins <= max_num_bins:
            return histogram, histogram.threshold
        missing = counts.size % _MERGED if both_ends else -counts.size % _MERGED
        padded = np.pad(counts, (missing if both_ends else 0, missing))
        merged = padded.reshape(-1, _MERGED).sum(axis=1)
        first = float(edges[0]) - (missing * width if both_ends else 0)
        last = float(edges[-1]) + missing * width
        wider = np.linspace(first, last, merged.size + 1)
        histogram = Histogram(merged, wider, histogram.seen, wider[-1])
