"""The default model card: a summary on top, the published cards' headings and tables below."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from quantbench.analysis.recommend import recommend
from quantbench.core.results import SweepResult
from quantbench.core.specs import TaskSpec
from quantbench.core.summary import SweepSummary
from quantbench.reports import card_details, card_reproduce, card_tables, card_why, paths
from quantbench.reports.card_front_matter import front_matter
from quantbench.reports.card_header import asked_samples, header
from quantbench.reports.card_summary import summary_blocks
from quantbench.store import write_atomically


def render_card(result: SweepResult, summary: SweepSummary, task: TaskSpec) -> str:
    """Render the default card as Markdown.

    Args:
        result: a measured sweep, or an imported card.
        summary: what is derived from it.
        task: the spec of its task.
    """
    advice = recommend(summary)
    blocks = [
        front_matter(result, summary, advice),
        *summary_blocks(result, summary, advice),
        header(result.config, _samples(result)),
        "# Evaluation",
        "## Non-time metrics",
        card_tables.non_time(summary),
        *([_reading()] if summary.measured else []),
        "## Time metrics",
        card_tables.time_intro(result, summary, task),
        *card_tables.time_tables(summary),
    ]
    if summary.measured:
        blocks += [
            "## What each row did",
            card_details.what_rows_did(summary),
            "## Rows that failed or changed nothing",
            card_details.idle_rows(summary),
            *card_why.why_worst(result, summary),
            "## Latency percentiles",
            card_details.latency_tables(summary),
            "## Noise floor",
            card_details.noise_floor(summary),
            "## Method",
            card_details.method(summary),
        ]
    blocks += [
        "# Environment",
        card_reproduce.environment(result, summary),
        *(["## Cost of this sweep", card_reproduce.cost(result, summary)] if result.spent else []),
        "# How to reproduce",
        card_reproduce.reproduce(result.config, imported=not summary.measured),
    ]
    return "\n\n".join(blocks) + "\n"


def _samples(result: SweepResult) -> str:
    """The number that was used; `All dataset` too, where no maximum was set."""
    asked = asked_samples(result.config)
    if result.subject is None or asked == str(result.subject.num_eval_samples):
        return asked
    if result.config.max_eval_samples is None:
        return f"{asked} ({result.subject.num_eval_samples:,})"
    return f"{result.subject.num_eval_samples:,} ({asked} asked for)"


def _reading() -> str:
    return (
        "A drop is original minus optimized: positive is worse. `(= 2)` marks a row whose file is "
        "that of row 2, `(= fp32)` one in which nothing was quantized; each file was measured once."
    )


@dataclass(frozen=True)
class CardReport:
    """Writes the default card as README.md."""

    name: str = "card"
    reads_raw: bool = False

    def write(
        self, result: SweepResult, summary: SweepSummary, task: TaskSpec, run_dir: Path
    ) -> list[Path]:
        """Write the card below `run_dir`; returns the file written."""
        path = run_dir / paths.CARD
        write_atomically(path, render_card(result, summary, task))
        return [path]


REPORT = CardReport()
