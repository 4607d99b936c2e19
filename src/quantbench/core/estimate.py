"""How long steps will take, and how much memory: learned from what they took before.

Pure: the history of a machine goes in, seconds come out. A unit of the same stage and kind on the
same model tells the most, one on another model is scaled by the number of parameters, and where
nothing is known a guess stands that is right for a small model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from quantbench.core.frozen import Frozen
from quantbench.core.plan import ORIGINAL_ID, Plan
from quantbench.core.results import Spent, Subject
from quantbench.core.steps import Step

# Seconds for a model of a few million parameters; per sample for `optimize`, `calibrate` and
# `evaluate`.
_GUESSED_SECONDS = {
    "prepare": 4.0,
    "export": 4.0,
    "optimize": 0.03,
    "calibrate": 0.02,
    "quantize": 1.5,
    "evaluate": 0.005,
    "time": 1.0,
    "explain": 4.0,
    "report": 3.0,
}
# Stages whose time grows with the number of parameters.
_WORK_ON_A_MODEL = frozenset({"export", "optimize", "calibrate", "quantize", "evaluate", "explain"})
# What of an earlier unit is looked at: machines and models change.
_MOST_ENTRIES = 30


class Past(Frozen):
    """What one unit took on a machine: a line of the history.

    `machine` is a hash of what times belong to, `model` the model's digest; `kind` and `amount` are
    those of the step.
    """

    machine: str
    stage: str
    kind: str
    amount: float
    model: str
    num_parameters: int
    seconds: float
    peak_rss_bytes: int | None


class Estimate(Frozen):
    """How long a step will take. `learned` says that units like it were done here before."""

    seconds: float
    learned: bool


def estimate(
    step: Step, history: Sequence[Past], machine: str, subject: Subject | None
) -> Estimate:
    """How long one step will take.

    Args:
        step: the step.
        history: of this machine and others, the oldest first.
        machine: this one.
        subject: the model and the data; None if they were not looked at yet.
    """
    alike = [
        past
        for past in history
        if (past.machine, past.stage, past.kind) == (machine, step.stage, step.kind)
        and past.amount > 0
    ]
    if subject is not None:
        same = [past for past in alike if past.model == subject.model_digest]
        if same:
            return Estimate(seconds=_rate(same) * step.amount, learned=True)
        scaled = [past for past in alike if past.num_parameters > 0]
        if scaled:
            per_parameter = median(
                past.seconds / past.amount / past.num_parameters for past in scaled[-_MOST_ENTRIES:]
            )
            is_work = step.stage in _WORK_ON_A_MODEL
            rate = per_parameter * subject.num_parameters if is_work else _rate(scaled)
            return Estimate(seconds=rate * step.amount, learned=True)
    return Estimate(seconds=_GUESSED_SECONDS[step.stage] * step.amount, learned=False)


def expected_seconds(
    todo: Sequence[Step], history: Sequence[Past], machine: str, subject: Subject | None
) -> dict[str, float]:
    """How long each step will take, by id; see `estimate`."""
    return {step.id: estimate(step, history, machine, subject).seconds for step in todo}


def how_good(spent: Sequence[Spent]) -> str | None:
    """How far the estimate was off, as a sentence; None if nothing was done that had one.

    Args:
        spent: what the units of one run took, with what was expected of each.
    """
    done = [unit for unit in spent if not unit.reused and unit.expected_seconds is not None]
    expected = sum(unit.expected_seconds or 0.0 for unit in done)
    took = sum(unit.seconds for unit in done)
    if expected <= 0 or took <= 0:
        return None
    error = took / expected - 1
    word = "more" if error >= 0 else "less"
    return (
        f"the work took {took:.0f} s, {abs(error):.0%} {word} than the {expected:.0f} s that were "
        "expected"
    )


def _rate(found: Sequence[Past]) -> float:
    return median(past.seconds / past.amount for past in found[-_MOST_ENTRIES:])


def peak_memory_bytes(history: Sequence[Past], machine: str, subject: Subject | None) -> int | None:
    """The largest memory that a process had with this model; None if it was never run here."""
    known = [
        past.peak_rss_bytes
        for past in history
        if subject is not None
        and (past.machine, past.model) == (machine, subject.model_digest)
        and past.peak_rss_bytes is not None
    ]
    return max(known, default=None)


def disk_bytes(plan: Plan, subject: Subject | None) -> int | None:
    """What the model files of a sweep take at most: as if nothing of them got smaller."""
    if subject is None:
        return None
    num_files = len(plan.variants) + len(plan.prepared)
    return num_files * subject.float_bytes


def naive_seconds(plan: Plan, seconds: Mapping[str, float], duration_s: float) -> float:
    """What the same rows would take one after the other, nothing shared.

    Per row: export, prepare if it is to be, calibrate if static, quantize, evaluate original and
    row, time both for the whole duration in every cell. Evaluation is taken as it is done here,
    without padding.

    Args:
        plan: the rows.
        seconds: of each step here, by id.
        duration_s: of one arm in one cell.
    """
    total = 0.0
    arms = {arm.id: arm for arm in plan.arms}
    first = _by_stage(seconds)
    for row in plan.rows:
        if row.arm_id is None:
            continue
        arm = arms[row.arm_id]
        scheme = arm.variant.quantization.approach if arm.variant else ""
        total += first.get("export", 0.0)
        is_prepared = arm.variant is not None and arm.variant.source.is_prepared
        total += first.get("optimize", 0.0) if is_prepared else 0.0
        total += first.get("calibrate", 0.0) if scheme == "static" else 0.0
        total += first.get("quantize", 0.0)
        total += sum(seconds.get(f"evaluate {name}", 0.0) for name in (ORIGINAL_ID, arm.id))
        total += 2 * duration_s * len(plan.cells)
    return total


def _by_stage(seconds: Mapping[str, float]) -> dict[str, float]:
    """The mean of the steps of each stage."""
    found: dict[str, list[float]] = {}
    for name, value in seconds.items():
        found.setdefault(name.split(" ", 1)[0], []).append(value)
    return {stage: sum(values) / len(values) for stage, values in found.items()}
