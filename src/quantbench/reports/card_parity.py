"""An imported card in the form that it was published in, word for word."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from quantbench.core.errors import UsageError
from quantbench.core.results import PublishedRow, SweepResult
from quantbench.reports.card_header import asked_samples, header
from quantbench.reports.markdown import SEPARATOR, literal, table


def render_parity(result: SweepResult) -> str:
    """Render an imported card as it was published, without any of today's corrections.

    Raises:
        UsageError: the result was measured, not imported.
    """
    if not result.published:
        raise UsageError(
            "only an imported card has the published form: its throughput counts forwards over "
            "the nominal duration",
            hint="Use the default card.",
        )
    config = result.config
    rows = sorted(result.published, key=lambda row: [repr(v) for v in row.parameters.values()])
    front = {
        "pipeline_tag": config.task,
        "datasets": [config.dataset.path],
        "metrics": list(rows[0].original),
        "tags": [result.model_type] if result.model_type else [],
    }
    blocks = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
        header(config, asked_samples(config)),
        "# Evaluation",
        "## Non-time metrics",
        _accuracy(rows),
        "## Time metrics",
        f"Time benchmarks were run for {config.time_benchmark_args.duration:g} seconds per config.",
        *_times(rows),
    ]
    return "\n\n".join(blocks) + "\n"


def first_difference(text: str, rendered: str) -> int | None:
    """Where a card's text differs from a rendering of it, but for white space.

    Returns:
        The offset in `text` of the first word that differs; None if the two are the same.
    """
    given = list(re.finditer(r"\S+", text))
    again = rendered.split()
    for found, word in zip(given, again, strict=False):
        if found[0] != word:
            return found.start()
    if len(given) == len(again):
        return None
    return given[len(again)].start() if len(given) > len(again) else len(text)


def _accuracy(rows: Sequence[PublishedRow]) -> str:
    names = list(rows[0].original)
    head = list(rows[0].parameters)
    for name in names:
        head += ["", f"{name} (original)", f"{name} (optimized)"]
    body: list[list[str]] = []
    for row in rows:
        cells = _parameters(row)
        for name in names:
            cells += [SEPARATOR, f"{row.original[name]:.3f}", f"{row.optimized[name]:.3f}"]
        body.append(cells)
    return table(head, body)


def _times(rows: Sequence[PublishedRow]) -> list[str]:
    head = [
        *rows[0].parameters,
        "",
        "latency_mean (original, ms)",
        "latency_mean (optimized, ms)",
        "",
        "throughput (original, /s)",
        "throughput (optimized, /s)",
    ]
    blocks: list[str] = []
    for place, cell in enumerate(rows[0].timings):
        body: list[list[str]] = []
        for row in rows:
            timing = row.timings[place]
            body.append(
                [
                    *_parameters(row),
                    SEPARATOR,
                    f"{timing.latency_mean_original_ms:.2f}",
                    f"{timing.latency_mean_optimized_ms:.2f}",
                    SEPARATOR,
                    f"{timing.throughput_original_per_s:.2f}",
                    f"{timing.throughput_optimized_per_s:.2f}",
                ]
            )
        blocks.append(
            f"Below, time metrics for batch size = {cell.batch_size}, "
            f"input length = {cell.input_length}."
        )
        blocks.append(table(head, body))
    return blocks


def _parameters(row: PublishedRow) -> list[str]:
    return [literal(value, in_table=True) for value in row.parameters.values()]
