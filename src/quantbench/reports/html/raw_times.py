"""Raw times as a page can hold them: histograms, and the medians of rounds in their order."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np

from quantbench.core.frozen import Frozen
from quantbench.core.results import Block, Timing

# How many numbers all series of a page may have together, so that it stays small.
_ALL_POINTS, _ALL_BINS = 150_000, 120_000
_MOST_POINTS, _MOST_BINS = 240, 48
_LEAST_POINTS, _LEAST_BINS = 10, 10


class Thinning(Frozen):
    """How many numbers each series may have."""

    max_points: int
    num_bins: int


class Series(Frozen):
    """The raw times of one model in one shape.

    `counts[i]` forwards took from `low_ms + i * step_ms` on, less than `step_ms` more; the last
    bin has all that took longer, the slowest of them `max_ms`. `rounds_ms` are medians of the
    model's blocks, in the order of the session, one for each `rounds_per_point` rounds.
    `set_starts` are the rounds with which a set of fresh processes began.
    """

    low_ms: float
    step_ms: float
    counts: tuple[int, ...]
    max_ms: float
    median_ms: float
    num_rounds: int
    rounds_per_point: int
    rounds_ms: tuple[float, ...]
    set_starts: tuple[int, ...]


# The order of a series' numbers in the page: names would be half of it.
SERIES_FIELDS = tuple(Series.model_fields)


def as_numbers(found: Series) -> tuple[object, ...]:
    """The numbers of a series in the order of `SERIES_FIELDS`."""
    return tuple(getattr(found, name) for name in SERIES_FIELDS)


def thinning(num_series: int) -> Thinning:
    """What each of so many series may have: everything in a small sweep, less in a large one."""
    share = max(1, num_series)
    return Thinning(
        max_points=max(_LEAST_POINTS, min(_MOST_POINTS, _ALL_POINTS // share)),
        num_bins=max(_LEAST_BINS, min(_MOST_BINS, _ALL_BINS // share)),
    )


def series(timing: Timing, limits: Thinning) -> Series | None:
    """The times of a session as a page holds them; None without any."""
    samples = np.sort(np.concatenate([(), *(block.samples_ns for block in timing.blocks)]))
    if not len(samples):
        return None
    low, high = float(samples[0]), float(samples[int(0.99 * (len(samples) - 1))])
    step = max((high - low) / (limits.num_bins - 1), low * 1e-4, 1.0)
    places = np.minimum((samples - low) // step, limits.num_bins - 1).astype(np.int64)
    rounds = _rounds(timing.blocks)
    per_point = -(-len(rounds) // limits.max_points)
    medians = [median(times) for _, times in rounds]
    sets = [process_set for process_set, _ in rounds]
    return Series(
        low_ms=short(low / 1e6, 6),
        step_ms=short(step / 1e6),
        counts=tuple(int(n) for n in np.bincount(places)),
        max_ms=short(float(samples[-1]) / 1e6),
        median_ms=short(float(samples[len(samples) // 2]) / 1e6),
        num_rounds=len(rounds),
        rounds_per_point=per_point,
        rounds_ms=tuple(
            short(median(medians[start : start + per_point]) / 1e6)
            for start in range(0, len(medians), per_point)
        ),
        set_starts=tuple(n for n, item in enumerate(sets) if n == 0 or sets[n - 1] != item),
    )


def short(value: float, digits: int = 4) -> float:
    """The value with so many digits: a page shows no more, and they are what makes it large."""
    return float(f"{value:.{digits}g}")


def _rounds(blocks: Sequence[Block]) -> list[tuple[int, list[float]]]:
    """The rounds in their order: the process set, and the medians of the model's blocks."""
    found: dict[tuple[int, int], list[float]] = {}
    for block in blocks:
        if block.samples_ns:
            key = (block.process_set, block.round)
            found.setdefault(key, []).append(median(block.samples_ns))
    return [(process_set, found[process_set, number]) for process_set, number in sorted(found)]
