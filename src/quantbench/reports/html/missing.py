"""What a run does not have (yet): said at the top of its report, in sentences."""

from __future__ import annotations

from quantbench.core.results import SweepResult
from quantbench.core.summary import SweepSummary
from quantbench.reports.wording import plural


def what_is_missing(result: SweepResult, summary: SweepSummary) -> list[str]:
    """Sentences; none for a run that has everything."""
    if not summary.measured:
        return [
            "This is an imported card: it has means only. There are no intervals, no raw times, no "
            "answers, and nothing on the machine."
        ]
    rows = summary.rows
    if not result.arms:
        return ["Nothing has been measured yet: run the sweep again, and it goes on."]
    found = [
        _of(len(rows), len([row for row in rows if row.status == status]), what)
        for status, what in (
            ("failed", "no numbers: failed, or not run yet"),
            ("partial", "some numbers, not all"),
            ("refused", "refused, as no such model can be made"),
        )
    ]
    if summary.original is None or not summary.original.metrics:
        found.append("The original was not evaluated, so there are no drops.")
    timed = any(cell.speedup for row in rows if row.arm for cell in row.arm.cells)
    if not timed:
        found.append("No row was timed beside the original, so there are no speed-ups.")
    if not result.explained:
        found.append("No row was explained: quantbench explain RUN --row R does it.")
    return [sentence for sentence in found if sentence is not None]


def _of(total: int, count: int, what: str) -> str | None:
    if not count:
        return None
    return f"{count:,} of {plural(total, 'row')}: {what}."
