"""The same metric of the same row in two runs: paired where both answered the same samples."""

from __future__ import annotations

from quantbench.analysis.accuracy import compare_metrics
from quantbench.analysis.named_run import NamedRun
from quantbench.core.results import Evaluation
from quantbench.core.run_comparison import MetricChange
from quantbench.core.specs import TaskSpec
from quantbench.core.summary import ArmSummary, MetricSummary


def metric_changes(
    first: NamedRun,
    other: NamedRun,
    arms: tuple[ArmSummary | None, ArmSummary | None],
    task: TaskSpec,
) -> tuple[MetricChange, ...]:
    """Every metric that either run reports, of one model in both: a row's, or the original.

    Args:
        first: the run whose value a drop begins with.
        other: the run that is compared with it.
        arms: the model in the first and in the other; None where a run has none.
        task: the spec of their task.
    """
    evaluations = _evaluation(first, arms[0]), _evaluation(other, arms[1])
    values = _values(evaluations[0], arms[0]), _values(evaluations[1], arms[1])
    names = dict.fromkeys((*first.summary.metric_names, *other.summary.metric_names))
    why = why_not_paired(first, other, task) or _why_not_these(first, other, evaluations)
    paired: dict[str, MetricSummary] = {}
    old, new = evaluations
    if why is None and old is not None and new is not None:
        # Samples depend on each other in both runs alike, whichever of them says so.
        old = old.model_copy(update={"clusters": old.clusters or new.clusters})
        metrics = [
            task.metric(name)
            for name in names
            if all(name in run.summary.metric_names for run in (first, other))
        ]
        found = compare_metrics(old, new, metrics, first.result.config.seed)
        paired = {item.name: item for item in found}
    return tuple(
        MetricChange(
            name=name,
            first=values[0].get(name),
            other=values[1].get(name),
            paired=paired.get(name),
            why_unpaired=None if name in paired else _why(name, first, other, why),
        )
        for name in names
    )


def why_not_paired(first: NamedRun, other: NamedRun, task: TaskSpec) -> str | None:
    """Why no samples of the two runs can be paired; None if they can.

    Samples are the rows of a split, named by their numbers: they are the same where the split holds
    the same inputs and references, by their fingerprint, and the same is asked of the model.
    """
    for run in (first, other):
        if run.facts is None:
            return f"{run.name} was published without its samples' scores"
    old, new = first.result.subject, other.result.subject
    if old is None or new is None:
        return "the evaluation data are not known"
    if old.eval_fingerprint != new.eval_fingerprint:
        return "the evaluation data differ"
    asked = [task.args.model_validate(run.result.config.task_args) for run in (first, other)]
    if asked[0] != asked[1]:
        return "task_args differ, which say what an answer is and how it is scored"
    return None


def _why(name: str, first: NamedRun, other: NamedRun, why: str | None) -> str:
    for run in (first, other):
        if name not in run.summary.metric_names:
            return f"{run.name} does not report {name}"
    return why or f"no sample counts in {name}"


def _why_not_these(
    first: NamedRun, other: NamedRun, evaluations: tuple[Evaluation | None, Evaluation | None]
) -> str | None:
    old, new = evaluations
    if old is None or new is None:
        return f"{(first if old is None else other).name} has no evaluation"
    if old.sample_ids == new.sample_ids:
        return None
    both = len(set(old.sample_ids) & set(new.sample_ids))
    return (
        f"other samples were evaluated: {old.num_samples:,} and {new.num_samples:,}, "
        f"of which {both:,} are in both"
    )


def _values(evaluation: Evaluation | None, arm: ArmSummary | None) -> dict[str, float]:
    """The metrics of a model by name: its own, or those that a card gives."""
    if evaluation is not None:
        return dict(evaluation.metrics)
    return {item.name: item.optimized for item in (arm.metrics if arm else ())}


def _evaluation(run: NamedRun, arm: ArmSummary | None) -> Evaluation | None:
    return run.facts.evaluation(arm.id) if run.facts is not None and arm is not None else None
