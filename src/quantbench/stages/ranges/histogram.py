"""Histograms that grow: the values of one sample after the other, in memory of a fixed size.

The source is `HistogramCollector` of onnxruntime/quantization/calibrate.py, in the pattern of one
`collect_data` call per sample: the first sample sets the width of the bins, later ones add bins
of the same width at the ends. Where that fails or loses values there, it does not here:

1. values too close together for their type to tell bins apart ("Too many bins"): the first
   histogram begins at zero instead;
2. more than MAX_NUM_BINS bins (a first sample of tiny values): three bins are made one, until
   there are fewer;
3. absolute values below the first bin, or above the last one by rounding: counted in that bin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantbench.core.calibration import MAX_NUM_BINS
from quantbench.stages.ranges.extremes import Range, Values, extremes, widened

# Values at a time, so that temporary arrays stay small; what numpy takes.
_BLOCK = 65_536
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


def fold_signed(so_far: Histogram | None, values: Values, num_bins: int) -> Histogram:
    """Add values to a histogram around zero (`collect_value`, `merge_histogram`).

    Args:
        so_far: None for the first values.
        values: finite, any shape.
        num_bins: bins of the first histogram.
    """
    values = values.ravel()
    new = extremes(values)
    threshold = np.array(max(abs(new.lowest), abs(new.highest)), dtype=values.dtype)
    if threshold > np.finfo(values.dtype).max / 2:
        # The distance between both ends has to be a number.
        values, threshold = values.astype(np.float64), threshold.astype(np.float64)
    if not _can_be_split(-threshold, threshold, MAX_NUM_BINS):
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
    so_far, old = _coarse_enough(so_far, float(threshold), both_ends=True)
    stride = 2 * old / so_far.counts.size
    more = int((threshold - old) // stride + 1)
    reached = more * stride + old
    num_bins = so_far.counts.size + 2 * more
    counts, edges = _histogram(values, num_bins, reached)
    counts[more : num_bins - more] += so_far.counts
    return Histogram(counts, edges, seen, reached)


def fold_absolute(so_far: Histogram | None, values: Values, num_bins: int) -> Histogram:
    """Add values to a histogram of their absolutes (`collect_absolute_value`).

    Args:
        so_far: None for the first values.
        values: finite, any shape.
        num_bins: bins of the first histogram.
    """
    new = extremes(values)
    values = np.absolute(values.ravel())
    span = extremes(values)
    if so_far is None:
        first, last = span.lowest, span.highest
        if first != last and not _can_be_split(first, last, num_bins):
            first = values.dtype.type(0)
            if not _can_be_split(first, last, num_bins):
                last = first
        counts, edges = np.histogram(values, num_bins, range=(first, last))
        edges = edges.astype(values.dtype)
        return Histogram(counts, edges, new, edges[-1])
    if span.highest > so_far.edges[-1]:
        so_far, _ = _coarse_enough(so_far, float(span.highest), both_ends=False)
        last, width = so_far.edges[-1], so_far.edges[1] - so_far.edges[0]
        more = np.arange(last + width, span.highest + width, width, dtype=so_far.edges.dtype)
        edges = np.hstack((so_far.edges, more))
        if edges[-1] < span.highest:
            edges = np.append(edges, span.highest)
    else:
        edges = so_far.edges
    counts = _counted(values, edges)
    counts[: so_far.counts.size] += so_far.counts
    return Histogram(counts, edges, widened(so_far.seen, new), edges[-1])


def _histogram(
    values: Values, num_bins: int, threshold: Any
) -> tuple[npt.NDArray[np.int64], Values]:
    """np.histogram from -threshold to threshold, in the type of both."""
    return np.histogram(values, num_bins, range=(-threshold, threshold))


def _can_be_split(first: Any, last: Any, num_bins: int) -> bool:
    """Whether the type of the ends can tell so many bins between them apart."""
    edges = np.linspace(first, last, num_bins + 1, dtype=last.dtype)
    return bool(np.all(edges[:-1] < edges[1:]))


def _coarse_enough(histogram: Histogram, reach: float, *, both_ends: bool) -> tuple[Histogram, Any]:
    """Merge bins by threes until the histogram can grow to `reach`, and its threshold then.

    Signed histograms are filled up with empty bins at both ends, so that zero stays the centre.
    """
    while True:
        counts, edges = histogram.counts, histogram.edges
        width = (float(edges[-1]) - float(edges[0])) / counts.size
        more = (reach - float(edges[-1])) / width
        num_bins = counts.size + (2 if both_ends else 1) * (more + 1)
        if num_bins <= MAX_NUM_BINS:
            return histogram, histogram.threshold
        missing = counts.size % _MERGED if both_ends else -counts.size % _MERGED
        padded = np.pad(counts, (missing if both_ends else 0, missing))
        merged = padded.reshape(-1, _MERGED).sum(axis=1)
        first = float(edges[0]) - (missing * width if both_ends else 0)
        last = float(edges[-1]) + missing * width
        wider = np.linspace(first, last, merged.size + 1)
        histogram = Histogram(merged, wider, histogram.seen, wider[-1])


def _counted(values: Values, edges: Values) -> npt.NDArray[np.int64]:
    """What np.histogram(values, edges) counts, with values outside in the first and last bin.

    The edges are evenly spaced but for rounding: a bin is guessed, then corrected by the edges
    themselves, which is several times as fast as sorting.
    """
    num_bins = edges.size - 1
    first = float(edges[0])
    width = (float(edges[-1]) - first) / num_bins
    counts = np.zeros(num_bins, dtype=np.int64)
    for start in range(0, values.size, _BLOCK):
        block = values[start : start + _BLOCK]
        guess = (block.astype(np.float64) - first) / width
        index = np.clip(guess, 0, num_bins - 1).astype(np.intp)
        while True:
            too_high = (block < edges[index]) & (index > 0)
            too_low = (block >= edges[index + 1]) & (index < num_bins - 1)
            if not (too_high.any() or too_low.any()):
                break
            index += too_low
            index -= too_high
        counts += np.bincount(index, minlength=num_bins)
    return counts
