"""What is kept of logits with an answer: models that answer the same can still be apart."""

from __future__ import annotations

import numpy as np

from quantbench.protocols import Array

# Digits after the point. What int8 changes is in the first or second.
KEPT_DIGITS = 4


def kept_log_probabilities(logits: Array) -> tuple[tuple[float, ...], ...]:
    """The log-probabilities of the classes, where exactly one of them is right.

    They are rounded, so that their probabilities sum to 1 only nearly.

    Args:
        logits: [things, classes]: one sample, or its words.

    Returns:
        An entry for each thing; none at all if a logit is not finite.
    """
    array = np.asarray(logits, dtype=np.float64)
    if not np.isfinite(array).all():
        return ()
    array = array - array.max(axis=-1, keepdims=True)
    array = array - np.log(np.exp(array).sum(axis=-1, keepdims=True))
    return tuple(tuple(row) for row in _rounded(array).tolist())


def kept_logits(logits: Array) -> tuple[float, ...]:
    """The logits [classes] themselves, rounded, where they stand each for itself.

    None at all if one is not finite.
    """
    array = np.asarray(logits, dtype=np.float64)
    return tuple(_rounded(array).tolist()) if np.isfinite(array).all() else ()


def _rounded(array: Array) -> Array:
    return np.round(array, KEPT_DIGITS) + 0.0  # no negative zero
