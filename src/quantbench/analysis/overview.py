"""A run on one line: what it is of, how far it came, and what came out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from quantbench.analysis.recommend import Choice, Recommendation
from quantbench.core.frozen import Frozen
from quantbench.core.results import SweepResult
from quantbench.core.summary import ArmSummary, SweepSummary

State = Literal["running", "unfinished", "failed", "finished"]


class Overview(Frozen):
    """A run at a glance.

    `state` is "running" while a process writes to the folder, "unfinished" if something is still to
    be run, "failed" if it is over and no row has a number. `num_bad_rows` counts the rows that were
    refused or lack numbers. `recommended_row` is None where the choice is none of the rows.
    """

    model: str
    task: str
    measured_at: str | None
    state: State
    num_rows: int
    num_bad_rows: int
    choice: Choice
    recommended_row: int | None


def overview(
    outline: SweepResult, summary: SweepSummary, advice: Recommendation, is_running: bool
) -> Overview:
    """A run at a glance.

    Args:
        outline: of the run.
        summary: of it.
        advice: what is recommended in it.
        is_running: whether a process writes to its folder.
    """
    statuses = [row.status for row in summary.rows]
    return Overview(
        model=outline.config.model_name_or_path,
        task=outline.config.task,
        measured_at=outline.environment.measured_at if outline.environment else None,
        state="running" if is_running else _state(summary),
        num_rows=len(statuses),
        num_bad_rows=sum(status not in ("measured", "shared") for status in statuses),
        choice=advice.choice,
        recommended_row=advice.row,
    )


def _state(summary: SweepSummary) -> State:
    if any(not failure.was_tried for arm in _arms(summary) for failure in arm.failures):
        return "unfinished"
    if all(row.status in ("failed", "refused") for row in summary.rows):
        return "failed"
    return "finished"


def _arms(summary: SweepSummary) -> Iterator[ArmSummary]:
    found = (summary.original, *summary.references, *(row.arm for row in summary.rows))
    yield from (arm for arm in found if arm is not None)
