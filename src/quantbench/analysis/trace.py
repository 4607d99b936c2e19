"""The chain that made a row's numbers, back to the model, the data and the machine."""

from __future__ import annotations

import shlex
from pathlib import Path

from pydantic import JsonValue

from quantbench.analysis.facts import Facts
from quantbench.analysis.find_row import find_row
from quantbench.analysis.lineage import NOT_RUN, Known, Made, evaluation_data, failure, file_of
from quantbench.analysis.traced_times import traced_speedup
from quantbench.core.errors import QuantbenchError, UsageError, nearest_name
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import Evaluation, Failed, SweepResult
from quantbench.core.specs import MetricSpec, TaskSpec
from quantbench.core.summary import MetricSummary, RowSummary, SweepSummary

SPEEDUP = "speedup"


def trace(
    result: SweepResult,
    summary: SweepSummary,
    task: TaskSpec,
    asked_row: str,
    metric: str | None,
    pinned: Path,
) -> Made:
    """The row, its numbers, and what each of them was made from.

    Args:
        result: a measured sweep, finished or not.
        summary: of it.
        task: the spec of its task.
        asked_row: the number of a row, or the start of its trial's id.
        metric: the one to trace, or `speedup`; None for all of them.
        pinned: where the run's config with its commits is, for the command.

    Raises:
        UsageError: there is no such row or metric.
        QuantbenchError: the result is an imported card, which says nothing of how it was made.
    """
    known = _known(result, task)
    row = find_row(summary, asked_row)
    names = (*summary.metric_names, SPEEDUP)
    if metric is not None and metric not in names:
        nearest = nearest_name(metric, names)
        raise UsageError(
            f"--metric {metric!r} is none of this run; allowed: {', '.join(names)}",
            hint=f"Did you mean {nearest}?" if nearest else None,
        )
    wanted = names if metric is None else (metric,)
    numbers = tuple(
        traced_speedup(known, summary, row) if name == SPEEDUP else _score(known, row, task, name)
        for name in wanted
    )
    parts = () if row.arm is None else (*_own_file(known, row), *numbers)
    command = f"quantbench run {shlex.quote(str(pinned))} --out NEW_FOLDER"
    again = Made(
        what="to make it again",
        facts={"command": command, "note": "with --fresh nothing is taken from the store"},
    )
    return Made(
        what=f"row {row.number}",
        facts={
            "trial_id": row.trial_id,
            "parameters": dict(row.parameters),
            "status": row.status,
            "refused": row.refused,
            "shares_with": row.shares_with,
            "measured_as": None if row.arm is None else row.arm.id,
            "inert": [f"{item.parameter} {item.value}: {item.reason}" for item in row.inert],
        },
        made_from=(*parts, _machine(known), again),
    )


def _known(result: SweepResult, task: TaskSpec) -> Known:
    if result.plan is None or result.subject is None or result.environment is None:
        raise QuantbenchError("these results were published without what they were made from")
    arms = {found.arm.id: found for found in result.arms}
    metrics = task.metrics_with(result.config.task_args)
    facts = Facts(result, result.plan, metrics, arms)
    return Known(result, result.plan, result.subject, result.environment, facts)


def _own_file(known: Known, row: RowSummary) -> tuple[Made, ...]:
    """The file that a row asked for, where another one with the same graph was measured."""
    arm_id = known.plan.rows[row.number - 1].arm_id
    if row.arm is None or arm_id is None or arm_id == row.arm.id:
        return ()
    return (
        Made(
            what="this row's own file",
            facts={
                "note": f"not measured itself: its graph is the one of {row.arm.id}, "
                f"which was measured for {row.shares_with or 'both'}"
            },
            made_from=(file_of(known, arm_id),),
        ),
    )


def _score(known: Known, row: RowSummary, task: TaskSpec, name: str) -> Made:
    """A metric of a row, from the evaluations of its arm and of the original."""
    if row.arm is None:
        return Made(what=name)
    found = next((item for item in row.arm.metrics if item.name == name), None)
    made_from = [_evaluation(known, row.arm.id, task.metric(name))]
    if row.arm.id != ORIGINAL_ID:
        made_from.append(_evaluation(known, ORIGINAL_ID, task.metric(name)))
    facts: dict[str, JsonValue] = {"shares_with": row.shares_with}
    if found is None:
        facts["missing"] = "there is nothing to compare: see below"
    else:
        facts |= _drop(found)
    return Made(what=name, facts=facts, made_from=tuple(made_from))


def _drop(found: MetricSummary) -> dict[str, JsonValue]:
    return {
        "original": found.original,
        "optimized": found.optimized,
        "drop_points": found.drop,
        "drop_low_points": found.low,
        "drop_high_points": found.high,
        "interval": None if found.method is None else f"95 %, paired {found.method}",
        "samples_worse": found.worse,
        "samples_better": found.better,
    }


def _evaluation(known: Known, arm_id: str, metric: MetricSpec) -> Made:
    config, own = known.result.config, known.facts.own(arm_id)
    outcome = None if own is None else own.evaluation
    facts: dict[str, JsonValue] = {"arm": arm_id, "key": known.key("evaluate", arm_id)}
    made_from = [file_of(known, arm_id), evaluation_data(known)]
    if isinstance(outcome, Evaluation):
        facts |= {
            "value": outcome.metrics.get(metric.name),
            "num_samples": outcome.num_samples,
            "sampling": config.sampling,
            "seed": config.seed,
            "metric": f"{metric.name} of {config.task}",
            "per_sample": "right or wrong" if metric.binary else "graded",
            "form": metric.form,
            "points": f"value x {metric.scale:g}",
            "task_args": dict(config.task_args),
        }
    elif isinstance(outcome, Failed):
        made_from = [failure(outcome), *made_from]
    elif own is not None and isinstance(own.artifact, Failed):
        facts["missing"] = "its file could not be made"
    else:
        facts["missing"] = NOT_RUN
    what = f"evaluation of {'the original' if arm_id == ORIGINAL_ID else 'the row'}"
    return Made(what=what, facts=facts, made_from=tuple(made_from))


def _machine(known: Known) -> Made:
    found = known.environment
    return Made(
        what="machine",
        facts={
            "processor": found.cpu.model,
            "num_threads": found.num_threads,
            "allowed_cores": found.cpu.allowed_cores,
            "memory_bytes": found.memory_bytes,
            "operating_system": found.operating_system,
            "python": found.python,
            "packages": dict(found.packages),
            "measured_at": found.measured_at,
        },
    )
