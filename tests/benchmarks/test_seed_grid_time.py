"""What a seed grid's timing cost beside the fixed way is reckoned from its results alone."""

from __future__ import annotations

import pytest

import seed_grid_time
import synthetic
from quantbench.analysis.compare import summarize
from quantbench.core.results import Spent, SweepResult


def timed(seconds: dict[str, float], *, reused: bool = False) -> SweepResult:
    """Eight rows, of which 5, 6 and 8 have no times, 7 lacks a shape and 4 is unresolved."""
    spent = tuple(
        Spent(stage="time", name=name, seconds=took, peak_rss_bytes=None, reused=reused)
        for name, took in seconds.items()
    )
    other = Spent(stage="export", name="opset 11", seconds=999.0, peak_rss_bytes=None)
    return synthetic.sweep().model_copy(update={"spent": (*spent, other)})


def found(result: SweepResult) -> seed_grid_time.TimeSpent:
    return seed_grid_time.time_spent(result, summarize(result, synthetic.QUESTION_ANSWERING))


def test_only_timing_counts_beside_twice_the_duration_of_each_row_and_shape() -> None:
    """10 s × 2 × 8 rows: 160 s for a shape."""
    spent = found(timed({"b1-l32": 80.0, "b4-l32": 96.0}))
    assert [shape.fixed_seconds for shape in spent.shapes] == [160.0, 160.0]
    assert spent.seconds == 176.0
    assert spent.of_fixed == pytest.approx(0.55)


def test_a_row_is_resolved_in_a_shape_if_its_ratios_are_known_to_the_precision() -> None:
    spent = found(timed({"b1-l32": 80.0, "b4-l32": 96.0}))
    assert spent.resolved_shapes == {1: 2, 2: 2, 3: 2, 4: 0, 5: 0, 6: 0, 7: 1, 8: 0}
    assert sum(shape.num_resolved for shape in spent.shapes) == 7
    assert spent.resolved == 7 / 16
    assert not spent.meets_goals


def test_what_was_taken_from_the_store_tells_no_cost() -> None:
    with pytest.raises(ValueError, match="not timed in this run: b1-l32, b4-l32"):
        found(timed({"b1-l32": 0.1, "b4-l32": 0.1}, reused=True))


def test_the_report_names_machine_shapes_rows_and_the_goals() -> None:
    result = timed({"b1-l32": 80.0, "b4-l32": 96.0})
    text = seed_grid_time.report(result, found(result))
    for part in (
        "synthetic-bert, 8 rows × 2 shapes, precision 3.0%, duration 10 s.",
        "| b1-l32 | 80 | 50% | ",
        "| all | 176 of 320 | 55% | 44% of rows × shapes |",
        "| 4 | 0 of 2 |",
        "resolved: missed.",
        synthetic.environment().cpu.model,
    ):
        assert part in text
