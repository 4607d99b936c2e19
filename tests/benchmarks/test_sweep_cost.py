"""The benchmark of what a sweep costs: its calculations, and the data that it makes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cost_inputs
import cost_units as cost
import sweep_cost
import synthetic
from quantbench import store
from quantbench.core.plan import make_plan
from quantbench.core.results import Spent, SweepResult, Timing
from quantbench.data.models import resolve_model

NAIVE = cost.NaiveUnits(
    start=7.0,
    export=10.0,
    calibrate=3.0,
    calibrate_per_sample=0.5,
    quantize=2.0,
    open=1.0,
    evaluate_per_sample=0.4,
    warm_up_per_token=0.01,
)
SWEEP = cost.SweepUnits(
    rest=9.0,
    export=11.0,
    calibrate_per_sample=0.6,
    quantize=4.0,
    open=1.5,
    evaluate_per_sample=0.1,
    start_arm=2.0,
    warm_up_per_token=0.02,
)
GRID = cost.Grid(
    rows=8,
    static_rows=4,
    files=5,
    evaluated_arms=7,
    timed_arms=8,
    samples=1000,
    calibration_samples=100,
    shape_tokens=(32, 128),
    duration_s=15.0,
)


def test_naively_every_row_pays_for_every_stage() -> None:
    naive, _ = cost.full_grid(NAIVE, SWEEP, GRID)
    assert naive == {
        "export": 8 * 10.0,
        "calibrate": 4 * (3.0 + 100 * 0.5),
        "quantize": 8 * 2.0,
        "evaluate": pytest.approx(8 * (1.0 + 1000 * 0.4)),
        "time": pytest.approx(8 * (2 * 2 * 15.0 + 160 * 0.01)),
        "rest": 7.0,
    }


def test_a_sweep_pays_for_each_distinct_thing_once() -> None:
    _, sweep = cost.full_grid(NAIVE, SWEEP, GRID)
    assert sweep == {
        "export": 11.0,
        "calibrate": 100 * 0.6,
        "quantize": 5 * 4.0,
        "evaluate": pytest.approx(7 * (1.5 + 1000 * 0.1)),
        "time": pytest.approx(
            8 * (4 * (2.0 + 32 * 0.02) + 15.0 / 2) + 8 * (4 * (2.0 + 128 * 0.02) + 15.0 / 2)
        ),
        "rest": 9.0,
    }


def test_where_starting_is_cheap_a_session_lasts_its_budget() -> None:
    """15 s for each of 8 arms in each of 2 shapes."""
    cheap = replace(SWEEP, start_arm=0.5, warm_up_per_token=0.001)
    _, sweep = cost.full_grid(NAIVE, cheap, GRID)
    assert sweep["time"] == 2 * 8 * 15.0


def test_more_rows_with_the_same_files_cost_a_sweep_nothing() -> None:
    naive, sweep = cost.full_grid(NAIVE, SWEEP, GRID)
    naive_more, sweep_more = cost.full_grid(NAIVE, SWEEP, replace(GRID, rows=16, static_rows=8))
    assert sweep_more == sweep
    assert all(naive_more[stage] == 2 * naive[stage] for stage in naive if stage != "rest")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((0.51, 4.9, sweep_cost.ONLY_NEW, 0.3), ["sweep ÷ naive is 0.51"]),
        ((float("nan"), 4.9, sweep_cost.ONLY_NEW, 0.3), ["sweep ÷ naive is nan"]),
        ((0.5, 5.0, sweep_cost.ONLY_NEW, 0.3), ["second run took 5.0 s"]),
        ((0.5, 4.9, {"export": 1, **sweep_cost.ONLY_NEW}, 0.3), ["1 × evaluate, 1 × export"]),
        ((0.5, 4.9, {}, 0.3), ["the added row made nothing"]),
        ((0.5, 4.9, sweep_cost.ONLY_NEW, 0.34), ["full grid is 0.34"]),
        ((0.6, 6.0, sweep_cost.ONLY_NEW, 0.4), ["0.60", "6.0 s", "0.40"]),
    ],
)
def test_each_goal_that_is_missed_is_named(values: tuple[Any, ...], words: list[str]) -> None:
    missed = sweep_cost.missed_goals(*values)
    assert len(missed) == len(words)
    assert all(word in line for word, line in zip(words, missed, strict=True))


def test_goals_are_met_at_their_bounds() -> None:
    assert sweep_cost.missed_goals(0.5, 4.99, sweep_cost.ONLY_NEW, 1 / 3) == []
    explained = {**sweep_cost.ONLY_NEW, "explain": 1}
    assert sweep_cost.missed_goals(0.5, 4.99, explained, 1 / 3) == []


def test_naive_unit_costs_add_up_to_what_was_measured() -> None:
    config = synthetic.config()
    shapes = len(config.batch_sizes) * len(config.input_lengths)
    seconds = {"export": 9.0, "quantize": 2.0, "open": 1.0, "warm_up": 0.8}
    common = {**seconds, "time": 2 * 3.0 * shapes, "answers": [""] * 64}
    rows: list[dict[str, Any]] = [
        {**common, "evaluate": 40.0, "calibrate": 30.0, "calibrate_per_sample": 0.5},
        {**common, "evaluate": 50.0},
    ]
    units = cost.naive_units({"rows": rows}, 200.0 + 12.0 * shapes, config)
    assert units.calibrate == 30.0 - 50 * 0.5
    tokens = tuple(b * n for b in config.batch_sizes for n in config.input_lengths)
    measured = replace(
        GRID, rows=2, static_rows=1, samples=64, calibration_samples=50, shape_tokens=tokens,
        duration_s=3.0,
    )  # fmt: skip
    naive, _ = cost.full_grid(units, SWEEP, measured)
    assert sum(naive.values()) == pytest.approx(200.0 + 12.0 * shapes)
    assert naive["evaluate"] == pytest.approx(40.0 + 50.0 + 2 * 1.0)


def test_unit_costs_of_a_sweep_add_up_to_what_was_measured() -> None:
    result = _measured_sweep()
    taken = cost.by_stage(result.spent)
    units = cost.sweep_units(result, 60.0 + sum(taken.values()), taken)
    assert units.rest == pytest.approx(60.0)
    assert units.start_arm > 0
    evaluated = [arm.evaluation for arm in result.arms if arm.evaluation is not None]
    timings = [t for arm in result.arms for t in arm.timings if isinstance(t, Timing)]
    config, cells = result.config, len(result.plan.cells) if result.plan else 0
    measured = replace(
        GRID,
        files=2,
        evaluated_arms=len(evaluated),
        timed_arms=len(timings) / cells,
        samples=evaluated[0].num_samples,
        calibration_samples=config.calibration.num_calibration_samples,
    )
    _, sweep = cost.full_grid(NAIVE, units, measured)
    for stage in ("export", "calibrate", "quantize", "evaluate"):
        spent = sum(unit.seconds for unit in result.spent if unit.stage == stage)
        assert sweep[stage] == pytest.approx(spent)


def test_units_side_by_side_cost_the_time_that_passes() -> None:
    result = _measured_sweep()
    taken = cost.by_stage(result.spent)
    alone = cost.sweep_units(result, 60.0 + sum(taken.values()), taken)
    half = taken | {"evaluate": taken["evaluate"] / 2}
    units = cost.sweep_units(result, 60.0 + sum(half.values()), half)
    assert units.evaluate_per_sample == pytest.approx(alone.evaluate_per_sample / 2)
    assert units.rest == pytest.approx(60.0)


def test_the_time_of_a_stage_is_read_from_the_log() -> None:
    log = """\
2026-01-01T00:00:00+00:00 export: opset 11
2026-01-01T00:00:10+00:00 note: nothing
2026-01-01T00:00:12+00:00 quantize: one
2026-01-01T00:00:13+00:00 quantize: two
2026-01-01T00:00:20+00:00 time: b1
2026-01-01T00:01:20+00:00 explain: the worst row
"""
    found = cost.elapsed_by_stage(log)
    assert found == {"export": 12, "calibrate": 0, "quantize": 8, "evaluate": 0, "time": 60}
    with pytest.raises(ValueError, match="when the last stage ended"):
        cost.elapsed_by_stage(log.rsplit("2026", 1)[0])


def test_a_store_is_listed_by_what_made_each_artifact(tmp_path: Path) -> None:
    stages = ["export", "quantize", "evaluate", "time"]
    for number, stage in enumerate(stages):
        store.make(tmp_path, f"{number}" * 32, stage, lambda _: {})
    assert list(sweep_cost.store_contents(tmp_path).values()) == stages


def test_contexts_are_joined_to_lengths_from_short_to_the_longest_window() -> None:
    import transformers

    model = resolve_model("bundled:questions", None).directory
    tokenizer = transformers.AutoTokenizer.from_pretrained(model, local_files_only=True)
    rows = cost_inputs.mixed_rows(model, "validation", 12)
    lengths = [len(tokenizer(row["question"], row["context"])["input_ids"]) for row in rows]
    assert min(lengths) < 60
    assert 340 < max(lengths) <= cost_inputs.PADDED_LENGTH
    assert lengths != sorted(lengths)
    for row in rows:
        (answer,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
        assert row["context"][start : start + len(answer)] == answer


def test_the_three_configs_of_the_benchmark_are_valid_and_one_row_apart(tmp_path: Path) -> None:
    from quantbench.commands.config_files import read_config_file

    model = resolve_model("bundled:questions", None).directory
    cost_inputs.write_inputs(model, tmp_path, 4, 3.0)
    plans = {}
    for name in ("sweep", "base", "added"):
        config, _ = read_config_file(tmp_path / f"{name}.yaml")
        plans[name] = make_plan(config, synthetic.QUESTION_ANSWERING)
    assert {name: len(plan.rows) for name, plan in plans.items()} == {
        "sweep": 8,
        "base": 2,
        "added": 3,
    }
    files = {name: {v.id for v in plan.variants} for name, plan in plans.items()}
    assert files["base"] < files["sweep"]
    assert len(files["added"] - files["sweep"]) == 1
    assert len(json.loads((tmp_path / "train.jsonl").read_text().splitlines()[0])["context"]) > 0


def _measured_sweep() -> SweepResult:
    result = synthetic.sweep()
    timings = [t for arm in result.arms for t in arm.timings if isinstance(t, Timing)]
    rounds_s = sum(sum(b.samples_ns) for t in timings for b in t.blocks) / 1e9
    spent = [
        ("export", 12.0),
        ("calibrate", 20.0),
        ("quantize", 4.0),
        ("quantize", 6.0),
        *(("evaluate", 100.0) for arm in result.arms if arm.evaluation is not None),
        ("time", rounds_s * 3),
    ]
    units = (Spent(stage=s, name=s, seconds=n, peak_rss_bytes=None) for s, n in spent)
    return result.model_copy(update={"spent": tuple(units)})
