"""What a larger grid would cost, naively and as a sweep, from measured unit costs. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from quantbench.core import session_plan, stats
from quantbench.core.config import SweepConfig
from quantbench.core.plan import Plan
from quantbench.core.quantization import Float32
from quantbench.core.results import Evaluation, Spent, SweepResult, Timing
from quantbench.stages.arm_processes import discarded_forwards

EXAMPLE = Path(__file__).parents[1] / "examples" / "distilbert-squad.yaml"
STAGES = ("export", "calibrate", "quantize", "evaluate", "time")
NAIVE_STAGES = ("export", "calibrate", "quantize", "open", "evaluate", "warm_up", "time")

ASSUMPTIONS = (
    "each stage costs in proportion to how often it is done: rows, files, arms, samples, shapes",
    "the samples have the token lengths of those measured here",
    "a naive calibration has a fixed part and one per sample; the whole of the sweep's grows",
    "naive timing lasts exactly its duration, for both models of each row in each shape",
    "the sweep never stops early: it spends duration × arms in each shape, or four starts of all "
    "arms and half of that where this is more",
    "opening a model costs the same in each shape; warm-up grows with batch × length, in both ways",
    "starting, preparing and the reports cost what they cost here",
)


@dataclass(frozen=True)
class NaiveUnits:
    """What the naive way was measured to cost, in seconds: per row where nothing else is said.

    `evaluate_per_sample` and `warm_up_per_token` (a token of a shape, batch × length) are of
    original and optimized together; `calibrate` and `calibrate_per_sample` per static row;
    `start` once.
    """

    start: float
    export: float
    calibrate: float
    calibrate_per_sample: float
    quantize: float
    open: float
    evaluate_per_sample: float
    warm_up_per_token: float


@dataclass(frozen=True)
class SweepUnits:
    """What a sweep was measured to cost, in seconds.

    `rest` (process, preparing, explaining, reports) and `export` once, `quantize` per file, `open`
    and `evaluate_per_sample` per evaluated arm, `start_arm` and `warm_up_per_token` per process of
    a timed arm.
    """

    rest: float
    export: float
    calibrate_per_sample: float
    quantize: float
    open: float
    evaluate_per_sample: float
    start_arm: float
    warm_up_per_token: float


@dataclass(frozen=True)
class Grid:
    """How much there is to do. `shape_tokens` has batch × length of each shape."""

    rows: int
    static_rows: int
    files: int
    evaluated_arms: int
    timed_arms: int
    samples: int
    calibration_samples: int
    shape_tokens: tuple[int, ...]
    duration_s: float


def full_grid(
    naive: NaiveUnits, sweep: SweepUnits, grid: Grid
) -> tuple[dict[str, float], dict[str, float]]:
    """The seconds of each stage of a larger grid, naively and as a sweep, under `ASSUMPTIONS`."""
    shapes, tokens = len(grid.shape_tokens), sum(grid.shape_tokens)
    per_calibration = naive.calibrate + naive.calibrate_per_sample * grid.calibration_samples
    return (
        {
            "export": naive.export * grid.rows,
            "calibrate": per_calibration * grid.static_rows,
            "quantize": naive.quantize * grid.rows,
            "evaluate": (naive.open + naive.evaluate_per_sample * grid.samples) * grid.rows,
            "time": (2 * grid.duration_s * shapes + naive.warm_up_per_token * tokens) * grid.rows,
            "rest": naive.start,
        },
        {
            "export": sweep.export,
            "calibrate": sweep.calibrate_per_sample * grid.calibration_samples,
            "quantize": sweep.quantize * grid.files,
            "evaluate": (sweep.open + sweep.evaluate_per_sample * grid.samples)
            * grid.evaluated_arms,
            "time": sum(_session_s(sweep, grid, tokens) for tokens in grid.shape_tokens),
            "rest": sweep.rest,
        },
    )


def _session_s(sweep: SweepUnits, grid: Grid, tokens: int) -> float:
    """The seconds of a timing session of one shape that never stops early."""
    budget_s = grid.duration_s * grid.timed_arms
    start_s = (sweep.start_arm + sweep.warm_up_per_token * tokens) * grid.timed_arms
    counted_s = session_plan.LEAST_COUNTED_PART * budget_s
    return max(budget_s, stats.LOOKS[0] * start_s + counted_s)


def naive_units(naive: Mapping[str, Any], wall_s: float, config: SweepConfig) -> NaiveUnits:
    """The unit costs of the naive way, from what each of its rows took and its whole time."""
    rows: list[dict[str, Any]] = naive["rows"]

    def mean(stage: str) -> float:
        return statistics.mean(float(row[stage]) for row in rows if stage in row)

    calibrated = config.calibration.num_calibration_samples * mean("calibrate_per_sample")
    return NaiveUnits(
        start=wall_s - sum(row[stage] for row in rows for stage in NAIVE_STAGES if stage in row),
        export=mean("export"),
        calibrate=max(0.0, mean("calibrate") - calibrated),
        calibrate_per_sample=mean("calibrate_per_sample"),
        quantize=mean("quantize"),
        open=mean("open"),
        evaluate_per_sample=mean("evaluate") / len(rows[0]["answers"]),
        warm_up_per_token=mean("warm_up") / sum(shape_tokens(config)),
    )


def sweep_units(result: SweepResult, wall_s: float, elapsed: Mapping[str, float]) -> SweepUnits:
    """The unit costs of a sweep that began with an empty store.

    Args:
        result: what it measured.
        wall_s: its whole time.
        elapsed: of it, the seconds of each stage, of which units may run side by side.
    """
    side_by_side = by_stage(result.spent)["evaluate"] / elapsed["evaluate"]
    evaluations = [a.evaluation for a in result.arms if isinstance(a.evaluation, Evaluation)]
    timings = [t for arm in result.arms for t in arm.timings if isinstance(t, Timing)]
    rounds_s, warm_up_s = 0.0, 0.0
    for timing in timings:
        forward_s = statistics.median(n for b in timing.blocks for n in b.samples_ns) / 1e9
        warm_up_s += forward_s * sum(process.warmup_runs for process in timing.processes)
        rounds_s += sum(sum(block.samples_ns) for block in timing.blocks) / 1e9
        rounds_s += forward_s * discarded_forwards(forward_s) * len(timing.blocks)
    evaluate_s = sum(evaluation.seconds for evaluation in evaluations) / side_by_side
    config, files = result.config, sum(unit.stage == "quantize" for unit in result.spent)
    processes, forwarded = 0, 0
    for timing in timings:
        processes += len(timing.processes)
        forwarded += (
            len(timing.processes) * timing.cell.batch_size * (timing.cell.input_length or 1)
        )
    return SweepUnits(
        rest=wall_s - sum(elapsed.values()),
        export=elapsed["export"],
        calibrate_per_sample=elapsed["calibrate"] / config.calibration.num_calibration_samples,
        quantize=elapsed["quantize"] / files,
        open=max(0.0, elapsed["evaluate"] - evaluate_s) / len(evaluations),
        evaluate_per_sample=evaluate_s / sum(found.num_samples for found in evaluations),
        start_arm=max(0.0, elapsed["time"] - rounds_s - warm_up_s) / processes,
        warm_up_per_token=warm_up_s / forwarded,
    )


def seed_grid(result: SweepResult, plan: Plan) -> Grid:
    """The size of the example as it stands, for the distinct work that this sweep found."""
    example: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    schemes = [row.trial.parameters["quantization_approach"] for row in plan.rows]
    return Grid(
        rows=len(plan.rows),
        static_rows=schemes.count("static"),
        files=sum(not isinstance(v.quantization, Float32) for v in plan.variants),
        evaluated_arms=sum(isinstance(arm.evaluation, Evaluation) for arm in result.arms),
        timed_arms=sum(bool(arm.timings) for arm in result.arms),
        samples=example["max_eval_samples"],
        calibration_samples=example["calibration"]["num_calibration_samples"],
        shape_tokens=tuple(
            batch * length
            for batch in example["batch_sizes"]
            for length in example["input_lengths"]
        ),
        duration_s=example["time_benchmark_args"]["duration"],
    )


def shape_tokens(config: SweepConfig) -> list[int]:
    """Batch × length of each shape."""
    return [batch * length for batch in config.batch_sizes for length in config.input_lengths]


def elapsed_by_stage(log: str) -> dict[str, float]:
    """The seconds of each stage by a run's log, from its first unit to the next stage's.

    Raises:
        ValueError: the log ends within a stage.
    """
    begun: list[tuple[datetime, str]] = []
    for line in log.splitlines():
        when, _, what = line.partition(" ")
        stage = what.partition(":")[0]
        if stage in (*STAGES, "explain"):
            begun.append((datetime.fromisoformat(when), stage))
    if not begun or begun[-1][1] in STAGES:
        raise ValueError("the log does not say when the last stage ended")
    found = dict.fromkeys(STAGES, 0.0)
    for (began, stage), (ended, _) in pairwise(begun):
        found[stage] += (ended - began).total_seconds()
    return found


def by_stage(spent: Sequence[Spent]) -> dict[str, float]:
    """Seconds by stage, of all units together."""
    return {s: sum(unit.seconds for unit in spent if unit.stage == s) for s in STAGES}
