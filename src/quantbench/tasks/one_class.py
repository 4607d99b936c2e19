"""Answers that are one class of several: read from logits, and scored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import JsonValue

from quantbench.core.metric_values import metric_value
from quantbench.core.results import Prediction
from quantbench.protocols import Array, Scored
from quantbench.tasks.kept_logits import kept_log_probabilities
from quantbench.tasks.labels import label_id

# Stands for an answer that is no class, in metrics of all classes: no reference equals it.
_NO_CLASS = -1.0


def most_likely(logits: Array, id2label: Mapping[int, str]) -> Prediction:
    """The class with the highest logit; of equal ones the first.

    Args:
        logits: [classes].
        id2label: the names to show, by the model's numbers.

    Returns:
        As answer the model's class number, with its name and probability, and those of all classes.
        All are None if a logit is not a number, which no label equals: a broken model is wrong, not
        right by chance.
    """
    logits = np.asarray(logits, dtype=np.float64)
    if np.isnan(logits).any():
        return Prediction(answer=None)
    label = int(np.argmax(logits))
    total = float(np.exp(logits - logits[label]).sum()) if math.isfinite(logits[label]) else 1.0
    name = id2label.get(label, str(label))
    return Prediction(
        answer=label,
        name=name,
        score=1.0 / total,
        log_probabilities=kept_log_probabilities(logits[None]),
    )


@dataclass(frozen=True)
class OneClass:
    """Exactly one class is right.

    `aligned` maps the dataset's class numbers to the model's, None if the dataset has no class
    names. `positive` is the model's number of the class that `f1` is of, None if it has no part.
    """

    id2label: Mapping[int, str]
    aligned: tuple[int, ...] | None
    positive: int | None

    def decode(self, logits: Array) -> Prediction:
        """As `most_likely`."""
        return most_likely(logits, self.id2label)

    def reference(self, value: object) -> JsonValue:
        """The model's class number for one value of the label column.

        Raises:
            ConfigError: it is no class.
        """
        return label_id(value, self.aligned, self.id2label)

    def score(self, predictions: Sequence[Prediction], references: Sequence[Any]) -> Scored:
        """Accuracy, macro F1, Matthews, and F1 of the positive class: all as fractions.

        Macro F1 is over the classes that occur among references or answers. Per sample all are 1.0
        (right) or 0.0 (wrong); F1 asks only whether the sample is of the positive class.

        References:
            `accuracy_score`, `f1_score` (`average="macro"`, or `pos_label`) and
            `matthews_corrcoef` of scikit-learn; GLUE (A. Wang et al., 2018) has accuracy and F1
            for MRPC and QQP, Matthews for CoLA.
        """
        pairs = [(p.answer, label) for p, label in zip(predictions, references, strict=True)]
        right = tuple(float(answer == label) for answer, label in pairs)
        classes = tuple(
            (float(label), float(answer) if isinstance(answer, int) else _NO_CLASS)
            for answer, label in pairs
        )
        parts: dict[str, tuple[tuple[float, ...], ...]] = {
            "macro_f1": classes,
            "matthews_correlation": classes,
        }
        metrics = {
            "accuracy": sum(right) / len(right),
            "macro_f1": metric_value("macro_f1", classes),
            "matthews_correlation": metric_value("matthews", classes),
        }
        per_sample = dict.fromkeys(metrics, right)
        if self.positive is None:
            return Scored(metrics, per_sample, parts)
        counts = tuple(self._counts(answer, label) for answer, label in pairs)
        told_apart = tuple(
            float(answer is not None and found == wanted)
            for (answer, _), (_, found, wanted) in zip(pairs, counts, strict=True)
        )
        return Scored(
            metrics | {"f1": metric_value("f1", counts)},
            per_sample | {"f1": told_apart},
            parts | {"f1": counts},
        )

    def _counts(self, answer: object, label: object) -> tuple[float, float, float]:
        """Whether both, the answer, and the reference are the positive class."""
        is_found, is_wanted = answer == self.positive, label == self.positive
        return float(is_found and is_wanted), float(is_found), float(is_wanted)
