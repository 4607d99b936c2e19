"""Answers that are any number of classes at once: read from logits, and scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import JsonValue

from quantbench.core.errors import ConfigError, Problem
from quantbench.core.metric_values import metric_value
from quantbench.core.results import Prediction
from quantbench.protocols import Array, Scored
from quantbench.tasks.kept_logits import kept_logits
from quantbench.tasks.labels import REFERENCE_PARAMETER, label_id


@dataclass(frozen=True)
class SeveralClasses:
    """Each class is right or not, whatever the others are.

    `aligned` maps the dataset's class numbers to the model's, None if the dataset has no class
    names.
    """

    id2label: Mapping[int, str]
    aligned: tuple[int, ...] | None

    def decode(self, logits: Array) -> Prediction:
        """The classes whose probability is above one half.

        Args:
            logits: [classes]; the probability of a class is the sigmoid of its logit.

        Returns:
            As answer the model's class numbers, ascending, with their names, the highest
            probability of any class, and the logits. All are None if a logit is not a number.
        """
        logits = np.asarray(logits, dtype=np.float64)
        if np.isnan(logits).any():
            return Prediction(answer=None)
        chosen = [int(number) for number in np.flatnonzero(logits > 0)]
        names = [self.id2label.get(number, str(number)) for number in chosen]
        highest = float(np.exp(-np.logaddexp(0.0, -logits.max())))
        return Prediction(
            answer=[*chosen],
            name=", ".join(names) or "no class",
            score=highest,
            logits=kept_logits(logits),
        )

    def reference(self, value: object) -> JsonValue:
        """The model's class numbers for one value of the label column, ascending.

        The column holds lists of class names, lists of class numbers, or vectors with a 0 or 1 for
        each class in its order.

        Raises:
            ConfigError: something else, or what could be either numbers or a vector.
        """
        if not isinstance(value, list | tuple):
            raise self._refused(value, "is not a list")
        if self._is_vector(value):
            order = self.aligned or sorted(self.id2label)
            found = [number for number, is_in in zip(order, value, strict=True) if is_in]
        else:
            found = [label_id(item, self.aligned, self.id2label) for item in value]
        if len(set(found)) < len(found):
            raise self._refused(value, "names a class twice")
        return [*sorted(found)]

    def score(self, predictions: Sequence[Prediction], references: Sequence[Any]) -> Scored:
        """Accuracy (all classes of a sample right) and micro F1 (of all classes), as fractions.

        Per sample accuracy is 1.0 or 0.0, and F1 that of the sample alone: 1.0 where there is
        nothing to be found and nothing was.

        References:
            `accuracy_score` and `f1_score` (`average="micro"`) of scikit-learn on 0/1 vectors.
        """
        pairs = [(p.answer, right) for p, right in zip(predictions, references, strict=True)]
        right = tuple(float(answer == classes) for answer, classes in pairs)
        counts = tuple(
            (
                float(len({*answer} & {*classes}) if isinstance(answer, list) else 0),
                float(len(answer) if isinstance(answer, list) else 0),
                float(len(classes)),
            )
            for answer, classes in pairs
        )
        of_sample = tuple(
            2 * both / (found + wanted) if found + wanted else is_right
            for (both, found, wanted), is_right in zip(counts, right, strict=True)
        )
        return Scored(
            {"accuracy": sum(right) / len(right), "micro_f1": metric_value("f1", counts)},
            {"accuracy": right, "micro_f1": of_sample},
            {"micro_f1": counts},
        )

    def _is_vector(self, value: Sequence[object]) -> bool:
        """Whether a list has a 0 or 1 for each class, rather than classes.

        Class numbers are whole and differ from each other, so only of two classes a list can be
        both; fractions and truth values are no class numbers.
        """
        if not value or not all(isinstance(item, int | float) for item in value):
            return False
        is_whole = all(type(item) is int for item in value)
        fits = len(value) == len(self.id2label) and all(item in (0, 1) for item in value)
        if not is_whole and not fits:
            raise self._refused(value, "is no vector")
        if fits and is_whole and len(set(value)) == len(value):
            why = "can be two class numbers or a vector: write names, or a vector of 0.0 and 1.0"
            raise self._refused(value, why)
        return fits

    def _refused(self, value: object, why: str) -> ConfigError:
        names = ", ".join(self.id2label[number] for number in sorted(self.id2label))
        message = f"{value!r:.80} {why}"
        allowed = (
            f"a list of class names or numbers, or of a 0 or 1 for each of {len(self.id2label)} "
            f"classes: {names:.400}"
        )
        return ConfigError("labels", [Problem(REFERENCE_PARAMETER, message, allowed=allowed)])
