"""Interleaved times of arms in one cell: latencies and ratios through the reference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median

from quantbench.core import stats
from quantbench.core.modes import modes
from quantbench.core.plan import Cell
from quantbench.core.results import Timing
from quantbench.core.summary import Latency, LatencyMode, Noise, Ratio

# The session is invalid when two copies of one file differ by more than this for certain.
INVALID_MARGIN = 0.01
# In logs: bounds further away than this are no numbers to reckon with.
_WIDEST = 300.0


def latency(timing: Timing) -> Latency:
    """Absolute times of one arm in one cell, over all its blocks."""
    samples = [sample for block in timing.blocks for sample in block.samples_ns]
    seconds = sum(samples) / 1e9
    medians = [median(block.samples_ns) for block in timing.blocks if block.samples_ns]
    return Latency(
        mean_ms=seconds * 1e3 / len(samples),
        p50_ms=median(samples) / 1e6,
        p90_ms=stats.percentile_ms(samples, 90),
        p95_ms=stats.percentile_ms(samples, 95),
        p99_ms=stats.percentile_ms(samples, 99),
        num_forwards=len(samples),
        throughput_per_s=timing.cell.batch_size * len(samples) / seconds,
        forwards_per_s=len(samples) / seconds,
        modes=tuple(
            LatencyMode(median_ms=mode.median / 1e6, share=mode.share) for mode in modes(medians)
        ),
    )


def peak_rss_bytes(timing: Timing) -> int | None:
    """The largest resident memory of the arm's processes; None where no system told."""
    known = (process.peak_rss_bytes for process in timing.processes)
    return max((item for item in known if item is not None), default=None)


def ratio(slow: Mapping[stats.Round, float], fast: Mapping[stats.Round, float]) -> Ratio | None:
    """How many times faster `fast` is than `slow`, both logs by round against one reference."""
    logs = stats.subtract_rounds(slow, fast)
    value = stats.ratio_estimate(logs)
    if value is None:
        return None
    low, high = stats.ratio_interval(logs) or (None, None)
    return Ratio(value=value, low=low, high=high)


def change(before: Ratio, after: Ratio) -> Ratio:
    """How many times as high a ratio is as one that was measured in another session.

    Both intervals are symmetric in logs, and what they miss is independent: in logs, the square of
    the distance from the estimate to a bound is the sum of the squares of theirs (MOVER). Where
    either has no bounds, there are none; nor where they are so wide that they say nothing.

    References:
        W. Howe, "Approximate confidence limits on the mean of X + Y where X and Y are two tabled
        independent random variables", JASA 69 (1974), 789-794; G. Zou, A. Donner, "Construction of
        confidence limits about effect measures", Statistics in Medicine 27 (2008), 1693-1702.
    """
    value = after.value / before.value
    shared = before.shared and after.shared
    if before.low is None or before.high is None or after.low is None or after.high is None:
        return Ratio(value=value, shared=shared)
    down = math.hypot(math.log(after.value / after.low), math.log(before.high / before.value))
    up = math.hypot(math.log(after.high / after.value), math.log(before.value / before.low))
    if max(down, up) > _WIDEST:
        return Ratio(value=value, shared=shared)
    return Ratio(value=value, low=value * math.exp(-down), high=value * math.exp(up), shared=shared)


def noise(cell: Cell, reference: Timing, twin: Timing) -> Noise | None:
    """The twin over the reference; None without a common round."""
    logs = stats.ratio_per_round(twin.blocks, reference.blocks)
    found = ratio(logs, dict.fromkeys(logs, 0.0))
    if found is None:
        return None
    invalid = (found.low is not None and found.low > 1 + INVALID_MARGIN) or (
        found.high is not None and found.high < 1 - INVALID_MARGIN
    )
    return Noise(cell=cell, ratio=found, invalid=invalid)


def overall(ratios: list[Ratio]) -> Ratio | None:
    """The geometric mean over cells, with bounds that are never too narrow."""
    if not ratios:
        return None
    lows = [item.low for item in ratios if item.low is not None]
    highs = [item.high for item in ratios if item.high is not None]
    bounded = len(lows) == len(highs) == len(ratios)
    return Ratio(
        value=stats.geometric_mean(item.value for item in ratios),
        low=stats.geometric_mean(lows) if bounded else None,
        high=stats.geometric_mean(highs) if bounded else None,
        shared=all(item.shared for item in ratios),
    )
