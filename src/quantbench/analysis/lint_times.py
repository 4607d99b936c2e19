"""Rules of `lint` on times: the original beside itself, and what was divided by what."""

from __future__ import annotations

import math

from quantbench.analysis.lint_facts import (
    Finding,
    LintFacts,
    Quote,
    cell_of,
    exact,
    latency_quote,
    timings,
)
from quantbench.cards.read import DURATION, time_place
from quantbench.core.results import PublishedRow, PublishedTiming

# Fresh processes of one file differ by 1 to 5 % for as long as they live (docs/decisions/0003), two
# of them by twice that at most.
SAME_MODEL = 1.1
# That all throughputs fit by chance is less likely than this.
CHANCE = 0.001
# Values that a throughput with two decimals can take from one whole number to the next.
_STEPS = 100


def l7_original_times_differ(facts: LintFacts) -> Finding | None:
    """L7: in one table the same original model has times that differ by more than repeats do."""
    rows = facts.result.published
    spans = []
    for cell in zip(*(row.timings for row in rows), strict=True):
        group = sorted(
            zip(rows, cell, strict=True), key=lambda item: item[1].latency_mean_original_ms
        )
        spans.append((group[0], group[-1]))
    different = [span for span in spans if _original_ratio(span) > SAME_MODEL]
    if not different:
        return None
    worst = max(different, key=_original_ratio)
    (low_row, low), (high_row, high) = worst
    claimed = high.latency_mean_original_ms / high.latency_mean_optimized_ms
    lowest = low.latency_mean_original_ms / high.latency_mean_optimized_ms
    return Finding(
        rule="L7",
        what=(
            f"the same original model has different times in {len(different)} of {len(spans)} "
            "tables"
        ),
        quotes=(latency_quote(low_row, low), latency_quote(high_row, high)),
        why=(
            f"all rows of a table have one original; here it differs {_original_ratio(worst):.2f} "
            "times, and fresh processes of one model by 1 to 5 %: what the machine did changed "
            "from row to row, and so did ratios"
        ),
        change=(
            f"divide by one time of the original: the speed-up of row {high_row.number} is then "
            f"{lowest:.2f} to {claimed:.2f}; measure original and optimized in turns"
        ),
    )


def l9_nominal_throughput(facts: LintFacts) -> Finding | None:
    """L9: every throughput is a whole number of forwards divided by the nominal duration.

    By chance a number with two decimals is such a quotient with probability duration / 100, so a
    few different ones are enough to know.
    """
    seconds = _duration(facts)
    counted = [
        (row, timing)
        for row, timing in timings(facts.result)
        if round(timing.throughput_original_per_s * seconds) > 0
    ]
    if not counted or not is_nominal(facts):
        return None
    row, timing = max(counted, key=lambda item: _forwards_at_once(item[1]))
    forwards = round(timing.throughput_original_per_s * seconds)
    took = forwards * timing.latency_mean_original_ms / 1000
    count = sum(1 for _ in timings(facts.result))
    return Finding(
        rule="L9",
        what="throughput is forwards divided by the nominal duration, not by the time they took",
        quotes=(
            Quote(where=DURATION, says=f"{seconds:g} seconds per config"),
            _throughput_quote(row, timing),
            latency_quote(row, timing),
        ),
        why=(
            f"all {2 * count} throughputs are a whole number divided by {seconds:g}: here "
            f"{forwards}, which at {timing.latency_mean_original_ms:.2f} ms each took "
            f"{took:.2f} s, so {forwards / took:.2f} /s"
        ),
        change="use 1000 / latency_mean, times the batch size for samples",
    )


def l10_counts_forwards(facts: LintFacts) -> Finding | None:
    """L10: throughput counts forward passes of a whole batch, not samples."""
    batched = [
        (row, timing)
        for row, timing in timings(facts.result)
        if timing.batch_size > 1 and timing.throughput_original_per_s > 0
    ]
    if not batched or not all(_is_per_forward(timing) for _, timing in batched):
        return None
    row, timing = max(batched, key=lambda item: item[1].batch_size)
    samples = 1000 * timing.batch_size / timing.latency_mean_original_ms
    return Finding(
        rule="L10",
        what="throughput counts forward passes, not samples",
        quotes=(_throughput_quote(row, timing), latency_quote(row, timing)),
        why=(
            f"throughput times latency is {_forwards_at_once(timing):.2f} at batch size "
            f"{timing.batch_size}: were it samples, it would be {timing.batch_size}. So a larger "
            "batch looks slower"
        ),
        change=(
            f"multiply by the batch size: {samples:.1f} samples/s at {cell_of(timing).name}, row "
            f"{row.number}, original"
        ),
    )


def is_nominal(facts: LintFacts) -> bool:
    """Whether all throughputs fit the nominal duration, and do so by more than chance."""
    seconds = _duration(facts)
    values = {
        value
        for _, timing in timings(facts.result)
        for value in (timing.throughput_original_per_s, timing.throughput_optimized_per_s)
    }
    by_chance = min(1.0, seconds / _STEPS) ** len(values)
    return by_chance < CHANCE and all(_fits(value, seconds) for value in values)


def _fits(value: float, seconds: float) -> bool:
    """Whether a whole number divided by the duration is printed as this value."""
    written, whole = exact(value, 2), exact(seconds, 9)
    half = exact(0.005, 3)
    return math.ceil((written - half) * whole) <= math.floor((written + half) * whole)


def _duration(facts: LintFacts) -> float:
    return facts.result.config.time_benchmark_args.duration


def _forwards_at_once(timing: PublishedTiming) -> float:
    """Throughput times latency of the original: 1 if it counts forwards, one after the other."""
    return timing.throughput_original_per_s * timing.latency_mean_original_ms / 1000


def _is_per_forward(timing: PublishedTiming) -> bool:
    """Whether throughput times latency is nearer to 1 than to the batch size, as ratios."""
    return _forwards_at_once(timing) < math.sqrt(timing.batch_size)


def _throughput_quote(row: PublishedRow, timing: PublishedTiming) -> Quote:
    original, optimized = timing.throughput_original_per_s, timing.throughput_optimized_per_s
    return Quote(
        where=time_place(cell_of(timing), row.number),
        says=f"throughput {original:.2f} /s (original), {optimized:.2f} /s (optimized)",
    )


def _original_ratio(
    span: tuple[tuple[PublishedRow, PublishedTiming], tuple[PublishedRow, PublishedTiming]],
) -> float:
    return span[1][1].latency_mean_original_ms / span[0][1].latency_mean_original_ms
