"""What counts is latency where queries come one by one, and samples per second for a heap."""

from __future__ import annotations

import re
from typing import Any

import pytest

from quantbench.core.config import SweepConfig
from quantbench.core.results import SweepResult
from quantbench.core.units import TimedArm, TimeUnit
from quantbench.reports.card import render_card
from quantbench.reports.tables import rows_as_json
from quantbench.worker.keys import time_keys
from synthetic import REFERENCE_ID, config, report_inputs, subject, sweep, with_few_rounds

OFFLINE = {"time_benchmark_args": {"duration": 10.0, "scenario": "offline"}}


def card(result: SweepResult) -> str:
    return render_card(*report_inputs(result))


def columns(written: str, after: str) -> list[str]:
    """The head of the first table after a text, without the gaps."""
    line = re.search(r"^\|.*$", written.split(after)[1], re.MULTILINE)
    assert line is not None
    return [cell.strip() for cell in line[0].split("|")[1:-1] if cell.strip()]


def lines_of(written: str, after: str) -> list[list[str]]:
    table = written.split(after)[1].split("\n\n")[1].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


@pytest.fixture(scope="module")
def offline() -> str:
    return card(sweep(config(**OFFLINE)))


def test_single_stream_is_the_default_and_shows_latency_first_with_p90() -> None:
    written = card(sweep())
    assert "The scenario is single-stream" in written
    assert columns(written, "Below, time metrics for batch size = 1")[4:12] == [
        "latency_mean (original, ms)",
        "latency_mean (optimized, ms)",
        "p50 (original, ms)",
        "p50 (optimized, ms)",
        "p90 (original, ms)",
        "p90 (optimized, ms)",
        "throughput (original, samples/s)",
        "throughput (optimized, samples/s)",
    ]


def test_p90_is_left_out_where_there_are_too_few_forwards() -> None:
    few = card(with_few_rounds(sweep(), rounds=3))  # 3 x 16 forwards
    (line,) = [
        line for line in lines_of(few, "Below, time metrics for batch size = 1") if line[0] == "3"
    ]
    assert line[9:11] == ["–", "–"]
    assert line[5] != "–"


def test_offline_shows_samples_per_second_first_and_no_percentiles(offline: str) -> None:
    assert "The scenario is offline" in offline
    assert columns(offline, "Below, time metrics for batch size = 4")[4:] == [
        "throughput (original, samples/s)",
        "throughput (optimized, samples/s)",
        "latency_mean (original, ms)",
        "latency_mean (optimized, ms)",
        "speedup [95 %]",
        "quantization_speedup [95 %]",
    ]


def test_offline_the_steps_are_in_samples_per_second_where_those_are_most(offline: str) -> None:
    assert columns(offline, "What each step gave")[0] == "samples/s"
    (shape,) = re.findall(r"What each step gave, at (batch size \d+)", offline)
    rows = rows_as_json(report_inputs(sweep(config(**OFFLINE)))[1])
    of_row = {
        float(str(row["optimized.throughput_per_s"])): row["batch_size"]
        for row in rows
        if row["row"] == 3
    }
    assert shape == f"batch size {of_row[max(of_row)]}"


def test_the_rows_say_which_scenario_they_are_of() -> None:
    rows = rows_as_json(report_inputs(sweep(config(**OFFLINE)))[1])
    assert {row["scenario"] for row in rows} == {"offline"}


def test_each_step_has_a_factor_of_its_own_and_one_over_the_original() -> None:
    """40 ms in PyTorch, 1.5 times faster in ONNX Runtime, 3.2 times with quantization."""
    written = card(sweep())
    head, steps = columns(written, "What each step gave"), lines_of(written, "What each step gave")
    assert head[1:5] == [
        "this step [95 %]",
        "speedup [95 %]",
        "this step, all shapes",
        "speedup, all shapes",
    ]
    assert [line[0] for line in steps] == [
        "PyTorch eager",
        "ONNX Runtime fp32",
        "quantized (row 3)",
    ]
    assert steps[0][2:6] == ["1", "1", "1", "1"]
    factors = [[float(cell.split()[0]) for cell in line[2:6]] for line in steps[1:]]
    runtime, quantized = factors
    assert runtime[0] == runtime[1] == pytest.approx(1.5, rel=0.03)
    assert quantized[0] == pytest.approx(3.2 / 1.5, rel=0.03)
    assert quantized[1] == pytest.approx(3.2, rel=0.03)
    assert quantized[2] == pytest.approx(quantized[3] / runtime[3], rel=0.02)
    assert all("[" in cell for line in steps[1:] for cell in line[2:6])


def unit(asked: SweepConfig) -> TimeUnit:
    plan = sweep(asked).plan
    assert plan is not None
    data: dict[str, Any] = {"artifact_key": "key", "graph_digest": "digest"}
    arm = TimedArm(arm=plan.arm(REFERENCE_ID), compared_with=(REFERENCE_ID,), **data)
    return TimeUnit(
        config=asked,
        subject=subject(),
        cell=plan.cells[0],
        reference_id=REFERENCE_ID,
        arms=(arm,),
        num_threads=2,
    )


def test_what_was_timed_for_one_scenario_serves_the_other() -> None:
    single = config(time_benchmark_args={"duration": 10.0})
    assert time_keys(unit(config(**OFFLINE))) == time_keys(unit(single))
    longer = config(time_benchmark_args={"duration": 11.0})
    assert time_keys(unit(longer)) != time_keys(unit(single))
