"""Scores of a whole question set, as the official scripts of SQuAD give them.

A metric is a percentage. A sample's score is a fraction, 0 to 1 (exact match: 0 or 1). A prediction
of None is no answer at all, not even the empty one: always wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quantbench.core.metric_values import metric_value
from quantbench.protocols import Scored
from quantbench.tasks.squad_metric import (
    accepted_version_2,
    best_over_references,
    exact_match,
    f1,
    f1_version_2,
)


def score_version_1(
    predictions: Sequence[str | None], references: Sequence[Sequence[str]]
) -> Scored:
    """`exact_match` and `f1` as `evaluate-v1.1.py` computes them.

    Raises:
        ValueError: a question has no reference, or there are not as many.
    """
    per_sample = {
        "exact_match": _each(exact_match, predictions, references),
        "f1": _each(f1, predictions, references),
    }
    return Scored({name: _percent(values) for name, values in per_sample.items()}, per_sample)


def score_version_2(
    predictions: Sequence[str | None], references: Sequence[Sequence[str]]
) -> Scored:
    """`exact_match` and `f1` as `evaluate-v2.0.py` computes them, over all and by kind of question.

    `HasAns_exact` and `HasAns_f1` are over the questions that have a reference, `NoAns_exact` and
    `NoAns_f1` over the others, as that script names them (it calls `exact_match` `exact`). Their
    parts are (score, 1) for a question of the kind and (0, 0) for another. Without a question of
    the kind the value is 0, and a comparison leaves the metric out, as the script does.

    Its `best_exact` and `best_f1` are not there: they choose the threshold on the very questions
    that they are reported for.

    Raises:
        ValueError: there are not as many references.
    """
    accepted = [accepted_version_2(each) for each in references]
    exact = _each(exact_match, predictions, accepted)
    overlap = _each(f1_version_2, predictions, accepted)
    has_answer = [bool(each) for each in references]
    per_sample = {"exact_match": exact, "f1": overlap}
    metrics = {name: _percent(values) for name, values in per_sample.items()}
    parts: dict[str, tuple[tuple[float, ...], ...]] = {}
    for kind, wanted in (("HasAns", True), ("NoAns", False)):
        for short, values in (("exact", exact), ("f1", overlap)):
            name = f"{kind}_{short}"
            parts[name] = tuple(
                (value, 1.0) if has == wanted else (0.0, 0.0)
                for value, has in zip(values, has_answer, strict=True)
            )
            per_sample[name] = tuple(score for score, _ in parts[name])
            metrics[name] = 100.0 * metric_value("ratio", parts[name])
    return Scored(metrics, per_sample, parts)


def _each(
    metric: Callable[[str, str], float],
    predictions: Sequence[str | None],
    references: Sequence[Sequence[str]],
) -> tuple[float, ...]:
    return tuple(
        0.0 if prediction is None else best_over_references(metric, prediction, accepted)
        for prediction, accepted in zip(predictions, references, strict=True)
    )


def _percent(values: Sequence[float]) -> float:
    return 100.0 * sum(values) / len(values)
