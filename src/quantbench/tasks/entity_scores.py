"""Precision, recall and F1 of entities, and accuracy of tags: seqeval's micro average."""

from __future__ import annotations

from collections.abc import Sequence

from quantbench.core.metric_values import metric_value
from quantbench.core.specs import MetricSpec
from quantbench.protocols import Scored
from quantbench.tasks.entities import Scheme, find_entities

METRICS = (
    MetricSpec("f1", scale=100.0, binary=False, form="f1"),
    MetricSpec("precision", scale=100.0, binary=False, form="ratio"),
    MetricSpec("recall", scale=100.0, binary=False, form="ratio"),
    MetricSpec("accuracy", scale=100.0, binary=False, form="ratio"),
)

Parts = tuple[float, ...]


def score_tags(
    answers: Sequence[Sequence[str] | None],
    references: Sequence[Sequence[str]],
    scheme: Scheme | None,
) -> Scored:
    """Score tags of sentences.

    An entity is right if its type, first and last word are. Metrics are fractions over all
    sentences, and 0 where they are not defined. Per sample they are those of the sentence, and 1.0
    where it has nothing that counts: nothing found for precision, nothing to find for recall,
    neither for F1.

    Args:
        answers: the tags of each sentence; None where there are none, as the model is broken:
            then nothing is found, and all is 0.0 for the sentence.
        references: the right tags, as many for each sentence.
        scheme: see `find_entities`.

    Raises:
        ValueError: no sentences, or not as many of both, or of the tags of one.
    """
    if not answers:
        raise ValueError("nothing to score: there are no predictions")
    parts = [
        _parts_of_sentence(answer, reference, scheme)
        for answer, reference in zip(answers, references, strict=True)
    ]
    return Scored(
        metrics={
            metric.name: metric_value(metric.form, [each[metric.name] for each in parts])
            for metric in METRICS
        },
        per_sample={
            metric.name: tuple(
                0.0 if answer is None else _of_sentence(metric, each[metric.name])
                for answer, each in zip(answers, parts, strict=True)
            )
            for metric in METRICS
        },
        parts={metric.name: tuple(each[metric.name] for each in parts) for metric in METRICS},
    )


def _parts_of_sentence(
    answer: Sequence[str] | None, reference: Sequence[str], scheme: Scheme | None
) -> dict[str, Parts]:
    """What the sentence contributes to each metric: see `core.specs.MetricForm`."""
    wanted = find_entities(reference, scheme)
    found = frozenset() if answer is None else find_entities(answer, scheme)
    same = 0
    if answer is not None:
        same = sum(tag == right for tag, right in zip(answer, reference, strict=True))
    both, num_found, num_wanted = (float(len(each)) for each in (wanted & found, found, wanted))
    return {
        "f1": (both, num_found, num_wanted),
        "precision": (both, num_found),
        "recall": (both, num_wanted),
        "accuracy": (float(same), float(len(reference))),
    }


def _of_sentence(metric: MetricSpec, parts: Parts) -> float:
    """The metric of one sentence; 1.0 where nothing counts."""
    return metric_value(metric.form, [parts]) if any(parts) else 1.0
