"""The range that holds a given percent of the values.

The source is `compute_percentile` of onnxruntime/quantization/calibrate.py.
"""

from __future__ import annotations

import numpy as np

from quantbench.stages.ranges.extremes import Range
from quantbench.stages.ranges.histogram import Histogram


def range_of_absolutes(histogram: Histogram, percentile: float) -> Range:
    """-e and e, the edge below which that percent of the absolute values are, by whole bins.

    A range never reaches beyond what was seen: of values that are all positive it begins at the
    smallest of them.
    """
    edge = histogram.edges[_position(histogram, percentile / 100.0)]
    return _within_seen(Range(-edge, edge), histogram.seen)


def range_of_values(histogram: Histogram, percentile: float) -> Range:
    """The edges that cut half of the rest off at each end, by whole bins."""
    cut = (100.0 - percentile) / 200.0
    edges = histogram.edges
    found = Range(edges[_position(histogram, cut)], edges[_position(histogram, 1.0 - cut)])
    return _within_seen(found, histogram.seen)


def _position(histogram: Histogram, share: float) -> int:
    cumulative = np.cumsum(histogram.counts / histogram.counts.sum())
    return int(np.searchsorted(cumulative, share))


def _within_seen(found: Range, seen: Range) -> Range:
    lowest, highest = max(found.lowest, seen.lowest), min(found.highest, seen.highest)
    # All values in one bin: its lower edge is below them all, and no range.
    return seen if lowest > highest or seen.lowest == seen.highest else Range(lowest, highest)
