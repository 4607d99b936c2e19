"""Everything that is known of one row, and what to type to look further or to get it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import JsonValue

from quantbench.analysis.explain import Why, why
from quantbench.analysis.names import reference_name
from quantbench.analysis.overview import Overview
from quantbench.core.frozen import Frozen
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import ArmResult, Artifact, Failed, SweepResult
from quantbench.core.summary import Load, RowSummary, SweepSummary

# Of a failure's log: the end, which says what happened.
_LOG_LINES = 20


class FileFacts(Frozen):
    """A model file behind a row: whose it is, and what tells it from others.

    `key` is that of the store, `sha256` of the file's bytes, `graph_digest` equal for files that
    compute the same. `seconds` is how long making it took.
    """

    of: str
    arm_id: str
    key: str
    sha256: str
    graph_digest: str
    num_bytes: int
    opset: int
    seconds: float


class FailureLog(Frozen):
    """The end of the log of a unit that failed."""

    of: str
    stage: str
    cell: str | None
    error: str
    hint: str | None
    log: str


class RowDetail(Frozen):
    """Everything about one row.

    `scheme` is how its file was quantized, `explanation` what `explain` found, None if it was not
    asked. `loads` say how quiet the machine was in each shape. `commands` are by what they do.
    """

    run: Overview
    original_name: str
    row: RowSummary
    warnings: tuple[str, ...]
    is_recommended: bool
    scheme: dict[str, JsonValue] | None
    optimization_level: int | None
    files: tuple[FileFacts, ...]
    logs: tuple[FailureLog, ...]
    loads: tuple[Load, ...]
    explanation: Why | None
    commands: dict[str, str]


def arms_behind(outline: SweepResult, row: RowSummary) -> tuple[str, ...]:
    """The ids of the arms whose facts a row's detail needs; those measured for it come last."""
    if outline.plan is None:
        return ()
    planned = next(item for item in outline.plan.rows if item.number == row.number)
    measured = None if row.arm is None else row.arm.id
    found = (planned.arm_id, planned.reference_id, measured, row.reference_id)
    return tuple(dict.fromkeys((ORIGINAL_ID, *(item for item in found if item is not None))))


def row_detail(
    path: Path,
    outline: SweepResult,
    summary: SweepSummary,
    row: RowSummary,
    run: Overview,
    arms: Mapping[str, ArmResult],
) -> RowDetail:
    """Put together what is known of a row.

    Args:
        path: the run's folder, for the commands.
        outline: of the run.
        summary: of it.
        row: one of its rows.
        run: its overview.
        arms: what is known of `arms_behind`, by id.
    """
    planned = None
    if outline.plan is not None:
        asked = next(item for item in outline.plan.rows if item.number == row.number)
        planned = next((arm for arm in outline.plan.arms if arm.id == asked.arm_id), None)
    explained = next((item for item in outline.explained if item.row == row.number), None)
    own = planned.id if planned else None
    return RowDetail(
        run=run,
        original_name=summary.original_name,
        row=row,
        warnings=summary.warnings,
        is_recommended=run.recommended_row == row.number,
        scheme=(
            planned.variant.quantization.model_dump(mode="json")
            if planned is not None and planned.variant is not None
            else None
        ),
        optimization_level=planned.optimization_level if planned else None,
        files=tuple(_files(own, row, arms, summary)),
        logs=tuple(_logs(own, row, arms, summary)),
        loads=summary.loads,
        explanation=None if explained is None else why(explained),
        commands=_commands(path, row) if summary.measured else {},
    )


def _name(arm_id: str, own: str | None, row: RowSummary, summary: SweepSummary) -> str:
    if arm_id == ORIGINAL_ID:
        return summary.original_name
    if row.arm is not None and arm_id == row.arm.id:
        return "the row" if arm_id == own else f"what was measured for it ({row.shares_with})"
    if arm_id == own:
        return "the row's own, which computes the same"
    return reference_name(summary.original_name, arm_id)


def _files(
    own: str | None, row: RowSummary, arms: Mapping[str, ArmResult], summary: SweepSummary
) -> Iterator[FileFacts]:
    seen: set[str] = set()
    for arm_id, found in arms.items():
        made = found.artifact
        if isinstance(made, Artifact) and made.sha256 not in seen:
            seen.add(made.sha256)
            facts = {
                name: getattr(made, name)
                for name in FileFacts.model_fields
                if name not in ("of", "arm_id")
            }
            yield FileFacts(of=_name(arm_id, own, row, summary), arm_id=arm_id, **facts)


def _logs(
    own: str | None, row: RowSummary, arms: Mapping[str, ArmResult], summary: SweepSummary
) -> Iterator[FailureLog]:
    for arm_id, found in arms.items():
        for item in (found.artifact, found.evaluation, *found.timings):
            if isinstance(item, Failed):
                cell = getattr(item, "cell", None)
                yield FailureLog(
                    of=_name(arm_id, own, row, summary),
                    stage=item.stage,
                    cell=None if cell is None else cell.name,
                    error=item.error,
                    hint=item.hint,
                    log="\n".join(item.log.strip().splitlines()[-_LOG_LINES:]),
                )


def _commands(path: Path, row: RowSummary) -> dict[str, str]:
    """What to type, by what it does; only what can be done with this row."""
    run = shlex.quote(str(path))
    pinned = shlex.quote(str(path / "pinned.yaml"))
    found = {
        "what made its numbers": f"quantbench trace {run} --row {row.number}",
        "measure it all again": f"quantbench run {pinned} --out NEW_FOLDER --fresh",
    }
    if row.status in ("measured", "shared", "partial"):
        found |= {
            "save its model": f"quantbench save-model {run} --row {row.number} --to FOLDER",
            "the samples that it answers worse": f"quantbench errors {run} --row {row.number}",
            "where its error and time come from": f"quantbench explain {run} --row {row.number}",
        }
    return found
