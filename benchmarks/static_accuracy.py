"""Static quantization on the bundled models: the scripts' way of 2022 beside what is better.

Per model four sweeps: `seeds` has the static rows of the published grids (int8 activations, minmax
ranges, the mask constant as it is, with and without exclusions, at optimization levels 1 and 99);
`better` clamps the mask, takes uint8 activations and one weight scale per channel, and tries each
calibration method; `smooth` adds SmoothQuant; `tried` has what could make static rows faster.
Dynamic MatMul is in each sweep: the last three share its time, as equal work is done once. Then
`explain` tells what is left of the loss, and where the time goes, for the worst and the best static
row, and a profile has the fastest static row, by the lower end of its interval, and dynamic MatMul
in turns.

    python benchmarks/static_accuracy.py [--quick] [--runs runs/static-accuracy]

Writes `benchmarks/results/static_accuracy.md` (a quick run: below its runs), or what `--out` names.
Ends with an error if a row has no numbers, or if all better rows of a model are below its worst
seed row.
"""

from __future__ import annotations

import argparse
import importlib.resources
import io
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from quantbench import registry
from quantbench.analysis.explain import why
from quantbench.analysis.to_explain import explain_unit
from quantbench.core.explanation import OperatorTime
from quantbench.core.results import Environment
from quantbench.core.summary import Ratio, RowSummary, SweepSummary
from quantbench.explaining import explain_row
from quantbench.progress import Watcher
from quantbench.reports import markdown
from quantbench.reports.explain import print_why
from quantbench.run_dir import load_run, locked, pinned, prepared_before
from quantbench.stages.profile import profile_models
from quantbench.store import artifact_folder, default_store
from quantbench.worker.opened import open_config
from swept import EXCLUSIONS, Swept, run, words

RESULT = Path(__file__).parent / "results" / "static_accuracy.md"
MODELS = ("questions", "digits")
EXPLAINED_SAMPLES = 64
MOST_OPERATORS = 14
LEVEL = "framework_args.optimization_level"

# What all sweeps have in common: one shape, short sessions.
COMMON = {
    "batch_sizes": [1],
    "calibration": {"num_calibration_samples": 100},
    "time_benchmark_args": {"duration": 4.0, "warmup_runs": 3},
}
QUICK = {"max_eval_samples": 40, "time_benchmark_args": {"duration": 0.2, "warmup_runs": 1}}
# Per channel needs opset 13; at 17 LayerNormalization is one node and stays in floats.
BETTER = {
    "framework_args": {"opset": 17, "optimization_level": 99},
    "activation_type": "uint8",
    "clamp_mask": True,
    "per_channel": True,
}
GRID = {
    "quantization_approach": ["dynamic", "static"],
    "operators_to_quantize": [["MatMul"], ["Add", "MatMul"]],
    "node_exclusion": [[], EXCLUSIONS],
}
# The demo's config is updated with one of these; `benchmarked` is replaced.
SWEEPS: dict[str, dict[str, Any]] = {
    "seeds": {
        "framework_args": {"opset": 11},
        "activation_type": "int8",
        "clamp_mask": False,
        "per_channel": False,
        "benchmarked": {**GRID, LEVEL: [1, 99]},
    },
    "better": BETTER
    | {"benchmarked": {**GRID, "calibration.method": ["minmax", "percentile", "entropy"]}},
    "smooth": BETTER
    | {
        "benchmarked": {
            "quantization_approach": ["dynamic", "static"],
            "smooth_quant_alpha": [0.5, 0.75],
            "calibration.method": ["minmax", "percentile"],
        },
    },
    "tried": BETTER
    | {
        "benchmarked": {
            "quantization_approach": ["dynamic", "static"],
            "quant_format": ["QDQ", "QOperator"],
            "quantize_activation_matmul": [False, True],
            "framework_args.optimize_before_quantization": [False, True],
        },
    },
}


def main() -> None:
    """Run all sweeps, explain two rows of each model, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few samples, times that say little")
    parser.add_argument("--runs", type=Path, default=Path("runs/static-accuracy"))
    parser.add_argument("--out", type=Path, help="the Markdown file to write")
    asked = parser.parse_args()
    runs = asked.runs / "quick" if asked.quick else asked.runs
    out: Path = asked.out or (runs / RESULT.name if asked.quick else RESULT)
    blocks = ["# Static quantization on the bundled models"]
    problems: list[str] = []
    for model in MODELS:
        swept = [sweep(model, name, runs, quick=asked.quick) for name in SWEEPS]
        if model == MODELS[0]:
            blocks.append(_conditions(swept[0].environment, quick=asked.quick))
        rows = [(item, row) for item in swept for row in static_rows(item.summary)]
        problems += [_missing(item, row) for item, row in rows if row.status != "measured"]
        rows = [(item, row) for item, row in rows if row.status == "measured"]
        worst = min(rows, key=lambda pair: _points(pair[1]))
        best = max(rows, key=lambda pair: _points(pair[1]))
        fastest = max(rows, key=lambda pair: _speed(pair[1]))
        seeds = [row for item, row in rows if item.name == "seeds"]
        better = [row for item, row in rows if item.name != "seeds"]
        if max(map(_points, better)) < min(map(_points, seeds)):
            problems.append(f"{model}: all better rows are below the worst row of the seeds")
        blocks += [f"## bundled:{model}", _table(swept)]
        for title, (item, row) in (("worst", worst), ("best", best)):
            blocks += [
                f"### The {title} static row: {item.name}, row {row.number}",
                markdown.fence(explained(item, row), "text"),
            ]
        item, row = fastest
        blocks += [
            f"### Where the time goes: {item.name}, row {row.number}, beside dynamic MatMul",
            profiled(item, row),
        ]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    print(out.read_text(encoding="utf-8"))
    if problems:
        sys.exit("\n".join(problems))


def sweep(model: str, name: str, runs: Path, *, quick: bool) -> Swept:
    """Run a sweep, or go on with it."""
    demo = importlib.resources.files("quantbench.demo") / f"demo-{model}.yaml"
    config: dict[str, Any] = yaml.safe_load(demo.read_text()) | COMMON | SWEEPS[name]
    config |= {"input_lengths": [128]} if model == "questions" else {}
    config |= QUICK if quick else {}
    return run(name, config, runs / f"{model}-{name}")


def explained(found: Swept, row: RowSummary) -> str:
    """What `quantbench explain` says of a row."""
    result = load_run(found.folder, registry.catalog())
    with locked(found.folder), Watcher("explain", sys.stderr, quiet=True) as watcher:
        facts = explain_row(found.folder, result, row, EXPLAINED_SAMPLES, watcher)
    stream = io.StringIO()
    print_why(why(facts), stream)
    return stream.getvalue()


def profiled(found: Swept, row: RowSummary) -> str:
    """ONNX Runtime's profile of a static row, the dynamic row of its level, and the float file."""
    result = load_run(found.folder, registry.catalog())
    prepared = prepared_before(found.folder)
    assert prepared is not None
    config = pinned(result.config, prepared)
    dynamic = dynamic_rows(found.summary)[row.parameters.get(LEVEL)]
    units = [explain_unit(result, config, item, 1) for item in (dynamic, row)]
    task = open_config(units[0].config.model_dump_json()).task
    cell, level, threads = units[0].cell, units[0].arm.optimization_level, units[0].num_threads
    assert level is not None
    inputs = task.dummy_inputs(cell.batch_size, cell.input_length, np.random.default_rng(0))
    keys = (units[0].float_key, *(unit.artifact_key for unit in units))
    files = [artifact_folder(default_store(), key) / "model.onnx" for key in keys]
    with tempfile.TemporaryDirectory() as folder:
        times = profile_models(files, inputs, level, threads, Path(folder))
    by_type = [{item.op_type: item for item in time.operators} for time in times]
    names = list(dict.fromkeys(item.op_type for time in times for item in time.operators))
    names.sort(key=lambda name: -max(_operator_us(each, name) for each in by_type))
    lines = [
        [name]
        + [str(each[name].num_nodes) if name in each else "0" for each in by_type]
        + [f"{_operator_us(each, name):,.0f}" for each in by_type]
        for name in names[:MOST_OPERATORS]
    ]
    sums = [f"{sum(item.microseconds for item in time.operators):,.0f}" for time in times]
    wholes = [f"{time.microseconds:,.0f}" for time in times]
    head = ["operator"]
    head += [
        f"{what}, {name}" for what in ("nodes", "µs") for name in ("fp32", "dynamic", "static")
    ]
    blank = ["", "", ""]
    lines += [["all operators", *blank, *sums], ["a forward, not profiled", *blank, *wholes]]
    return f"Static: {words(row)}. At {cell.name}, level {level}.\n\n" + markdown.table(head, lines)


def static_rows(summary: SweepSummary) -> list[RowSummary]:
    """The static rows, those that share a file left out."""
    rows = (row for row in summary.rows if row.shares_with is None)
    return [row for row in rows if row.parameters["quantization_approach"] == "static"]


def dynamic_rows(summary: SweepSummary) -> dict[object, RowSummary]:
    """By optimization level, the dynamic MatMul row that static ones are compared with.

    Raises:
        SystemExit: it has not all of its numbers.
    """
    found: dict[object, RowSummary] = {}
    for row in summary.rows:
        if row.parameters["quantization_approach"] == "dynamic" and row.shares_with is None:
            if row.status != "measured":
                sys.exit(f"the dynamic row {row.number} is {row.status}: nothing to compare with")
            found.setdefault(row.parameters.get(LEVEL), row)
    return found


def _table(swept: Sequence[Swept]) -> str:
    """Every static row of a model's sweeps, and the dynamic rows of each."""
    rows: list[list[str]] = []
    for item in swept:
        dynamic = dynamic_rows(item.summary)
        static = [row for row in static_rows(item.summary) if row.status == "measured"]
        for row in (*dynamic.values(), *static):
            beside = dynamic[row.parameters.get(LEVEL)]
            rows.append([item.name, str(row.number), words(row), *_numbers(row, beside)])
    names = swept[0].summary.metric_names
    drops = [text for name in names for text in (name, "drop [95 %]")]
    head = ["sweep", "row", "what", *drops, "÷ ORT fp32 [95 %]", "÷ dynamic"]
    return markdown.table(head, rows)


def _numbers(row: RowSummary, dynamic: RowSummary) -> list[str]:
    assert row.arm is not None
    assert dynamic.arm is not None
    texts: list[str] = []
    for metric in row.arm.metrics:
        bounds = "" if metric.low is None else f" [{metric.low:.1f}, {metric.high:.1f}]"
        texts += [f"{metric.optimized:.3f}", f"{metric.drop:.1f}{bounds}"]
    own, other = (arm.cells[0].quantization_speedup for arm in (row.arm, dynamic.arm))
    beside = "–" if own is None or other is None else f"{own.value / other.value:.2f}"
    return [*texts, _ratio(own), beside]


def _ratio(found: Ratio | None) -> str:
    if found is None:
        return "–"
    return f"{found.value:.2f}" + (f" [{found.low:.2f}, {found.high:.2f}]" if found.low else "")


def _points(row: RowSummary) -> float:
    """The mean of all metrics, lost points below zero."""
    assert row.arm is not None
    return -statistics.mean(metric.drop for metric in row.arm.metrics)


def _operator_us(times: Mapping[str, OperatorTime], name: str) -> float:
    return times[name].microseconds if name in times else 0.0


def _speed(row: RowSummary) -> float:
    """Over the float export, at any level: the lower end of the interval."""
    assert row.arm is not None
    (cell,) = row.arm.cells
    found = cell.quantization_speedup
    return 0.0 if found is None or found.low is None else found.low


def _missing(found: Swept, row: RowSummary) -> str:
    errors = [item.error for item in (row.arm.failures if row.arm else ())]
    return f"{found.folder.name} row {row.number}: {row.status}: {row.refused or errors}"


def _conditions(found: Environment | None, *, quick: bool) -> str:
    assert found is not None
    kind = " **A quick run: too few samples and rounds for conclusions.**" if quick else ""
    return (
        f"Measured on {found.cpu.model}, {found.num_threads} threads, by "
        f"`python benchmarks/static_accuracy.py`.{kind} Drops are in points against PyTorch, "
        "positive is worse. `÷ ORT fp32` is the time of the float export over the row's, at the "
        "row's level; `÷ dynamic` is over that of dynamic MatMul at the same level, and worth as "
        "little as the wider of the two intervals: below 1 the static row is slower."
    )


if __name__ == "__main__":
    main()
