"""Whether the facts of a sweep fit together: each file may be right, and two contradict each other.

What is asked here is what the comparison relies on, so that it need not ask again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from quantbench.core.errors import QuantbenchError
from quantbench.core.plan import ORIGINAL_ID, Plan
from quantbench.core.printable import shortened
from quantbench.core.results import ArmResult, Evaluation, SweepResult, Timing
from quantbench.core.specs import NUM_PARTS, MetricSpec

# No clock of a forward pass reads more (a century), and no metric is larger.
_LONGEST_NS = 10**18
_LARGEST_METRIC = 1e15


def check_consistent(result: SweepResult, plan: Plan, metrics: Sequence[MetricSpec]) -> None:
    """Refuse results that contradict themselves or their plan.

    Args:
        result: of a measured sweep, finished or not.
        plan: its plan.
        metrics: those that are reported.

    Raises:
        QuantbenchError: the message names the first contradiction, and the file that it is in.
    """
    problem = next(_problems(result, plan, metrics), None)
    if problem is not None:
        raise QuantbenchError(
            f"the results contradict each other: {problem}",
            hint="Files were changed after the run: run the sweep again in a new folder.",
        )


def _problems(result: SweepResult, plan: Plan, metrics: Sequence[MetricSpec]) -> Iterator[str]:
    for problem in _in_plan(plan):
        yield f"plan.json: {problem}"
    planned = {arm.id: arm for arm in plan.arms}
    found: dict[str, ArmResult] = {}
    for item in result.arms:
        file = f"arms/{shortened(item.arm.id)}.json"
        if planned.get(item.arm.id) != item.arm:
            yield f"{file}: the arm is another one than that of plan.json"
        if item.arm.id in found:
            yield f"{file}: the arm is there twice"
        found[item.arm.id] = item
    for item in result.arms:
        for problem in _in_arm(item, found, plan, planned.keys(), metrics):
            yield f"arms/{item.arm.id}.json: {problem}"


def _in_plan(plan: Plan) -> Iterator[str]:
    ids = {arm.id for arm in plan.arms}
    if len(ids) < len(plan.arms):
        yield "an arm is there twice"
    if ORIGINAL_ID not in ids:
        yield f"there is no arm {ORIGINAL_ID!r}"
    if not plan.rows:
        yield "there are no rows"
    for row in plan.rows:
        for arm_id in (row.arm_id, row.reference_id):
            if arm_id is not None and arm_id not in ids:
                yield f"row {row.number} names the arm {shortened(arm_id)!r}, which is not there"
        if (row.arm_id is None) != (row.refused is not None):
            yield f"row {row.number} is refused and has an arm, or neither"
        if row.trial.parameters.keys() != plan.rows[0].trial.parameters.keys():
            yield f"row {row.number} has other parameters than row {plan.rows[0].number}"
    if len({row.number for row in plan.rows}) < len(plan.rows):
        yield "two rows have one number"


def _in_arm(
    item: ArmResult,
    found: dict[str, ArmResult],
    plan: Plan,
    planned: Collection[str],
    metrics: Sequence[MetricSpec],
) -> Iterator[str]:
    if item.same_as is not None:
        other = found.get(item.same_as)
        if other is None:
            yield f"same_as names {shortened(item.same_as)!r}, of which nothing is known"
        # An arm that stands for others was measured itself, so that there are no chains or circles.
        elif other.same_as is not None:
            yield f"same_as names {shortened(item.same_as)!r}, which was not measured itself"
    if isinstance(item.evaluation, Evaluation):
        for problem in evaluation_problems(item.evaluation, metrics):
            yield f"evaluation: {problem}"
    seen: set[tuple[str, str]] = set()
    for timing in item.timings:
        if timing.cell not in plan.cells:
            yield f"timings: the cell {timing.cell.id} is not in plan.json"
        if isinstance(timing, Timing):
            if (timing.cell.id, timing.session) in seen:
                yield f"timings: {timing.cell.id} is there twice of one session"
            seen.add((timing.cell.id, timing.session))
            for problem in _in_timing(timing, planned):
                yield f"timings: {timing.cell.id}: {problem}"


def evaluation_problems(evaluation: Evaluation, metrics: Sequence[MetricSpec]) -> Iterator[str]:
    """What in an evaluation cannot be: lists of other lengths than the number of samples."""
    count = evaluation.num_samples
    if count < 1:
        yield f"num_samples is {count}"
    lists: dict[str, Sequence[object] | None] = {
        "sample_ids": evaluation.sample_ids,
        "predictions": evaluation.predictions,
        "clusters": evaluation.clusters,
        **{f"per_sample.{m.name}": evaluation.per_sample.get(m.name, ()) for m in metrics},
        **{
            f"parts.{metric.name}": evaluation.parts.get(metric.name, ())
            for metric in metrics
            if metric.form != "mean"
        },
    }
    for name, values in lists.items():
        if values is not None and len(values) != count:
            yield f"{name} has {len(values)} entries, but num_samples is {count}"
    for metric in metrics:
        parts = evaluation.parts.get(metric.name, ())
        wanted = NUM_PARTS[metric.form]
        if any(len(each) != wanted for each in parts):
            yield f"parts.{metric.name} has samples of another number of parts than {wanted}"
    for name in (metric.name for metric in metrics):
        if name not in evaluation.metrics:
            yield f"metrics has no {name}"
        elif abs(evaluation.metrics[name]) > _LARGEST_METRIC:
            yield f"{name} is {evaluation.metrics[name]:g}"


def _in_timing(timing: Timing, planned: Collection[str]) -> Iterator[str]:
    if timing.reference_id not in planned:
        name = shortened(timing.reference_id)
        yield f"reference_id names {name!r}, which is not in plan.json"
    times = [value for block in timing.blocks for value in block.samples_ns]
    if not times:
        yield "there are no times"
    elif not 1 <= min(times) <= max(times) <= _LONGEST_NS:
        yield f"a forward took {shortened(str(min(times)))} to {shortened(str(max(times)))} ns"
