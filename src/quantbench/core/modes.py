"""Whether times have one state or two: a machine that is now fast, now slow, has no one latency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

# Two states are at least so far apart, each has at least this share of the blocks, and the gap
# between them is so many times what blocks on both sides typically differ from their own median.
LEAST_GAP = 0.10
LEAST_SHARE = 0.20
LEAST_GAP_TO_SPREAD = 3.0
# With fewer blocks a gap is nothing unusual.
LEAST_BLOCKS = 14


@dataclass(frozen=True)
class Mode:
    """One of the states of a time: the median of its blocks, and its share of all."""

    median: float
    share: float


def modes(medians: Sequence[float]) -> tuple[Mode, ...]:
    """The states that the medians of blocks are in: one or two, fast first; none without blocks.

    The rule looks at the logs in order and takes the largest gap that leaves `LEAST_SHARE` of them
    on each side. It splits them if it is at least `LEAST_GAP` wide and `LEAST_GAP_TO_SPREAD` times
    the mean distance of the blocks from the median of their own side. Simulated blocks of one state
    with 2 to 10 % of noise are split in at most 5 of 100 sessions; those of two states 42 % apart,
    as were seen, with 5 % of noise in at least 7 of 10 (tests/core/test_modes.py). A machine that
    drifts from one to the other has values in between, and one state.

    Args:
        medians: positive, in any unit.
    """
    values = sorted(medians)
    count = len(values)
    if not values:
        return ()
    least = max(2, math.ceil(LEAST_SHARE * count))
    places = range(least, count - least + 1)
    if count >= LEAST_BLOCKS and places:
        logs = [math.log(value) for value in values]
        place = max(places, key=lambda index: logs[index] - logs[index - 1])
        gap = logs[place] - logs[place - 1]
        inside = (_distances(logs[:place]) + _distances(logs[place:])) / count
        if gap >= math.log1p(LEAST_GAP) and gap >= LEAST_GAP_TO_SPREAD * inside:
            return tuple(
                Mode(median(part), len(part) / count) for part in (values[:place], values[place:])
            )
    return (Mode(median(values), 1.0),)


def _distances(values: Sequence[float]) -> float:
    middle = median(values)
    return sum(abs(value - middle) for value in values)
