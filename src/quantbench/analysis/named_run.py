"""A run that is looked at beside others: its facts, and what was derived from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from quantbench.analysis.compare import summarize
from quantbench.analysis.facts import Facts
from quantbench.analysis.find_cell import shape_name
from quantbench.core.plan import Cell
from quantbench.core.results import Artifact, SweepResult
from quantbench.core.specs import TaskSpec
from quantbench.core.summary import RowSummary, SweepSummary


@dataclass(frozen=True)
class NamedRun:
    """A run with a name for messages. `facts` are None for a published card."""

    name: str
    result: SweepResult
    summary: SweepSummary
    facts: Facts | None

    def artifact(self, arm_id: str | None) -> Artifact | None:
        """The file of an arm; None if it has none, or none was made."""
        if arm_id is None or self.facts is None:
            return None
        found = self.facts.own(self.facts.resolve(arm_id))
        return found.artifact if found and isinstance(found.artifact, Artifact) else None

    def is_invalid(self, cell: Cell, row: RowSummary) -> bool:
        """Whether two copies of one file measured as different when a row was timed in a cell."""
        noise = self.summary.noise_of(cell, row.number)
        return noise is not None and noise.invalid

    def unknown_noise(self, rows: Iterable[RowSummary]) -> str | None:
        """That no two copies of one file were timed beside rows, and in which shapes, in words.

        None if they were, and of a published card, which has no sessions.
        """
        if self.facts is None:
            return None
        shapes = dict.fromkeys(
            shape_name(item.cell)
            for row in rows
            for item in (row.arm.cells if row.arm else ())
            if item.speedup is not None and self.summary.noise_of(item.cell, row.number) is None
        )
        if not shapes:
            return None
        return (
            f"no second copy was timed in {self.name} (shapes {', '.join(shapes)}): the noise "
            "floor is not known"
        )


def named_run(name: str, result: SweepResult, task: TaskSpec) -> NamedRun:
    """Derive what is compared. Raises as `summarize` does."""
    summary = summarize(result, task)
    facts = None
    if result.plan is not None:
        metrics = [task.metric(metric) for metric in summary.metric_names]
        facts = Facts(result, result.plan, metrics, {found.arm.id: found for found in result.arms})
    return NamedRun(name=name, result=result, summary=summary, facts=facts)


def row_problems(row: RowSummary | None) -> tuple[str, ...]:
    """Why a run has no such row, or not all of its numbers, in words; empty if it has all."""
    if row is None:
        return ("there is no such row",)
    if row.refused is not None:
        return (f"refused: {row.refused}",)
    failures = row.arm.failures if row.arm else ()
    return tuple(dict.fromkeys(failure.error for failure in failures))
