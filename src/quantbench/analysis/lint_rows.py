"""Rules of `lint` on the grid: rows and tables that are the same measured again."""

from __future__ import annotations

from quantbench.analysis.lint_facts import (
    Finding,
    LintFacts,
    cell_of,
    latency_quote,
    listed,
    metric_quote,
    same_files,
    unquantized,
)
from quantbench.core.frozen import canonical_json
from quantbench.core.plan import Row
from quantbench.core.printable import shortened
from quantbench.core.results import PublishedRow, PublishedTiming
from quantbench.core.stats import geometric_mean

# A speed-up without quantization below this is not worth a word.
NOTABLE_SPEEDUP = 1.1
_MOST_FILES = 6
_MOST_REASONS = 6


def l5_rows_of_one_file(facts: LintFacts) -> Finding | None:
    """L5: parameters that cannot act make rows which are one file, timed again as if they differed.

    What can act is told by the quantizers of ONNX Runtime (`core.effective`). Rows are named only
    if their accuracies agree with it.
    """
    groups = [group for group in same_files(facts) if len(group) > 1]
    if not groups:
        return None
    named = [listed([row.number for row, _ in group]) for group in groups[:_MOST_FILES]]
    more = [f"{len(groups) - _MOST_FILES} more files"] if len(groups) > _MOST_FILES else []
    planned = [row for group in groups for _, row in group]
    spreads = [_widest([row for row, _ in group]) for group in groups]
    low, high = max(spreads, key=lambda pair: _ratio(*pair))
    factor = _ratio(low, high)
    name = facts.metrics[0].name
    return Finding(
        rule="L5",
        what=f"parameters that change nothing: {'; '.join([*named, *more])} are one file each",
        quotes=(
            metric_quote(low[0], name),
            metric_quote(high[0], name),
            latency_quote(*low),
            latency_quote(*high),
        ),
        why=f"what cannot act in these rows: {_reasons(planned)}",
        change=(
            "read each file once; the optimized times of one file differ up to "
            f"{factor:.2f} times, so a difference of that size between other rows means nothing"
        ),
    )


def l6_lengths_of_images(facts: LintFacts) -> Finding | None:
    """L6: inputs that have no length were timed for several input lengths."""
    lengths = facts.result.config.input_lengths
    if facts.task.uses_input_length or len(lengths) < 2:
        return None
    cells: dict[tuple[int, int], list[tuple[PublishedRow, PublishedTiming]]] = {}
    for row in facts.result.published:
        for timing in row.timings:
            cells.setdefault((row.number, timing.batch_size), []).append((row, timing))
    pairs = [
        (
            min(group, key=lambda item: item[1].latency_mean_optimized_ms),
            max(group, key=lambda item: item[1].latency_mean_optimized_ms),
        )
        for group in cells.values()
    ]
    low, high = max(pairs, key=lambda pair: _ratio(*pair))
    sizes = facts.result.config.batch_sizes
    tables = len(lengths) * len(sizes)
    return Finding(
        rule="L6",
        what=f"{tables - len(sizes)} of {tables} time tables are repeats: the input has no length",
        quotes=(latency_quote(*low), latency_quote(*high)),
        why=(
            f"the inputs of {facts.task.name} are of one size; input lengths "
            f"{', '.join(map(str, lengths))} time the same again"
        ),
        change=(
            "read one table for each batch size; the same row differs up to "
            f"{_ratio(low, high):.2f} times between the repeats, which is the noise of every table"
        ),
    )


def l8_speedup_without_quantization(facts: LintFacts) -> Finding | None:
    """L8: rows in which nothing is quantized are faster too: a speed-up is not quantization's."""
    found = [row for row in unquantized(facts) if _speedup(row) >= NOTABLE_SPEEDUP]
    if not found:
        return None
    best = max(
        ((row, timing) for row in found for timing in row.timings),
        key=lambda item: _timing_speedup(item[1]),
    )
    row, timing = best
    return Finding(
        rule="L8",
        what=(
            "speed-ups hold what the runtime gives: nothing is quantized in "
            f"{listed([row.number for row in found])}"
        ),
        quotes=(metric_quote(row, facts.metrics[0].name), latency_quote(row, timing)),
        why=(
            f"{timing.latency_mean_original_ms:.2f} / {timing.latency_mean_optimized_ms:.2f} is "
            f"{_timing_speedup(timing):.2f} times as fast without one quantized operator: the "
            "original runs in PyTorch, the optimized model in ONNX Runtime"
        ),
        change=_against_float(facts, found[0], timing),
    )


def _reasons(rows: list[Row]) -> str:
    """Which parameters are inert, and why, values with one reason together."""
    values: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        for item in row.inert:
            values.setdefault((item.parameter, item.reason), {})[item.value] = None
    return "; ".join(
        f"{parameter} {shortened(', '.join(found))} ({reason})"
        for (parameter, reason), found in list(values.items())[:_MOST_REASONS]
    )


def _against_float(facts: LintFacts, row: PublishedRow, timing: PublishedTiming) -> str:
    """What a row's speed-up is over a row in which nothing is quantized, in one cell."""
    idle = {canonical_json(found.parameters) for found in unquantized(facts)}
    cell = cell_of(timing)
    others = [
        (other, next(item for item in other.timings if cell_of(item) == cell))
        for other in facts.result.published
        if canonical_json(other.parameters) not in idle
    ]
    head = "compare with float32 in the same runtime"
    if not others:
        return head
    other, fastest = min(others, key=lambda item: item[1].latency_mean_optimized_ms)
    base = next(item for item in row.timings if cell_of(item) == cell)
    ratio = base.latency_mean_optimized_ms / fastest.latency_mean_optimized_ms
    return (
        f"{head}: at {cell.name} row {other.number} is {ratio:.2f} times as fast as row "
        f"{row.number}, not {_timing_speedup(fastest):.2f} times"
    )


def _widest(
    rows: list[PublishedRow],
) -> tuple[tuple[PublishedRow, PublishedTiming], tuple[PublishedRow, PublishedTiming]]:
    """The two rows and the cell in which the optimized times of one file differ most."""
    pairs = []
    for cell in zip(*(row.timings for row in rows), strict=True):
        group = sorted(
            zip(rows, cell, strict=True), key=lambda item: item[1].latency_mean_optimized_ms
        )
        pairs.append((group[0], group[-1]))
    return max(pairs, key=lambda pair: _ratio(*pair))


def _ratio(
    low: tuple[PublishedRow, PublishedTiming], high: tuple[PublishedRow, PublishedTiming]
) -> float:
    return high[1].latency_mean_optimized_ms / low[1].latency_mean_optimized_ms


def _timing_speedup(timing: PublishedTiming) -> float:
    return timing.latency_mean_original_ms / timing.latency_mean_optimized_ms


def _speedup(row: PublishedRow) -> float:
    return geometric_mean(map(_timing_speedup, row.timings))
