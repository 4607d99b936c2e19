"""Accuracy: every row through the model, one evaluation for every runtime."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from quantbench.core.results import Evaluation, Prediction
from quantbench.protocols import Session, TaskRun
from quantbench.tasks.rows import naming_row


def evaluate(
    session: Session,
    task: TaskRun,
    rows: Iterable[Mapping[str, Any]],
    sample_ids: Sequence[str],
    metrics: Sequence[str],
    cluster_key: str | None,
    on_sample: Callable[[int], None],
) -> Evaluation:
    """Run, decode and score all rows.

    One sample at a time and unpadded: a dynamic scale is taken over the whole tensor, so that
    neighbours and padding would change the answers; and batching gains nothing on a CPU.

    Args:
        session: the open model.
        task: encodes, decodes and scores.
        rows: the samples, in the order of `sample_ids`.
        sample_ids: a name for each sample.
        metrics: which of the task's metrics to keep.
        cluster_key: column whose equal values mean that samples are not independent.
        on_sample: called with the number of samples done.
    """
    started = time.perf_counter()
    predictions: list[Prediction] = []
    references: list[JsonValue] = []
    clusters: list[str] = []
    for sample_id, row in zip(sample_ids, rows, strict=True):
        with naming_row(sample_id):
            encoded = task.encode(row)
            references.append(task.reference(row))
        outputs = [session.bind(part.inputs)() for part in encoded]
        predictions.append(task.decode(row, encoded, outputs))
        if cluster_key is not None:
            clusters.append(str(row[cluster_key]))
        on_sample(len(predictions))
    scored = task.score(predictions, references)
    return Evaluation(
        num_samples=len(predictions),
        metrics={name: scored.metrics[name] for name in metrics},
        sample_ids=tuple(sample_ids),
        clusters=tuple(clusters) if cluster_key is not None else None,
        predictions=tuple(predictions),
        per_sample={name: scored.per_sample[name] for name in metrics},
        parts={name: scored.parts[name] for name in metrics if name in scored.parts},
        seconds=time.perf_counter() - started,
    )
