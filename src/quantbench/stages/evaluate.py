"""Accuracy: every row through the model, one evaluation for every runtime."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import JsonValue

from quantbench.core.errors import QuantbenchError
from quantbench.core.results import Evaluation, Prediction
from quantbench.protocols import Inputs, Outputs, Session, TaskRun
from quantbench.tasks.rows import naming_row

# Numbers that all predictions of an evaluation may keep for the distance to another model: under
# 200 kB of JSON for each model of a grid. The first samples have them. Samples are in the order of
# the split, also those drawn at random: where it is sorted, the first do not stand for all.
MOST_KEPT_LOGITS = 2**14


def evaluate(
    session: Session,
    task: TaskRun,
    rows: Iterable[Mapping[str, Any]],
    sample_ids: Sequence[str],
    metrics: Sequence[str],
    cluster_key: str | None,
    on_sample: Callable[[int], None],
    first_nan: Callable[[Inputs], str | None] = lambda _: None,
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
        first_nan: asked, with the inputs of a sample whose outputs are not numbers, for the first
            node of the model that makes such a value.

    Raises:
        QuantbenchError: an output holds values that are not numbers.
    """
    started = time.perf_counter()
    predictions: list[Prediction] = []
    references: list[JsonValue] = []
    clusters: list[str] = []
    num_kept = 0
    for sample_id, row in zip(sample_ids, rows, strict=True):
        with naming_row(sample_id):
            encoded = task.encode(row)
            references.append(task.reference(row))
        outputs = [session.bind(part.inputs)() for part in encoded]
        for part, found in zip(encoded, outputs, strict=True):
            _check_numbers(sample_id, part.inputs, found, first_nan)
        prediction = task.decode(row, encoded, outputs)
        num_kept += len(prediction.logits) + sum(map(len, prediction.log_probabilities))
        if num_kept > MOST_KEPT_LOGITS:
            prediction = prediction.model_copy(update={"logits": (), "log_probabilities": ()})
        predictions.append(prediction)
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


def _check_numbers(
    sample_id: str, inputs: Inputs, outputs: Outputs, first_nan: Callable[[Inputs], str | None]
) -> None:
    """Refuse outputs that are not numbers: a model that makes them is broken, not merely wrong."""
    for name, array in outputs.items():
        if np.issubdtype(array.dtype, np.floating) and np.isnan(array).any():
            node = first_nan(inputs)
            made_by = "" if node is None else f"; the first node that makes such a value is {node}"
            raise QuantbenchError(
                f"the output {name} holds values that are not numbers (NaN) for sample {sample_id}"
                f"{made_by}",
                hint="If the original does not make them, keep that node or layer in floats "
                "(node_exclusion), or take another scheme.",
            )
