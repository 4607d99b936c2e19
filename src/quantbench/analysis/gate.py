"""Whether a row of a run meets conditions, each of which is passed, failed or undecided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from quantbench.analysis.facts import Facts
from quantbench.analysis.failures import failures
from quantbench.analysis.gate_speed import slowdown_check, speedup_check
from quantbench.analysis.gate_verdict import MEANS_ONLY, at_most, missing, refused, undecided
from quantbench.analysis.matched_rows import swept_names
from quantbench.analysis.named_run import NamedRun
from quantbench.analysis.recommend import Recommendation, recommend, samples_to_settle
from quantbench.analysis.run_differences import differences
from quantbench.core.gate import Check, Conditions, Gate
from quantbench.core.plan import Cell
from quantbench.core.printable import shortened
from quantbench.core.summary import MetricSummary, RowSummary

RECOMMENDED = "recommended-row"
MAX_DROP = "max-drop"
MIN_SPEEDUP = "min-speedup"
MAX_SLOWDOWN = "max-slowdown"

_NO_ROW = "there is no row to check"


def gate(
    run: NamedRun,
    conditions: Conditions,
    row: RowSummary | None = None,
    cell: Cell | None = None,
    baseline: NamedRun | None = None,
) -> Gate:
    """Check a row that was named, or else the recommended one.

    That is recommended under the largest drop that the conditions allow. It was chosen by its
    numbers, so its drop goes by the upper end that holds for all rows of the sweep together
    (`MetricSummary.family_high`); that of a row that was named in advance by its own interval.

    Args:
        run: the run that is gated.
        conditions: at least one is asked.
        row: of the run; the recommended one when left out.
        cell: the shape in which speed is looked at; every one, that is the worst, when left out.
        baseline: an older run of the same task, where a slowdown is limited.
    """
    cells = run.summary.cells if cell is None else (cell,)
    asked = _asked(run, conditions, baseline)
    checks: list[Check] = []
    found = row
    if found is None:
        advice = recommend(run.summary, max_drop_points=conditions.max_drop_points)
        checks.append(_recommended(run, advice))
        if checks[0].outcome == "pass":
            found = next(item for item in run.summary.rows if item.number == advice.row)
    for item in asked:
        if found is None:
            checks.append(item)
        elif found.refused is not None:
            checks.append(refused(item, found))
        elif item.name == MAX_DROP:
            metric = _primary(run, found)
            alone = metric if row is None or metric is None else _named_in_advance(metric)
            checks.append(_drop_check(run, found, alone, item))
        elif item.name == MIN_SPEEDUP:
            checks.append(speedup_check(run, found, cells, item))
        elif baseline is not None:
            checks.append(slowdown_check(baseline, run, found, cells, item))
    return Gate(
        run=run.name,
        baseline=baseline.name if baseline else None,
        row=found.number if found else None,
        trial_id=found.trial_id if found else None,
        parameters=found.parameters if found else {},
        checks=tuple(checks),
        warnings=tuple(_warnings(run, found, baseline)),
    )


def _warnings(run: NamedRun, row: RowSummary | None, baseline: NamedRun | None) -> Iterator[str]:
    """What the numbers may suffer from, and what is not the same as in the older run."""
    yield from run.summary.warnings
    if row is not None:
        yield from row.warnings
        unknown = run.unknown_noise([row])
        if unknown is not None:
            yield unknown
    if baseline is not None:
        for item in differences(baseline, run, swept_names(baseline, run)):
            old, new = shortened(item.first), shortened(item.other)
            yield f"not as in {baseline.name}: {item.what}: {old} → {new}"


def _asked(run: NamedRun, conditions: Conditions, baseline: NamedRun | None) -> list[Check]:
    """The checks before anything was looked at."""
    found: list[Check] = []
    limit = conditions.max_drop_points
    if limit is not None:
        text = f"{run.summary.primary_metric} drops by at most {limit:g} points"
        found.append(
            Check(
                name=MAX_DROP, condition=text, outcome="skipped", reason=_NO_ROW, unit="points",
                limit=limit,
            )
        )  # fmt: skip
    limit = conditions.min_speedup
    if limit is not None:
        text = f"at least {limit:g} times as fast as {run.summary.original_name}"
        found.append(
            Check(
                name=MIN_SPEEDUP, condition=text, outcome="skipped", reason=_NO_ROW, unit="times",
                limit=limit,
            )
        )  # fmt: skip
    limit = conditions.max_slowdown_percent
    if limit is not None and baseline is not None:
        text = f"takes at most {limit:g} % longer than in {baseline.name}"
        found.append(
            Check(
                name=MAX_SLOWDOWN, condition=text, outcome="skipped", reason=_NO_ROW,
                unit="percent", limit=limit,
            )
        )  # fmt: skip
    return found


def _recommended(run: NamedRun, advice: Recommendation) -> Check:
    """Whether there is a row to deploy.

    Keeping fp32 fails the gate: no quantized row is worth deploying. It is undecided while a faster
    row is not shown to lose too much, while rows are not measured yet, and where nothing can be
    recommended for want of numbers.
    """
    asked = Check(
        name=RECOMMENDED, condition="a quantized row is recommended", outcome="pass",
        reason=advice.why,
    )  # fmt: skip
    open_rows = _not_measured(run.facts) if run.facts else ()
    if open_rows:
        of = len(run.summary.rows)
        why = f"the run is not finished: {len(open_rows)} of {of} rows are not measured yet"
        return undecided(asked, why)
    if advice.choice == "row":
        return asked
    if advice.choice == "none":
        return undecided(asked, advice.why)
    possible = _not_excluded(run, advice)
    if possible:
        rows = ", ".join(map(str, possible))
        return undecided(asked, f"{advice.why}, nor is that of row {rows} shown to be more")
    return asked.model_copy(update={"outcome": "fail", "reason": f"keep fp32: {advice.why}"})


def _not_excluded(run: NamedRun, advice: Recommendation) -> list[int]:
    """The rows that are faster than what is kept, and not shown to drop by more than the margin."""
    kept = run.summary.reference(advice.reference_id) if advice.reference_id else None
    least = kept.speedup.value if kept and kept.speedup else 1.0
    margin = advice.margin_points
    found: list[int] = []
    for row in run.summary.distinct_rows:
        arm, metric = row.arm, _primary(run, row)
        if arm is None or metric is None or metric.low is None or margin is None:
            continue
        is_timed = arm.speedup is not None and all(cell.speedup for cell in arm.cells)
        if is_timed and arm.speedup and arm.speedup.value > least and metric.low <= margin:
            found.append(row.number)
    return found


def _not_measured(facts: Facts) -> Sequence[int]:
    """The numbers of the rows of which something was not tried yet."""
    return [
        row.number
        for row in facts.plan.rows
        if row.arm_id is not None
        and any(not failure.was_tried for failure in failures(facts, row.arm_id))
    ]


def _primary(run: NamedRun, row: RowSummary) -> MetricSummary | None:
    name = run.summary.primary_metric
    return next((item for item in (row.arm.metrics if row.arm else ()) if item.name == name), None)


def _named_in_advance(metric: MetricSummary) -> MetricSummary:
    """The drop of a model that was not chosen from among others by its numbers."""
    return metric.model_copy(update={"family_high": metric.high, "num_compared": 1})


def _drop_check(
    run: NamedRun, row: RowSummary, metric: MetricSummary | None, asked: Check
) -> Check:
    if metric is None:
        told = [item for item in (row.arm.failures if row.arm else ()) if item.cell is None]
        told.sort(key=lambda item: item.of is not None)
        return missing(asked, told, "its drop is not known")
    if run.facts is None:
        return undecided(asked, MEANS_ONLY, metric.drop)
    check = at_most(asked, metric.drop, metric.low, metric.family_high)
    if metric.num_compared > 1 and check.high is not None:
        text = f"{check.reason}, whose upper end holds for all {metric.num_compared} rows at once"
        check = check.model_copy(update={"reason": text})
    if check.outcome != "undecided" or check.limit is None:
        return check
    needed = samples_to_settle(metric, check.limit)
    if needed is None:
        return check
    text = f"{check.reason}; about {needed:,} samples would show that it is below"
    return check.model_copy(update={"reason": text})
