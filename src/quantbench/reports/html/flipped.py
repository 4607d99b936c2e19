"""Samples that rows answer worse or better than the original, as many as a page should hold."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import JsonValue

from quantbench.analysis.flips import Flip, Flips, find_flips
from quantbench.core.frozen import Frozen
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.printable import printable, shortened
from quantbench.core.results import Evaluation, Prediction, SweepResult
from quantbench.core.summary import RowSummary, SweepSummary
from quantbench.reports.wording import NOTHING

MOST_ROWS = 24
MOST_SAMPLES = 20
_LONGEST_TEXT = 400

# What the samples hold, column to value, by row and sample id.
KeptSamples = Mapping[int, Mapping[str, Mapping[str, JsonValue]]]


class FlippedSample(Frozen):
    """A sample whose score changed: what it holds where that is known, both answers, scores."""

    sample_id: str
    inputs: tuple[tuple[str, str], ...]
    original: str
    optimized: str
    scores: tuple[tuple[str, float, float], ...]


class FlippedRow(Frozen):
    """The samples of one row, worst first: at most `MOST_SAMPLES` of `num_worse + num_better`."""

    row: int
    num_samples: int
    num_worse: int
    num_better: int
    num_other: int
    samples: tuple[FlippedSample, ...]


def flipped_rows(
    result: SweepResult, summary: SweepSummary, first: tuple[int, ...], kept: KeptSamples
) -> tuple[FlippedRow, ...]:
    """The flips of those rows that a reader asks for first.

    Args:
        result: a measured sweep, or an imported card.
        summary: of it.
        first: numbers of rows that are to be among them; then those with the largest drops.
        kept: the inputs of samples, as far as they are known.
    """
    arms = {arm.arm.id: arm for arm in result.arms}
    original = arms.get(ORIGINAL_ID)
    if original is None or not isinstance(original.evaluation, Evaluation):
        return ()
    rows = [
        row
        for row in summary.distinct_rows
        if row.arm is not None
        and row.arm.metrics
        and row.arm.id in arms
        and isinstance(arms[row.arm.id].evaluation, Evaluation)
    ]
    rows.sort(key=lambda row: (row.number not in first, -_drop(row, summary), row.number))
    return tuple(
        _shown(find_flips(result, row, summary.metric_names), kept.get(row.number, {}))
        for row in rows[:MOST_ROWS]
    )


def _drop(row: RowSummary, summary: SweepSummary) -> float:
    metrics = row.arm.metrics if row.arm else ()
    return next((m.drop for m in metrics if m.name == summary.primary_metric), 0.0)


def _shown(found: Flips, samples: Mapping[str, Mapping[str, JsonValue]]) -> FlippedRow:
    worse = sum(flip.change < 0 for flip in found.flips)
    return FlippedRow(
        row=found.row,
        num_samples=found.num_samples,
        num_worse=worse,
        num_better=len(found.flips) - worse,
        num_other=found.num_other,
        samples=tuple(
            _sample(flip, samples.get(flip.sample_id, {})) for flip in found.flips[:MOST_SAMPLES]
        ),
    )


def _sample(flip: Flip, inputs: Mapping[str, JsonValue]) -> FlippedSample:
    return FlippedSample(
        sample_id=_text(flip.sample_id),
        inputs=tuple((_text(name), _text(value)) for name, value in inputs.items()),
        original=_answer(flip.original),
        optimized=_answer(flip.optimized),
        scores=tuple(
            (printable(name), old, flip.optimized_scores[name])
            for name, old in flip.original_scores.items()
        ),
    )


def _answer(found: Prediction) -> str:
    return _text(found.answer if found.name is None else found.name)


def _text(value: JsonValue) -> str:
    if value is None:
        return NOTHING
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return printable(shortened(said, _LONGEST_TEXT))
