"""How long looking at a large run takes: 2,000 rows in nine shapes, made up.

Makes the run's folder, with raw times and answers as a sweep leaves them, derives its summary as a
sweep does at its end, and then times `quantbench show` and `quantbench card` (without pictures
and HTML report) as whole processes. The numbers of the rows are made up; how much data is real.

    python benchmarks/large_results.py [--rows 2000] [--samples 200] [--out DIR]
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from quantbench import registry
from quantbench.core.config_file import read_config
from quantbench.core.plan import Arm, Cell, Plan, make_plan
from quantbench.core.results import (
    ArmProcess,
    ArmResult,
    Artifact,
    Block,
    Evaluation,
    NodeCounts,
    Prediction,
    Timing,
)
from quantbench.run_dir import RunDir
from quantbench.run_files import RunFacts
from quantbench.summary_file import keep, summarized

GOAL_SECONDS = {"show": 2.0, "card": 5.0}
SETS, ROUNDS_PER_SET, FORWARDS = 4, 3, 8
TIMES = 3


def main() -> int:
    """Make, measure, print; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = (asked.out or Path(scratch)) / "large"
        made = _timed(lambda: make_run(run, asked.rows, asked.samples))
        size = sum(file.stat().st_size for file in run.rglob("*.json")) / 1e6
        print(f"{asked.rows:,} rows, {size:,.0f} MB of facts, made in {made:.0f} s")
        derived = _timed(lambda: keep(run, summarized(run)))
        kept = (run / "summary.jsonl").stat().st_size / 1e6
        print(f"summary derived in {derived:.0f} s, {kept:.0f} MB")
        return _measure(run)


def _measure(run: Path) -> int:
    commands = {
        "show": ["show", str(run)],
        "show, sorted": ["show", str(run), "--sort", "speedup@1x32:desc", "--filter", "drop<1"],
        "show --row": ["show", str(run), "--row", "7"],
        "list": ["list", str(run.parent)],
        "export cells": ["export", str(run), "--table", "cells", "--out", str(run / "cells.csv")],
        "card": ["-c", _CARD, str(run)],
    }
    missed = False
    for name, arguments in commands.items():
        start = [sys.executable] if name == "card" else [sys.executable, "-m", "quantbench"]
        call = functools.partial(_call, [*start, *arguments])
        seconds = min(_timed(call) for _ in range(TIMES))
        goal = GOAL_SECONDS.get(name)
        missed |= goal is not None and seconds > goal
        print(f"{name:14} {seconds:6.2f} s" + (f"   goal: {goal:g} s" if goal else ""))
    return int(missed)


# The card and its table: what `quantbench card` writes but for the pictures and the HTML report.
_CARD = """
import sys
from pathlib import Path
from quantbench.run_dir import locked
from quantbench.sweep import write_reports
run = Path(sys.argv[1])
with locked(run):
    problems = write_reports(run, ("card", "tables")).problems
sys.exit("; ".join(problems) or 0)
"""


def _call(command: Sequence[str]) -> None:
    environment = os.environ | {"QUANTBENCH_STORE": "/nonexistent", "COLUMNS": "100"}
    subprocess.run(command, check=True, capture_output=True, env=environment)


def _timed(do: Any) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def make_run(run: Path, num_rows: int, num_samples: int) -> None:
    """Write the folder of a finished run.

    Args:
        run: the folder, made.
        num_rows: distinct rows; the grid has at least as many, and the first ones are kept.
        num_samples: that each model was evaluated on.
    """
    for name in ("arms", "results"):
        (run / name).mkdir(parents=True)
    text = yaml.safe_dump(_config(num_rows))
    config = read_config(text, "config.yaml", registry.catalog())
    plan = make_plan(config, registry.task(config.task).spec)
    for name in ("config.yaml", "pinned.yaml"):
        (run / name).write_text(text)
    (run / "plan.json").write_text(plan.model_dump_json())
    (run / "run.json").write_text(RunFacts.model_validate(_facts(num_samples)).model_dump_json())
    folder = RunDir(run)
    for number, arm in enumerate(plan.arms):
        folder.write_arm(_arm(arm, number, plan, num_samples))


def _config(num_rows: int) -> dict[str, Any]:
    percentiles = [round(99 + number / (2 * num_rows), 6) for number in range((num_rows + 1) // 2)]
    return {
        "task": "question-answering",
        "model_name_or_path": "example-org/large",
        "dataset": {
            "path": "d",
            "data_keys": {"question": "question", "context": "context"},
            "ref_keys": ["answers"],
            "calibration_split": "train",
        },
        "quantization_approach": "static",
        "operators_to_quantize": ["MatMul"],
        "calibration": {"method": "percentile"},
        "framework_args": {"opset": 17},
        "batch_sizes": [1, 4, 8],
        "input_lengths": [32, 64, 128],
        "benchmarked": {
            "per_channel": [False, True],
            "calibration.percentile": percentiles,
        },
    }


def _facts(num_samples: int) -> dict[str, Any]:
    cpu = {
        "model": "made up", "architecture": "x86_64", "flags": ["avx2"], "physical_cores": 2,
        "logical_cores": 4, "allowed_cores": 2,
    }  # fmt: skip
    return {
        "environment": {
            "cpu": cpu, "memory_bytes": 2**33, "operating_system": "Linux", "python": "3.11",
            "packages": {}, "num_threads": 2, "measured_at": "2026-01-02T03:04:05+00:00",
        },
        "subject": {
            "model_name_or_path": "example-org/large", "model_revision": None,
            "model_digest": "0" * 64, "model_type": "distilbert",
            "architecture": "DistilBertForQuestionAnswering", "num_parameters": 66_000_000,
            "license": None, "dataset_path": "d", "dataset_revision": None,
            "eval_fingerprint": "1" * 64, "eval_num_rows": num_samples,
            "num_eval_samples": num_samples, "calibration_fingerprint": "2" * 64,
            "calibration_num_rows": 1000,
        },
    }  # fmt: skip


def _arm(arm: Arm, number: int, plan: Plan, num_samples: int) -> ArmResult:
    reference = next(item.id for item in plan.arms if item.role == "reference")
    speed = {"original": 1.0, "row": 2.0 + number % 97 / 97}.get(arm.role, 1.5)
    return ArmResult(
        arm=arm,
        artifact=None if arm.variant is None else _artifact(arm),
        evaluation=None if arm.role == "reference_twin" else _evaluation(number % 7, num_samples),
        timings=tuple(_timing(arm, cell, reference, speed) for cell in plan.cells),
    )


def _artifact(arm: Arm) -> Artifact:
    nodes = NodeCounts(total=48, matched=0, excluded=0, quantized=36, left=12)
    return Artifact(
        key="0" * 32, num_bytes=66_000_000, sha256="0" * 64, graph_digest=arm.id, opset=17,
        seconds=1.0, nodes={"MatMul": nodes}, executed_nodes={"99": {"MatMulIntegerToFloat": 36}},
    )  # fmt: skip


def _evaluation(worse: int, count: int) -> Evaluation:
    scores = tuple(0.0 if place % 5 == 0 or place < worse else 1.0 for place in range(count))
    value = 100 * sum(scores) / count
    return Evaluation(
        num_samples=count,
        metrics={"exact_match": value, "f1": value},
        sample_ids=tuple(map(str, range(count))),
        clusters=tuple(str(place // 4) for place in range(count)),
        predictions=tuple(Prediction(answer=f"words {score}") for score in scores),
        per_sample={"exact_match": scores, "f1": scores},
        seconds=1.0,
    )


def _timing(arm: Arm, cell: Cell, reference: str, speed: float) -> Timing:
    base = 4e7 * cell.batch_size * (cell.input_length or 1) / 32 / speed
    positions = (0, 9) if arm.role == "reference" else (3,)
    blocks = tuple(
        Block(
            process_set=number // ROUNDS_PER_SET,
            round=number,
            position=position,
            samples_ns=tuple(
                round(base * (1 + 0.01 * ((number * 7 + place * 3 + position) % 5)))
                for place in range(FORWARDS)
            ),
        )
        for number in range(SETS * ROUNDS_PER_SET)
        for position in positions
    )
    process = ArmProcess(num_threads=2, affinity=(0, 1), peak_rss_bytes=10**9, warmup_runs=5)
    return Timing(
        cell=cell, session="session", reference_id=reference, blocks=blocks,
        processes=(process,) * SETS, stopped="precise",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
