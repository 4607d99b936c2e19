"""Which configuration to deploy: the fastest one that is shown to be no worse than the margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from quantbench.analysis.names import reference_name
from quantbench.core import stats
from quantbench.core.errors import UsageError
from quantbench.core.frozen import Frozen
from quantbench.core.summary import ArmSummary, MetricSummary, SweepSummary

# MLPerf Inference accepts a model with 99 % of the original's accuracy.
DEFAULT_MARGIN_SHARE = 0.01
_MAX_SAMPLES = 10_000_000
# Nobody reads on, and each takes milliseconds.
_MOST_UNSETTLED = 5

Choice = Literal["row", "reference", "original", "none"]


class Unsettled(Frozen):
    """A faster row whose drop is inside the margin, but whose interval is not.

    `samples_to_settle` is about how many samples would bring the interval's upper end to the
    margin if flips stayed as frequent as they were; None where no reasonable number would.
    """

    row: int
    speedup: float
    drop: float
    high: float
    samples_to_settle: int | None


class Recommendation(Frozen):
    """What to deploy and why.

    `choice` is a row, the reference runtime without quantization ("keep fp32"), the original, or
    none where speed or accuracy is not known. `cautions` are sentences to be read before it: why
    its speed may not be relied on. `why` is a clause, without a period. `zero_flips_high` is the
    upper end of the interval that zero flips would have given with this many samples;
    `sample_size` says it in words. `unsettled` has the fastest of `num_unsettled` such rows.
    """

    choice: Choice
    metric: str
    why: str
    cautions: tuple[str, ...] = ()
    row: int | None = None
    reference_id: str | None = None
    margin_points: float | None = None
    zero_flips_high: float | None = None
    sample_size: str | None = None
    unsettled: tuple[Unsettled, ...] = ()
    num_unsettled: int = 0


@dataclass(frozen=True)
class _Candidate:
    choice: Choice
    speedup: float
    drop: float
    high: float | None
    row: int | None = None
    reference_id: str | None = None
    metric: MetricSummary | None = None
    arm: ArmSummary | None = None


def recommend(summary: SweepSummary, *, max_drop_points: float | None = None) -> Recommendation:
    """The fastest configuration whose drop of the primary metric is shown to be within the margin.

    Speed is the geometric mean of the speed-up over all cells. ONNX Runtime fp32 is a candidate
    whose drop itself, not its interval, must be inside the margin: it computes the same function as
    the original, be that PyTorch, which exports are checked against, or the ONNX file that was
    given. The original is the last resort.

    Times that cannot be relied on (an invalid session, a speed-up without a narrow interval) do
    not change the choice, as there are no better ones: `cautions` says so.

    Args:
        summary: of a sweep.
        max_drop_points: the margin in points; 1 % of the original's value when left out.

    Raises:
        UsageError: a negative margin.
    """
    if max_drop_points is not None and max_drop_points < 0:
        raise UsageError(f"the largest drop allowed must not be negative, but is {max_drop_points}")
    name = summary.primary_metric
    if not summary.measured:
        why = "an imported card has means only, so no drop can be given an interval"
        return Recommendation(choice="none", metric=name, why=why)
    baseline = _metric(summary.original, name)
    if baseline is None or baseline.num_samples is None:
        why = f"the original's {name} is not known: its evaluation is missing"
        return Recommendation(choice="none", metric=name, why=why)
    margin = max_drop_points
    if margin is None:
        margin = DEFAULT_MARGIN_SHARE * abs(baseline.original_points)
    candidates = [_Candidate("original", 1.0, 0.0, 0.0), *_references(summary), *_rows(summary)]
    shown = [item for item in candidates if _within(item, margin)]
    best = max(shown, key=lambda item: item.speedup)
    compared = max((item.metric.num_compared for item in candidates if item.metric), default=1)
    level = stats.family_confidence(compared)
    zero_flips = stats.tango_interval(baseline.num_samples, 0, 0, level)[1] * 100
    unsettled = sorted(
        (
            item
            for item in candidates
            if item.choice == "row"
            and not _within(item, margin)
            and item.drop <= margin
            and item.speedup > best.speedup
        ),
        key=lambda item: -item.speedup,
    )
    return Recommendation(
        choice=best.choice,
        metric=name,
        why=_why(best, candidates, name, margin, summary.original_name),
        cautions=tuple(_cautions(summary, best)),
        row=best.row,
        reference_id=best.reference_id,
        margin_points=margin,
        zero_flips_high=zero_flips,
        # What zero flips would show is known of means: of others it hangs on rare classes.
        sample_size=(
            _sample_size(baseline.num_samples, zero_flips, margin, level)
            if baseline.is_mean
            else None
        ),
        unsettled=tuple(_unsettled(item, margin) for item in unsettled[:_MOST_UNSETTLED]),
        num_unsettled=len(unsettled),
    )


def samples_to_settle(metric: MetricSummary, margin: float) -> int | None:
    """About how many samples bring the upper end of a drop's interval down to the margin.

    Flips are taken to stay as frequent as they were. None where the drop is not below the margin,
    or more than ten million samples would be needed.
    """
    if metric.num_samples is None or metric.family_high is None or metric.drop >= margin:
        return None
    if metric.method == "bootstrap":
        shrink = (metric.family_high - metric.drop) / (margin - metric.drop)
        needed = round(metric.num_samples * max(1.0, shrink) ** 2)
        return needed if needed <= _MAX_SAMPLES else None
    count = metric.effective_samples or metric.num_samples
    worse = (metric.worse or 0) * count / metric.num_samples
    better = (metric.better or 0) * count / metric.num_samples
    level = stats.family_confidence(metric.num_compared)

    def high(factor: float) -> float:
        counts = (count * factor, worse * factor, better * factor)
        return stats.tango_interval(*counts, level)[1] * 100

    few, many = 1.0, 2.0
    while high(many) > margin:
        few, many = many, many * 2
        if many * metric.num_samples > _MAX_SAMPLES:
            return None
    for _ in range(40):
        middle = (few + many) / 2
        few, many = (middle, many) if high(middle) > margin else (few, middle)
    return round(metric.num_samples * many)


def _rows(summary: SweepSummary) -> list[_Candidate]:
    found: list[_Candidate] = []
    for row in summary.distinct_rows:
        metric = _metric(row.arm, summary.primary_metric)
        speedup = _speedup(row.arm)
        if metric is not None and speedup is not None:
            found.append(
                _Candidate(
                    "row",
                    speedup,
                    metric.drop,
                    metric.family_high,
                    row=row.number,
                    metric=metric,
                    arm=row.arm,
                )
            )
    return found


def _references(summary: SweepSummary) -> list[_Candidate]:
    found: list[_Candidate] = []
    for arm in summary.references:
        metric, speedup = _metric(arm, summary.primary_metric), _speedup(arm)
        if metric is not None and speedup is not None:
            found.append(
                _Candidate(
                    "reference",
                    speedup,
                    metric.drop,
                    metric.drop,
                    reference_id=arm.id,
                    arm=arm,
                )
            )
    return found


def _speedup(arm: ArmSummary | None) -> float | None:
    """The overall speed-up, if it was measured in every cell: fewer cells cannot be compared."""
    if arm is None or arm.speedup is None or any(cell.speedup is None for cell in arm.cells):
        return None
    return arm.speedup.value


def _metric(arm: ArmSummary | None, name: str) -> MetricSummary | None:
    return next((metric for metric in arm.metrics if metric.name == name), None) if arm else None


def _within(candidate: _Candidate, margin: float) -> bool:
    return candidate.high is not None and candidate.high <= margin


def _unsettled(candidate: _Candidate, margin: float) -> Unsettled:
    metric = candidate.metric
    return Unsettled(
        row=candidate.row or 0,
        speedup=candidate.speedup,
        drop=candidate.drop,
        high=candidate.high if candidate.high is not None else candidate.drop,
        samples_to_settle=samples_to_settle(metric, margin) if metric else None,
    )


def _cautions(summary: SweepSummary, best: _Candidate) -> list[str]:
    """Whole sentences on what the times behind a choice cannot show, the gravest first."""
    found: list[str] = []
    if summary.invalid_session:
        found.append(
            "The timing session is not valid: two copies of one file measured as different. Do "
            "not rely on its times; run it again."
        )
    speedup = best.arm.speedup if best.arm else None
    doubt = None
    if speedup is not None and speedup.low is None:
        doubt = (
            "there were too few process sets for an interval, so it is not shown to be the fastest"
        )
    elif speedup is not None and speedup.low is not None and speedup.low <= 1:
        doubt = "its interval does not show it to be faster than the original"
    elif best.arm is not None and best.arm.unresolved:
        doubt = "in some shape its interval is wider than was asked for"
    if doubt is not None:
        found.append(f"The speed of what is recommended is unresolved: {doubt}.")
    return found


def _why(
    best: _Candidate, candidates: list[_Candidate], name: str, margin: float, original_name: str
) -> str:
    quantized = [item for item in candidates if item.choice == "row"]
    allowed = f"{margin:.2f} points"
    if best.choice == "row":
        return (
            f"it is the fastest configuration whose drop in {name} is shown to be at most "
            f"{allowed} (the upper end of {_interval(best)} is {best.high:.2f})"
        )
    kept = "the original"
    if best.reference_id is not None:
        kept = reference_name(original_name, best.reference_id)
    if not quantized:
        return f"no quantized configuration has both an accuracy and a speed; {kept} remains"
    if any(_within(item, margin) for item in quantized):
        return f"the configurations with a drop in {name} shown to be at most {allowed} are slower"
    return f"no quantized configuration's drop in {name} is shown to be at most {allowed}"


def _interval(best: _Candidate) -> str:
    """Whose upper end a choice goes by, in words."""
    count = 1 if best.metric is None else best.metric.num_compared
    level = stats.family_confidence(count)
    if level == 0.95:
        return "its 95 % interval"
    percent = f"{100 * level:.1f}".removesuffix(".0")
    return f"its {percent} % interval, of which all {count} hold together at 95 %,"


def _sample_size(count: int, zero_flips: float, margin: float, level: float) -> str:
    text = (
        f"With {count:,} samples, zero flips would show a drop of at most {zero_flips:.2f} points"
    )
    if zero_flips <= margin:
        return f"{text}: enough for a margin of {margin:.2f}."
    factor = stats.tango_interval(1, 0, 0, level)[1]
    # z^2 / (n + z^2) = margin, solved for n.
    z_squared = factor / (1 - factor)
    needed = round(z_squared * (100 / margin - 1)) if margin > 0 else None
    if needed is None:
        return f"{text}: no number of samples shows a margin of 0."
    return f"{text}: showing a margin of {margin:.2f} takes at least {needed:,} samples."
