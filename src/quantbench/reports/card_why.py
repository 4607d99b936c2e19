"""The card's section on the worst row: what is wrong with it, and what to try."""

from __future__ import annotations

from quantbench.analysis.explain import Why, why
from quantbench.analysis.to_explain import worst_row
from quantbench.core.results import SweepResult
from quantbench.core.summary import SweepSummary
from quantbench.reports.explain import (
    LEFT,
    TIMES,
    decibels,
    left_rows,
    profile_line,
    time_rows,
)
from quantbench.reports.markdown import code, details, table, text
from quantbench.reports.wording import NOTHING, sentence


def why_worst(result: SweepResult, summary: SweepSummary) -> list[str]:
    """The section's blocks; none if the worst row was not explained."""
    found = worst_row(summary)
    explained = [item for item in result.explained if found and item.row == found[0].number]
    if found is None or not explained:
        return []
    row, reason = found
    derived = why(explained[0])
    facts = derived.explanation
    return [
        f"## Why row {row.number} is worst",
        f"Row {row.number} was looked into, as {reason}. {text(derived.advice)}",
        "\n".join(_finding_lines(derived)),
        f"Error by block over {facts.num_samples} inputs, as signal-to-noise ratio in dB against "
        "the float model: `at its output` holds all that was quantized before, `own rounding` what "
        "quantizing that one tensor adds. 20 dB is an error of a tenth.",
        table(_HEAD, _layers(derived)),
        details(text(profile_line(derived)), table(TIMES, _escaped(time_rows(derived)))),
        *_left(derived),
        f"More: {code(f'quantbench explain RUN --row {row.number}')}",
    ]


def _left(derived: Why) -> list[str]:
    rows = _escaped(left_rows(derived))
    return [details("What was left in floats, and why", table(LEFT, rows))] if rows else []


_HEAD = [
    "block", "at its output, dB", "worst tensor, dB", "roughest own rounding, dB", "weights, dB",
    "nodes quantized", "left",
]  # fmt: skip


def _finding_lines(found: Why) -> list[str]:
    lines: list[str] = []
    for finding in found.findings:
        change = f" Change: {code(finding.change)}." if finding.change else ""
        lines.append(f"* **{finding.rule}** {sentence(text(finding.evidence))}{change}")
    return lines or ["No rule applies."]


def _layers(found: Why) -> list[list[str]]:
    return [
        [
            text(layer.name),
            decibels(layer.output_db),
            decibels(layer.worst_db),
            NOTHING if layer.roughest is None else decibels(layer.roughest_db),
            NOTHING if layer.weights_db is None else decibels(layer.weights_db),
            str(layer.num_quantized),
            str(layer.num_left),
        ]
        for layer in found.layers
    ]


def _escaped(rows: list[list[str]]) -> list[list[str]]:
    return [[text(cell) for cell in row] for row in rows]
