"""Measuring the files of a sweep: accuracy once per distinct file, time cell by cell."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from quantbench.core.plan import ORIGINAL_ID, Arm, Cell
from quantbench.core.results import (
    ArmResult,
    Artifact,
    EvaluationOutcome,
    Failed,
    Timing,
    TimingFailed,
    TimingOutcome,
)
from quantbench.core.steps import evaluation_threads
from quantbench.core.timing_groups import ArmMemory, Grouped, arm_bytes, next_group
from quantbench.core.trials import trial_result
from quantbench.core.units import CellAnswer, EvaluateUnit, TimedArm, TimedCell, TimeUnit
from quantbench.making import Files
from quantbench.work import Work
from quantbench.worker.keys import time_keys

Timings = dict[str, TimingOutcome]


@dataclass(frozen=True)
class Arms:
    """What is known of each arm of a sweep so far, by id."""

    results: dict[str, ArmResult] = field(default_factory=dict[str, ArmResult])

    def measured(self, arm_id: str) -> ArmResult:
        """The result of an arm, or of the one with the same file that is measured for both."""
        found = self.results[arm_id]
        return self.results[found.same_as or arm_id]

    def runnable(self) -> list[ArmResult]:
        """The arms that have a file, and are measured themselves."""
        return [item for item in self.results.values() if _is_runnable(item)]


def measuring_jobs(work: Work, arms: Arms) -> dict[str, Callable[[], None]]:
    """What to do for each step that measures, by step id; outcomes are put into `arms`."""
    jobs: dict[str, Callable[[], None]] = {}
    for arm in work.plan.measured_arms:
        jobs[f"evaluate {arm.id}"] = functools.partial(_evaluate, work, arms, arm)
    for cell in work.plan.cells:
        jobs[f"time {cell.id}"] = functools.partial(_time, work, arms, cell)
    return jobs


def begin_arms(work: Work, files: Files, arms: Arms) -> None:
    """Find which arms share a file, once all files are made; refused rows are known by now too.

    Times of an earlier, interrupted run in this folder are kept where the file is the same.
    """
    known = work.run.read_arms()
    first_with: dict[tuple[str, str, int | None], str] = {}
    for arm in work.plan.arms:
        artifact = None if arm.variant is None else files.variants[arm.variant.id]
        before = None if work.fresh else known.get(arm.id)
        result = ArmResult(arm=arm, artifact=artifact)
        if isinstance(artifact, Artifact) and arm.role != "reference_twin":
            file = (artifact.graph_digest, arm.framework, arm.optimization_level)
            first = first_with.setdefault(file, arm.id)
            result = result.model_copy(update={"same_as": None if first == arm.id else first})
        if before is not None and _sha256(before) == _sha256(result) and _is_runnable(result):
            kept = tuple(item for item in before.timings if isinstance(item, Timing))
            result = result.model_copy(update={"timings": kept})
        _set(work, arms, result)
    for row in work.plan.rows:
        if row.arm_id is None:
            work.run.write_trial(trial_result(row, None, None))


def _evaluate(work: Work, arms: Arms, arm: Arm) -> None:
    result = arms.results[arm.id]
    if not _is_runnable(result):
        return
    file = result.artifact if isinstance(result.artifact, Artifact) else None
    found = work.prepared.environment
    unit = EvaluateUnit(
        config=work.config,
        subject=work.prepared.subject,
        arm=arm,
        artifact_key=None if file is None else file.key,
        graph_digest=None if file is None else file.graph_digest,
        num_threads=evaluation_threads(found.num_threads, found.cpu.allowed_cores),
    )
    answer: TypeAdapter[EvaluationOutcome] = TypeAdapter(EvaluationOutcome)
    evaluation = work.ask(arm.id, unit, answer)
    _set(work, arms, result.model_copy(update={"evaluation": evaluation}))


def _time(work: Work, arms: Arms, cell: Cell) -> None:
    """Time the arms of a cell, other than those whose times are known, against each other.

    All together, or in as many sessions as the memory budget makes of them.
    """
    everything = _unit(work, arms, cell)
    if everything is None:
        failed = Failed(stage="time", error="there is no reference to time against")
        _merge(work, arms, cell, {item.arm.id: failed for item in arms.runnable()})
        return
    keys = time_keys(everything)
    missing: set[str] = set()
    for item in everything.arms:
        if item.arm.id not in keys or _is_timed(arms, item, cell):
            continue
        facts = work.recall(keys[item.arm.id])
        if facts is None:
            missing.add(item.arm.id)
        else:
            found = TimedCell.model_validate(facts).named(item)
            _merge(work, arms, cell, dict[str, TimingOutcome](found))
    if not missing:
        work.begin("time", cell.id)
        work.spent("time", cell.id, tuple(keys.values()))
        return
    known = tuple(key for arm_id, key in keys.items() if arm_id not in missing)
    while missing:
        group = _next_group(work, arms, everything, missing)
        if group.too_large:
            failed = _no_room(work)
            work.failed(failed, cell.id)
            _merge(work, arms, cell, dict.fromkeys(group.too_large, failed))
        missing -= {*group.too_large, *group.together}
        if not group.together:
            break
        together = tuple(item for item in everything.arms if item.arm.id in group.together)
        unit = everything.model_copy(update={"arms": together})
        answer: TypeAdapter[CellAnswer] = TypeAdapter(CellAnswer)
        part = len(together) / len(everything.arms)
        answered = work.ask(cell.id, unit, answer, also_used=known, part=part)
        if isinstance(answered, Failed):
            _merge(work, arms, cell, dict.fromkeys(group.together, answered))
        else:
            _merge(work, arms, cell, answered.timings)


def _next_group(work: Work, arms: Arms, everything: TimeUnit, missing: set[str]) -> Grouped:
    """The arms of the next session: of those whose times are missing, as many as fit."""
    memory = [
        ArmMemory(
            id=item.arm.id,
            compared_with=item.compared_with if item.arm.id in missing else (),
            num_bytes=_memory_bytes(work, arms.results[item.arm.id], everything.cell),
        )
        for item in everything.arms
    ]
    return next_group(memory, everything.reference_id, work.memory_budget_bytes)


def _memory_bytes(work: Work, result: ArmResult, cell: Cell) -> int:
    """What the process of an arm took in that cell, or may take if it was never timed there."""
    timings = (item for item in result.timings if isinstance(item, Timing) and item.cell == cell)
    known = [process.peak_rss_bytes for item in timings for process in item.processes]
    measured = max((item for item in known if item is not None), default=None)
    if measured is not None:
        return measured
    if isinstance(result.artifact, Artifact):
        return arm_bytes(result.artifact.num_bytes)
    return arm_bytes(work.prepared.subject.float_bytes)


def _no_room(work: Work) -> Failed:
    budget = (work.memory_budget_bytes or 0) / 2**30
    return Failed(
        stage="time",
        error="with all that it is compared with it needs more than the memory budget of "
        f"{budget:.3g} GiB",
        hint="Give more with backend_args: {memory_gib: ...}.",
    )


def _unit(work: Work, arms: Arms, cell: Cell) -> TimeUnit | None:
    """All that can be timed in a cell; None if no reference has a file."""
    runnable = arms.runnable()
    reference_ids = _references(work, arms)
    if not reference_ids:
        return None
    anchor = reference_ids[0]
    twins = [item.arm.id for item in runnable if item.arm.role == "reference_twin"]
    originals = [item.arm.id for item in runnable if item.arm.id == ORIGINAL_ID]
    by_arm: dict[str, list[str]] = {}
    for row in work.plan.rows:
        if row.arm_id is not None and row.reference_id is not None:
            found = by_arm.setdefault(arms.measured(row.arm_id).arm.id, [])
            found.append(arms.measured(row.reference_id).arm.id)
    base = {*originals, *reference_ids, *twins}
    compared = {
        item.arm.id: _once([*originals, *by_arm.get(item.arm.id, []), anchor, *twins])
        for item in runnable
        if item.arm.id not in base
    }
    # Where nothing is quantized the reference itself is what is compared.
    compared = compared or {anchor: _once([*originals, *twins], without=anchor)}
    return TimeUnit(
        config=work.config,
        subject=work.prepared.subject,
        cell=cell,
        reference_id=anchor,
        arms=tuple(_timed_arm(item, compared.get(item.arm.id, ())) for item in runnable),
        num_threads=work.prepared.environment.num_threads,
    )


def _references(work: Work, arms: Arms) -> list[str]:
    """The measured references; a given ONNX file can be the original and a reference in one."""
    found = (
        arms.measured(item.arm.id) for item in arms.results.values() if item.arm.role == "reference"
    )
    return list(_once(item.arm.id for item in found if _is_runnable(item)))


def _timed_arm(result: ArmResult, compared_with: tuple[str, ...]) -> TimedArm:
    file = result.artifact if isinstance(result.artifact, Artifact) else None
    return TimedArm(
        arm=result.arm,
        artifact_key=None if file is None else file.key,
        graph_digest=None if file is None else file.graph_digest,
        compared_with=compared_with,
    )


def _is_timed(arms: Arms, item: TimedArm, cell: Cell) -> bool:
    """Whether an arm was timed in one session with all that it is compared with."""
    sessions = [
        {
            timing.session
            for timing in arms.results[name].timings
            if isinstance(timing, Timing) and timing.cell == cell
        }
        for name in (item.arm.id, *item.compared_with)
    ]
    return bool(set.intersection(*sessions))


def _merge(work: Work, arms: Arms, cell: Cell, found: Timings | dict[str, Failed]) -> None:
    """Add times of a cell; a failure counts only where there are no times."""
    for arm_id, outcome in found.items():
        result = arms.results[arm_id]
        if isinstance(outcome, Timing):
            others = [
                item
                for item in result.timings
                if item.cell != cell
                or (isinstance(item, Timing) and item.session != outcome.session)
            ]
        else:
            outcome = TimingFailed(**(outcome.model_dump() | {"cell": cell}))
            others = [item for item in result.timings if item.cell != cell]
            if any(isinstance(item, Timing) and item.cell == cell for item in result.timings):
                continue
        _set(work, arms, result.model_copy(update={"timings": (*others, outcome)}))


def _set(work: Work, arms: Arms, result: ArmResult) -> None:
    """Keep what is known of an arm, in memory and on disk, and of the rows that it stands for."""
    arms.results[result.arm.id] = result
    work.run.write_arm(result)
    original = arms.results.get(ORIGINAL_ID)
    for row in work.plan.rows:
        found = None if row.arm_id is None else arms.results.get(row.arm_id)
        if found is not None and result.arm.id in (found.arm.id, found.same_as):
            measured = arms.measured(found.arm.id)
            work.run.write_trial(trial_result(row, measured, original))


def _once(names: Iterable[str], without: str | None = None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name != without))


def _is_runnable(result: ArmResult) -> bool:
    return result.same_as is None and not isinstance(result.artifact, Failed)


def _sha256(result: ArmResult) -> str | None:
    return result.artifact.sha256 if isinstance(result.artifact, Artifact) else None
