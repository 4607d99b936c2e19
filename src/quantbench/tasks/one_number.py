"""Answers that are a number (regression): read from a logit, and scored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from quantbench.core.errors import ConfigError, Problem, QuantbenchError
from quantbench.core.metric_values import metric_value
from quantbench.core.results import Prediction
from quantbench.protocols import Array, Scored
from quantbench.tasks.kept_logits import kept_logits
from quantbench.tasks.labels import REFERENCE_PARAMETER

# Digits after the point in which two models must be the same to agree on a sample.
AGREED_DIGITS = 2


@dataclass(frozen=True)
class OneNumber:
    """The answer is a number, and metrics say how well it follows the reference."""

    label_column: str

    def decode(self, logits: Array) -> Prediction:
        """The number.

        Args:
            logits: [1].

        Returns:
            As score the number itself, which is what metrics are made from. As answer the number
            in two digits after the point: numbers of two models nearly always differ somewhere, so
            they agree on a sample where that is the same.

        Raises:
            QuantbenchError: it is not finite: no correlation can be made from it.
        """
        value = float(logits[0])
        if not math.isfinite(value):
            raise QuantbenchError(
                f"the model answers {value}, which is not a number that can be scored",
                hint="Something overflows inside it: if the original does not do it, leave out the "
                "operators or nodes that were quantized (node_exclusion), or take another scheme.",
            )
        return Prediction(answer=_agreed(value), score=value, logits=kept_logits(logits[:1]))

    def reference(self, value: object) -> JsonValue:
        """The number in the label column.

        Raises:
            ConfigError: it is something else, or not finite.
        """
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        advice = "leave the row out, or fill it in" if value is None else "write it as a number"
        message = f"the column {self.label_column} holds {value!r:.80}, not a number: {advice}"
        raise ConfigError("labels", [Problem(REFERENCE_PARAMETER, message)])

    def score(self, predictions: Sequence[Prediction], references: Sequence[Any]) -> Scored:
        """Pearson's and Spearman's correlation, -1 to 1; 0 where one list is constant.

        Per sample both are minus the distance of the answer, with its two digits after the point,
        from the reference: what differs beyond that is neither worse nor better.

        References:
            `pearsonr` and `spearmanr` of scipy; GLUE has both for STS-B.
        """
        pairs = tuple(
            (float(wanted), _number(prediction))
            for prediction, wanted in zip(predictions, references, strict=True)
        )
        closeness = tuple(-abs(wanted - _agreed(found)) for wanted, found in pairs)
        return Scored(
            {
                "pearson": metric_value("pearson", pairs),
                "spearman": metric_value("spearman", pairs),
            },
            {"pearson": closeness, "spearman": closeness},
            {"pearson": pairs, "spearman": pairs},
        )


def _agreed(value: float) -> float:
    return round(value, AGREED_DIGITS) + 0.0


def _number(prediction: Prediction) -> float:
    if prediction.score is None:
        raise ValueError("a prediction without its number cannot be scored")
    return prediction.score
