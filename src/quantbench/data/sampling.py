"""Which rows of a split are used."""

from __future__ import annotations

from typing import Literal

import numpy as np


def sample_indices(
    num_rows: int, max_samples: int | None, sampling: Literal["random", "head"], seed: int
) -> tuple[int, ...]:
    """Choose rows; the same arguments choose the same rows on every machine.

    Args:
        num_rows: rows in the split.
        max_samples: how many to choose; None, or more than there are, means all.
        sampling: `head` takes the first ones; `random` draws without replacement.
        seed: of numpy's PCG64 generator, for `random`.

    Returns:
        Row numbers, ascending.
    """
    if max_samples is None or max_samples >= num_rows:
        return tuple(range(num_rows))
    if sampling == "head":
        return tuple(range(max_samples))
    # PCG64 is named because numpy may change its default generator.
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = generator.choice(num_rows, size=max_samples, replace=False)
    return tuple(sorted(int(index) for index in drawn))
