"""Made-up sweeps whose reports are looked at: usual, hostile, unfinished, and large."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from pathlib import Path

from quantbench import registry
from quantbench.analysis.compare import summarize
from quantbench.cards.read import read_card
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import ArmResult, Failed, SweepResult
from quantbench.core.specs import TaskSpec
from quantbench.core.summary import ArmSummary, CellSummary, Ratio, RowSummary, SweepSummary
from quantbench.reports.html.flipped import KeptSamples
from quantbench.reports.html.page import render_report
from quantbench.reports.html.runtime import vega_runtime
from synthetic import IMAGE_CLASSIFICATION, QUESTION_ANSWERING, config, with_arm
from synthetic import sweep as make_sweep

SEED_SHAPES = {"batch_sizes": [1, 4, 8], "input_lengths": [32, 64, 128]}
DATA = Path(__file__).parents[1] / "data"
Made = tuple[SweepResult, SweepSummary]


def write_report(path: Path, made: Made, kept: KeptSamples | None = None) -> Path:
    """Write a report of that; returns the file."""
    path.write_text(render_report(*made, kept or {}, vega_runtime()), encoding="utf-8")
    return path


@functools.cache
def sweep() -> SweepResult:
    """8 rows in 2 shapes, made once."""
    return make_sweep()


def of(result: SweepResult, task: TaskSpec = QUESTION_ANSWERING) -> Made:
    return result, summarize(result, task)


def seed_grid() -> Made:
    """8 rows in 9 shapes."""
    return of(make_sweep(config(**SEED_SHAPES)))


def empty() -> Made:
    return of(sweep().model_copy(update={"arms": ()}))


def unfinished() -> Made:
    """The original and the reference are there, one row, and no other."""
    result = sweep()
    dynamic = next(arm.arm.id for arm in result.arms if "dynamic" in arm.arm.id)
    kept = [a for a in result.arms if a.arm.role != "row" or a.arm.id == dynamic]
    return of(result.model_copy(update={"arms": tuple(kept)}))


def all_failed() -> Made:
    result = sweep()
    for arm in result.arms:
        if arm.arm.role == "row":
            failure = Failed(stage="quantize", error="no kernel for it", hint="Use opset 13.")
            result = with_arm(result, arm.arm.id, artifact=failure, evaluation=None, timings=())
    return of(result)


def single_row() -> Made:
    return of(
        make_sweep(config(benchmarked={"per_channel": [False]}, quantization_approach="dynamic"))
    )


def no_timings() -> Made:
    result = sweep()
    for arm in result.arms:
        result = with_arm(result, arm.arm.id, timings=())
    return of(result)


def no_accuracy() -> Made:
    failure = Failed(stage="evaluate", error="the labels do not fit")
    return of(with_arm(sweep(), ORIGINAL_ID, evaluation=failure))


def published() -> Made:
    return of(_imported("distilbert-squad"))


def published_images() -> Made:
    return of(_imported("vit-beans"), IMAGE_CLASSIFICATION)


def _imported(name: str) -> SweepResult:
    text = (DATA / f"{name}.card.txt").read_text()
    return read_card(text, name, registry.catalog()).result


BAD: dict[str, tuple[Callable[[], Made], str]] = {
    "empty": (empty, "Nothing has been measured yet"),
    "unfinished": (unfinished, "no numbers: failed, or not run yet"),
    "all rows failed": (all_failed, "no numbers: failed, or not run yet"),
    "one row": (single_row, "No row was explained"),
    "no timings": (no_timings, "there are no speed-ups"),
    "no accuracy": (no_accuracy, "there are no drops"),
    "published": (published, "This is an imported card"),
    "published, no lengths": (published_images, "This is an imported card"),
}


def large(num_rows: int = 2000) -> Made:
    """So many rows in 9 shapes, each with a file and times of its own."""
    result, summary = seed_grid()
    pattern = next(row for row in summary.rows if row.status == "measured" and row.arm)
    assert pattern.arm is not None
    measured = next(arm for arm in result.arms if arm.arm.id == pattern.arm.id)
    arms: list[ArmResult] = []
    rows: list[RowSummary] = []
    rng = random.Random(0)
    for number in range(1, num_rows + 1):
        name = f"{pattern.arm.id}-{number}"
        arms.append(
            measured.model_copy(update={"arm": measured.arm.model_copy(update={"id": name})})
        )
        rows.append(
            pattern.model_copy(
                update={
                    "number": number,
                    "parameters": {
                        "operators_to_quantize": rng.sample(["Add", "Gather", "MatMul", "Mul"], 2),
                        "per_channel": number % 2 == 0,
                        "framework_args.opset": rng.choice([11, 14, 17]),
                        "calibration.method": rng.choice(["minmax", "entropy", "percentile"]),
                    },
                    "arm": _varied(pattern.arm, name, rng),
                }
            )
        )
    others = tuple(arm for arm in result.arms if arm.arm.role != "row")
    return (
        result.model_copy(update={"arms": (*others, *arms)}),
        summary.model_copy(update={"rows": tuple(rows)}),
    )


def _varied(arm: ArmSummary, name: str, rng: random.Random) -> ArmSummary:
    by = rng.uniform(0.3, 1.6)
    shift = rng.uniform(-0.5, 4.0)
    metrics = [
        metric.model_copy(
            update={
                "drop": metric.drop + shift,
                "low": (metric.low or 0.0) + shift,
                "high": (metric.high or 0.0) + shift,
                "family_high": (metric.family_high or 0.0) + shift,
            }
        )
        for metric in arm.metrics
    ]
    return arm.model_copy(
        update={
            "id": name,
            "metrics": tuple(metrics),
            "speedup": _times(arm.speedup, by),
            "quantization_speedup": _times(arm.quantization_speedup, by),
            "cells": tuple(_varied_cell(cell, by * rng.uniform(0.8, 1.25)) for cell in arm.cells),
        }
    )


def _varied_cell(cell: CellSummary, by: float) -> CellSummary:
    return cell.model_copy(
        update={
            "speedup": _times(cell.speedup, by),
            "quantization_speedup": _times(cell.quantization_speedup, by),
        }
    )


def _times(found: Ratio | None, by: float) -> Ratio | None:
    if found is None:
        return None
    low = None if found.low is None else found.low * by
    high = None if found.high is None else found.high * by
    return Ratio(value=found.value * by, low=low, high=high)


# In every place that takes text from outside: none of them may run, or become an element.
ATTACKS = (
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 1">',
    "<svg onload=window.hacked=1>",
    "<!--<script>window.hacked=1",
    "[x](javascript:window.hacked=1) ![y](http://host.invalid/y.png) <http://host.invalid>",
    "`</code><b>bold</b>` | 🙂 \u202e \x1b[31m",
    "n" * 3000,
)


def hostile() -> Made:
    """Names, values, errors, answers and notes that want to be markup or scripts."""
    attack = " ".join(ATTACKS)
    dataset = {
        "path": attack, "eval_split": attack, "data_keys": {"question": attack, "context": attack},
        "ref_keys": [attack], "calibration_split": "train",
    }  # fmt: skip
    result = make_sweep(config(model_name_or_path=attack, dataset=dataset))
    assert result.subject is not None
    assert result.environment is not None
    places = ("model_name_or_path", "model_id", "model_revision", "architecture", "dataset_path")
    subject = result.subject.model_copy(
        update={**dict.fromkeys(places, attack), "notes": (attack,)}
    )
    cpu = result.environment.cpu.model_copy(update={"model": attack})
    environment = result.environment.model_copy(update={"cpu": cpu, "operating_system": attack})
    for arm in result.arms:
        found = arm.evaluation
        if found is not None and found.outcome == "completed":
            answers = [p.model_copy(update={"answer": attack}) for p in found.predictions]
            ids = [f"{place}{attack}" for place in range(len(answers))]
            changed = found.model_copy(
                update={"predictions": tuple(answers), "sample_ids": tuple(ids)}
            )
            result = with_arm(result, arm.arm.id, evaluation=changed)
        if isinstance(arm.artifact, Failed):
            failed = arm.artifact.model_copy(update={"error": attack, "hint": attack})
            result = with_arm(result, arm.arm.id, artifact=failed)
    result = result.model_copy(update={"subject": subject, "environment": environment})
    summary = summarize(result, QUESTION_ANSWERING)
    rows = [
        row.model_copy(
            update={"parameters": {attack: f"{attack} {row.number % 3}"}, "warnings": (attack,)}
        )
        for row in summary.rows
    ]
    return result, summary.model_copy(update={"rows": tuple(rows)})
