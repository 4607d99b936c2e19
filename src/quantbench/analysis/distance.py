"""How far a model's outputs are from the original's, which answers alone do not say.

Samples of which one of the models has no such outputs kept count for neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt

from quantbench.core.errors import QuantbenchError
from quantbench.core.results import Evaluation

Floats = npt.NDArray[np.float64]


def kl_divergence_nats(original: Evaluation, optimized: Evaluation) -> float | None:
    """The mean Kullback-Leibler divergence KL(original ‖ optimized) of the classes, in nats.

    Over samples, or over the words of all samples. What is kept are log-probabilities in a few
    digits: they are normalized again, which leaves an error of about 1e-9.

    References:
        S. Kullback and R. A. Leibler, The Annals of Mathematical Statistics 22 (1951), 79-86;
        `scipy.stats.entropy(original, optimized)`.

    Returns:
        None where no one class is right, or nothing was kept.

    Raises:
        QuantbenchError: the two are not of the same classes or words.
    """
    before, after = (
        [item.log_probabilities for item in each.predictions] for each in (original, optimized)
    )
    paired = _paired([(old, new) for old, new in zip(before, after, strict=True) if old and new])
    if paired is None:
        return None
    old_logs, new_logs = (_log_softmax(array) for array in paired)
    each = (np.exp(old_logs) * (old_logs - new_logs)).sum(axis=1)
    return max(0.0, float(each.mean()))


def logit_rms(original: Evaluation, optimized: Evaluation) -> float | None:
    """The root mean square of the differences of logits, over all samples and classes.

    Returns:
        None where the logits stand for a choice of one class, or nothing was kept.

    Raises:
        QuantbenchError: the two are not of the same classes.
    """
    before, after = ([item.logits for item in each.predictions] for each in (original, optimized))
    paired = _paired(
        [((old,), (new,)) for old, new in zip(before, after, strict=True) if old and new]
    )
    if paired is None:
        return None
    return math.sqrt(float(np.square(paired[0] - paired[1]).mean()))


def cosine(original: Evaluation, optimized: Evaluation) -> float | None:
    """The mean cosine of the vectors that both models make of the same texts; None without any."""
    pairs = zip(original.predictions, optimized.predictions, strict=True)
    found = [
        sum(a * b for a, b in zip(old.vector, new.vector, strict=True))
        / math.hypot(*old.vector)
        / math.hypot(*new.vector)
        for old, new in pairs
        if old.vector and new.vector
    ]
    return fmean(found) if found else None


def _paired(
    samples: Sequence[tuple[Sequence[Sequence[float]], Sequence[Sequence[float]]]],
) -> tuple[Floats, Floats] | None:
    """All rows of all samples, of both models: [rows, classes] twice; None without any."""
    before = [row for old, _ in samples for row in old]
    after = [row for _, new in samples for row in new]
    if len({len(row) for row in (*before, *after)}) > 1 or any(
        len(old) != len(new) for old, new in samples
    ):
        raise QuantbenchError(
            "the logits that were kept of the two models are not of the same classes and words",
            hint="Evaluate both again: run the sweep with --fresh.",
        )
    return (np.array(before), np.array(after)) if before else None


def _log_softmax(array: Floats) -> Floats:
    shifted = array - array.max(axis=1, keepdims=True)
    logs: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs
