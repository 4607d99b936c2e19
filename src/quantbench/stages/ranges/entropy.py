"""The range whose quantized histogram tells least apart from the histogram itself.

The sources are `get_entropy_threshold` of onnxruntime/quantization/calibrate.py, and S. Migacz,
"8-bit Inference with TensorRT", GTC 2017, session S7310: of all ranges around zero, take the one
with the least Kullback-Leibler divergence between P, the histogram cut to the range with what is
cut off added to the end bins, and Q, the cut histogram in `num_quantized_bins` levels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quantbench.stages.ranges.extremes import Range
from quantbench.stages.ranges.histogram import Histogram

# The mass that empty bins are given, so that the logarithm is finite.
_EPSILON = 0.0001

Counts = npt.NDArray[np.int64]


def range_of_least_divergence(histogram: Histogram, num_quantized_bins: int) -> Range:
    """Search all ranges around zero of at least `num_quantized_bins` bins.

    Args:
        histogram: signed, with at least `num_quantized_bins` bins.
        num_quantized_bins: levels of the quantized type that are looked at.

    Returns:
        The first best range, and never beyond what was seen.
    """
    seen = histogram.seen
    if seen.lowest == seen.highest:
        return seen
    counts, edges = histogram.counts, histogram.edges
    centre, smallest = counts.size // 2, num_quantized_bins // 2
    below = np.concatenate(([0], np.cumsum(counts)))
    best, least = (centre - smallest, min(centre + smallest + 1, counts.size)), np.inf
    for half in range(smallest, centre + 1):
        start, end = centre - half, min(centre + half + 1, counts.size)
        outliers = int(below[start]), int(below[-1] - below[end])
        divergence = _divergence(counts[start:end], outliers, num_quantized_bins, edges.dtype)
        if divergence < least:
            best, least = (start, end), divergence
    return Range(max(edges[best[0]], seen.lowest), min(edges[best[1]], seen.highest))


def _divergence(
    cut: Counts, outliers: tuple[int, int], num_quantized_bins: int, dtype: npt.DTypeLike
) -> float:
    p = cut.copy()
    p[0] += outliers[0]
    p[-1] += outliers[1]
    q = _quantized(cut, p != 0, num_quantized_bins)
    smooth_p, smooth_q = _smoothed(p), _smoothed(q)
    if smooth_p is None or smooth_q is None:
        return np.inf
    smooth_p, smooth_q = smooth_p / np.sum(smooth_p), smooth_q / np.sum(smooth_q)
    return float(np.sum(smooth_p * np.log(smooth_p / smooth_q)).astype(dtype))


def _quantized(cut: Counts, is_filled: npt.NDArray[np.bool_], num_quantized_bins: int) -> Counts:
    """The counts of each level, spread evenly over its bins; whole numbers, as in the source."""
    per_level = cut.size // num_quantized_bins
    whole = per_level * num_quantized_bins
    levels = cut[:whole].reshape(num_quantized_bins, per_level).sum(axis=1)
    levels[-1] += cut[whole:].sum()
    filled = is_filled[:whole].reshape(num_quantized_bins, per_level).sum(axis=1)
    spread = np.where(filled > 0, levels / np.maximum(filled, 1), 0).astype(np.int64)
    q = np.zeros(cut.size, dtype=np.int64)
    q[:whole] = np.repeat(spread, per_level)
    return q


def _smoothed(counts: Counts) -> npt.NDArray[Any] | None:
    """A little of the filled bins' mass moved to the empty ones; None if all are empty.

    With fewer than 10,000 bins a filled one always keeps more than it gives.
    """
    is_empty = (counts == 0).astype(np.float32)
    num_empty = float(is_empty.sum())
    num_filled = counts.size - num_empty
    if num_filled == 0:
        return None
    taken = _EPSILON * num_empty / num_filled
    smooth = counts.astype(np.float32)
    smooth += _EPSILON * is_empty + (-taken) * (counts != 0).astype(np.float32)
    return smooth
