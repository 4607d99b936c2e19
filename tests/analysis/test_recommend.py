"""The recommendation: fastest within a margin that the interval must show."""

from __future__ import annotations

import pytest

from quantbench.analysis.compare import summarize
from quantbench.analysis.recommend import recommend, samples_to_settle
from quantbench.core.errors import UsageError
from quantbench.core.stats import family_confidence, tango_interval
from quantbench.core.summary import ArmSummary, MetricSummary, Ratio, SweepSummary
from synthetic import QUESTION_ANSWERING, sweep, with_few_rounds, with_invalid_session


@pytest.fixture(scope="module")
def summary() -> SweepSummary:
    return summarize(sweep(), QUESTION_ANSWERING)


def test_the_margin_is_one_percent_of_the_original(summary: SweepSummary) -> None:
    assert recommend(summary).margin_points == pytest.approx(0.8)


def test_the_fastest_row_shown_to_be_inside_the_margin_wins(summary: SweepSummary) -> None:
    found = recommend(summary)
    assert (found.choice, found.row) == ("row", 3)
    assert "shown to be at most 0.80 points" in found.why


def test_a_faster_row_that_is_only_estimated_inside_is_named_with_what_would_settle_it(
    summary: SweepSummary,
) -> None:
    (unsettled,) = recommend(summary).unsettled
    assert unsettled.row == 4
    assert unsettled.drop < 0.8 < unsettled.high
    assert unsettled.samples_to_settle is not None
    assert 1200 < unsettled.samples_to_settle < 12_000


def test_a_wide_margin_admits_the_faster_row(summary: SweepSummary) -> None:
    found = recommend(summary, max_drop_points=2.0)
    assert (found.choice, found.row) == ("row", 4)


def test_a_margin_that_no_quantized_row_shows_keeps_fp32(summary: SweepSummary) -> None:
    found = recommend(summary, max_drop_points=0.1)
    assert found.choice == "reference"
    assert found.reference_id == "onnxruntime-float32-opset11-level99"
    assert found.sample_size is not None
    assert "takes at least" in found.sample_size


def test_a_row_without_all_its_cells_is_no_candidate(summary: SweepSummary) -> None:
    assert recommend(summary, max_drop_points=99.0).row != 7


def test_a_negative_margin_is_refused(summary: SweepSummary) -> None:
    with pytest.raises(UsageError, match="must not be negative"):
        recommend(summary, max_drop_points=-1.0)


def test_without_an_evaluation_of_the_original_nothing_is_recommended(
    summary: SweepSummary,
) -> None:
    assert recommend(summary.model_copy(update={"original": None})).choice == "none"


def test_sound_times_need_no_caution(summary: SweepSummary) -> None:
    assert recommend(summary).cautions == ()


def test_an_invalid_session_is_the_first_caution() -> None:
    found = recommend(summarize(with_invalid_session(sweep()), QUESTION_ANSWERING))
    assert (found.choice, found.row) == ("row", 3)
    assert found.cautions[0].startswith("The timing session is not valid")


def test_a_choice_by_a_speed_without_an_interval_says_so() -> None:
    (caution,) = recommend(summarize(with_few_rounds(sweep()), QUESTION_ANSWERING)).cautions
    assert "unresolved: there were too few process sets for an interval" in caution


def test_a_choice_by_a_speed_with_a_wide_interval_says_so(summary: SweepSummary) -> None:
    (caution,) = recommend(summary, max_drop_points=2.0).cautions
    assert "its interval is wider than was asked for" in caution


def test_a_choice_that_is_not_shown_to_be_faster_says_so(summary: SweepSummary) -> None:
    slow = Ratio(value=4.0, low=0.9, high=9.0)
    rows = [
        row.model_copy(update={"arm": row.arm.model_copy(update={"speedup": slow})})
        if row.number == 3 and row.arm
        else row
        for row in summary.rows
    ]
    (caution,) = recommend(summary.model_copy(update={"rows": tuple(rows)})).cautions
    assert "does not show it to be faster than the original" in caution


def test_as_many_samples_as_it_says_do_settle_it() -> None:
    low, high = (100 * end for end in tango_interval(500, 6, 4))
    metric = MetricSummary(
        name="accuracy",
        original=0.9,
        optimized=0.896,
        original_points=90.0,
        drop=0.4,
        low=low,
        high=high,
        family_high=high,
        method="score",
        worse=6,
        better=4,
        num_samples=500,
        effective_samples=500.0,
    )
    needed = samples_to_settle(metric, 0.9)
    assert needed is not None
    scale = needed / 500
    assert 100 * tango_interval(needed, 6 * scale, 4 * scale)[1] == pytest.approx(0.9, abs=0.01)
    assert samples_to_settle(metric, 0.4) is None


def test_the_more_models_are_compared_the_higher_the_bar_is(summary: SweepSummary) -> None:
    """Of three distinct files: a level of 96.7 % for each, at which all three hold together."""
    row = summary.rows[2]
    assert row.arm is not None
    metric = row.arm.metrics[0]
    assert metric.num_compared == 3
    assert metric.high is not None
    assert metric.family_high is not None
    assert metric.family_high > metric.high
    between = (metric.high + metric.family_high) / 2
    assert recommend(summary, max_drop_points=between).row is None
    assert recommend(summary, max_drop_points=metric.family_high).row == 3
    why = recommend(summary, max_drop_points=metric.family_high).why
    assert "its 96.7 % interval, of which all 3 hold together at 95 %, is 0.77" in why


def test_two_models_need_no_correction() -> None:
    """Two upper ends of 95 % intervals are wrong in 2 x 2.5 %."""
    assert [family_confidence(count) for count in (1, 2)] == [0.95, 0.95]
    assert family_confidence(5) == pytest.approx(0.98)


def test_an_original_with_a_negative_correlation_has_a_margin_too(summary: SweepSummary) -> None:
    def turned(arm: ArmSummary) -> ArmSummary:
        metrics = (item.model_copy(update={"original_points": -40.0}) for item in arm.metrics)
        return arm.model_copy(update={"metrics": tuple(metrics)})

    assert summary.original is not None
    found = recommend(summary.model_copy(update={"original": turned(summary.original)}))
    assert found.margin_points == pytest.approx(0.4)
