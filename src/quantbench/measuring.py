"""Measuring the files of a sweep: accuracy once per distinct file, time cell by cell."""

from __future__ import annotations

from pydantic import TypeAdapter

from quantbench.core.plan import Arm, Cell
from quantbench.core.results import (
    ArmResult,
    Artifact,
    ArtifactOutcome,
    EvaluationOutcome,
    Failed,
    Timing,
    TimingFailed,
    TimingOutcome,
)
from quantbench.core.units import CellAnswer, CellTimings, EvaluateUnit, TimeUnit
from quantbench.work import Work


def evaluate_arms(work: Work, artifacts: dict[str, ArtifactOutcome]) -> dict[str, ArmResult]:
    """Measure the accuracy of each distinct model once; rows with the same file share it.

    Args:
        work: the sweep under way.
        artifacts: the outcome of each file, by variant id.

    Returns:
        By arm id what is known, with the timings of an earlier, interrupted run if there was one.
    """
    known = work.run.read_arms()
    results: dict[str, ArmResult] = {}
    first_with: dict[tuple[str, str, int | None], str] = {}
    for arm in work.plan.arms:
        artifact = None if arm.variant is None else artifacts[arm.variant.id]
        result = ArmResult(
            arm=arm,
            artifact=artifact,
            same_as=_same_as(arm, artifact, first_with),
            timings=_kept_timings(known.get(arm.id), artifact),
        )
        # A twin is there to be timed only: it is the reference's own file.
        if _is_runnable(result) and arm.role != "reference_twin":
            result = result.model_copy(update={"evaluation": _evaluate(work, arm, artifact)})
        work.run.write_arm(result)
        results[arm.id] = result
    return results


def time_cells(work: Work, results: dict[str, ArmResult]) -> None:
    """Time all distinct models against each other, cell by cell; keeps what is there already."""
    runnable = [arm_id for arm_id, result in results.items() if _is_runnable(result)]
    reference_id = _reference_id(results)
    for cell in work.plan.cells:
        if _is_timed([results[arm_id] for arm_id in runnable], cell):
            continue
        answer: CellTimings | Failed
        if reference_id is not None:
            unit = TimeUnit(
                config=work.config,
                subject=work.prepared.subject,
                cell=cell,
                reference_id=reference_id,
                arms=tuple((results[arm_id].arm, _key(results[arm_id])) for arm_id in runnable),
                num_threads=work.prepared.environment.num_threads,
            )
            answer = work.ask(cell.id, unit, TypeAdapter(CellAnswer))
        else:
            answer = Failed(stage="time", error="there is no reference to time against")
        for arm_id in runnable:
            results[arm_id] = _with_timing(results[arm_id], cell, answer)
            work.run.write_arm(results[arm_id])


def _reference_id(results: dict[str, ArmResult]) -> str | None:
    """The arm that is run first and last in every round; None if no reference has a file.

    A given ONNX file is both the original and, at the same level, the reference: one process.
    """
    for result in results.values():
        if result.arm.role == "reference":
            measured = results[result.same_as or result.arm.id]
            if _is_runnable(measured):
                return measured.arm.id
    return None


def _evaluate(work: Work, arm: Arm, artifact: ArtifactOutcome | None) -> EvaluationOutcome:
    file = artifact if isinstance(artifact, Artifact) else None
    unit = EvaluateUnit(
        config=work.config,
        subject=work.prepared.subject,
        arm=arm,
        artifact_key=None if file is None else file.key,
        graph_digest=None if file is None else file.graph_digest,
        num_threads=work.prepared.environment.num_threads,
    )
    answer: TypeAdapter[EvaluationOutcome] = TypeAdapter(EvaluationOutcome)
    return work.ask(arm.id, unit, answer)


def _same_as(
    arm: Arm,
    artifact: ArtifactOutcome | None,
    first_with: dict[tuple[str, str, int | None], str],
) -> str | None:
    """The arm that has the same graph at the same level already; notes this one if none has."""
    if not isinstance(artifact, Artifact) or arm.role == "reference_twin":
        return None
    file = (artifact.graph_digest, arm.framework, arm.optimization_level)
    first = first_with.setdefault(file, arm.id)
    return None if first == arm.id else first


def _with_timing(result: ArmResult, cell: Cell, answer: CellTimings | Failed) -> ArmResult:
    timing: TimingOutcome
    if isinstance(answer, Failed):
        timing = TimingFailed(**answer.model_dump(), cell=cell)
    else:
        timing = answer.timings[result.arm.id]
    kept = tuple(old for old in result.timings if old.cell != cell)
    return result.model_copy(update={"timings": (*kept, timing)})


def _is_runnable(result: ArmResult) -> bool:
    return result.same_as is None and not isinstance(result.artifact, Failed)


def _kept_timings(
    known: ArmResult | None, artifact: ArtifactOutcome | None
) -> tuple[TimingOutcome, ...]:
    """The timings of an earlier, interrupted run: only those of the same file."""
    if known is None or isinstance(artifact, Failed) or isinstance(known.artifact, Failed):
        return ()
    before = None if known.artifact is None else known.artifact.sha256
    now = None if artifact is None else artifact.sha256
    return known.timings if before == now else ()


def _is_timed(results: list[ArmResult], cell: Cell) -> bool:
    """Whether all were timed in that cell, in one session."""
    found = [timing for result in results for timing in result.timings if timing.cell == cell]
    sessions = {timing.session for timing in found if isinstance(timing, Timing)}
    return (
        len(found) == len(results)
        and len(sessions) == 1
        and not any(isinstance(timing, Failed) for timing in found)
    )


def _key(result: ArmResult) -> str | None:
    return result.artifact.key if isinstance(result.artifact, Artifact) else None
