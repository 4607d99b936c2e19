"""Peak memory of calibration: all methods, 16, 128 and 512 samples of mixed lengths to 384.

The model is DistilBERT-base with random weights, exported at opset 11; the ranges of the inputs
and outputs of all Add and MatMul are found. Each calibration runs in a process of its own. "The
model's own" is that process's memory while the exported file is open and has run once at length
384, as any use of the model needs; what its peak is above that is the calibration's.

    python benchmarks/calibration_memory.py [--methods minmax entropy] [--work DIR] [--small]

Prints a Markdown table, and writes it to the file that `--out` names. Ends with an error if a
calibration takes more than 1.5 GiB, or more with more samples.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from quantbench import environment
from quantbench.core.calibration import METHOD_DEFAULTS, Calibration
from quantbench.protocols import Inputs

MAX_LENGTH = 384
SHORTEST = 30
OPSET = 11
VOCABULARY_SIZE = 30522
OPERATORS = ("Add", "MatMul")
COUNTS = (16, 128, 512)
LARGEST_GIB = 1.5
# From the fewest to the most samples: less than one sample's activations, which are 100 times that.
STEEPEST_MIB_PER_SAMPLE = 0.5
MIB = 2**20


def samples(count: int) -> Iterator[Inputs]:
    """Random tokens; the first sample is short and the last one has the full length."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(SHORTEST, MAX_LENGTH + 1, count)
    lengths[0], lengths[-1] = SHORTEST, MAX_LENGTH
    for length in lengths:
        yield {
            "input_ids": rng.integers(0, VOCABULARY_SIZE, (1, int(length))),
            "attention_mask": np.ones((1, int(length)), dtype=np.int64),
        }


def make_model(directory: Path, *, small: bool) -> Path:
    """The exported file, made if it is not there."""
    import torch
    import transformers

    from quantbench.stages.export import export_onnx

    path = directory / "model.onnx"
    if path.exists():
        return path
    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    sizes = {"dim": 48, "hidden_dim": 192, "n_layers": 2, "n_heads": 4} if small else {}
    config = transformers.DistilBertConfig(vocab_size=VOCABULARY_SIZE, **sizes)
    transformers.DistilBertForQuestionAnswering(config).save_pretrained(directory)
    checked = list(samples(2))
    export_onnx(directory, "AutoModelForQuestionAnswering", OPSET, checked, path)
    return path


def measure(model: Path, method: str, count: int) -> dict[str, Any]:
    """Calibrate in this process, and say what it took."""
    import onnxruntime

    from quantbench.stages.calibrate import collect_ranges

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    *_, longest = samples(2)
    session.run(None, dict(longest))
    own = _status_bytes("VmRSS")
    del session
    started = time.perf_counter()
    facts = collect_ranges(
        model,
        samples(count),
        OPERATORS,
        Calibration.model_validate({"method": method, "num_calibration_samples": count}),
        model.parent / f"ranges-{method}-{count}.json",
    )
    return {
        "method": method,
        "samples": count,
        "tensors": facts.num_tensors,
        "seconds": time.perf_counter() - started,
        "own_bytes": own,
        "peak_bytes": _status_bytes("VmHWM"),
    }


def _status_bytes(field: str) -> int:
    """Of this process: unlike getrusage, without what its parent had before it started."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def as_markdown(measured: list[dict[str, Any]]) -> str:
    """One line per calibration; the slope is that from the one before with the same method."""
    lines = [
        "| method | samples | tensors | the model's own, MiB | on top, MiB | slope, MiB/sample |",
        "|---|---|---|---|---|---|",
    ]
    by_method: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in measured:
        on_top = _on_top_mib(one)
        before = by_method[one["method"]][-1:]
        slope = "".join(
            f"{(on_top - _on_top_mib(last)) / (one['samples'] - last['samples']):.2f}"
            for last in before
        )
        lines.append(
            f"| {one['method']} | {one['samples']} | {one['tensors']} "
            f"| {one['own_bytes'] / MIB:,.0f} | {on_top:,.0f} | {slope} |"
        )
        by_method[one["method"]].append(one)
    return "\n".join(lines)


def _on_top_mib(one: dict[str, Any]) -> float:
    return float(one["peak_bytes"] - one["own_bytes"]) / MIB


def main() -> None:
    """Measure each calibration in a process of its own."""
    parser = argparse.ArgumentParser(description="Peak memory of calibration.")
    parser.add_argument("--work", type=Path, default=Path("runs/calibration-memory"))
    parser.add_argument("--out", type=Path, help="a Markdown file to write")
    parser.add_argument("--methods", nargs="+", choices=METHOD_DEFAULTS, default=METHOD_DEFAULTS)
    parser.add_argument("--small", action="store_true", help="a tiny model: a test of the script")
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "SAMPLES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    model = arguments.work / ("small" if arguments.small else "base") / "model.onnx"
    if arguments.one is not None:
        method, count = arguments.one
        print(json.dumps(measure(model, method, int(count))))
        return
    make_model(model.parent, small=arguments.small)
    wanted = [(method, count) for count in COUNTS for method in arguments.methods]
    measured: list[dict[str, Any]] = []
    for method, count in wanted:
        command = [sys.executable, __file__, "--work", str(arguments.work)]
        command += ["--small"] if arguments.small else []
        answer = subprocess.run(
            [*command, "--one", method, str(count)],
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        measured.append(json.loads(answer.stdout.splitlines()[-1]))
        one = measured[-1]
        print(
            f"{method} {count}: {_on_top_mib(one):,.0f} MiB, {one['seconds']:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    order = list(METHOD_DEFAULTS)
    measured.sort(key=lambda one: (order.index(one["method"]), one["samples"]))
    table = as_markdown(measured)
    print(table)
    if arguments.out is not None:
        head = f"# Peak memory of calibration\n\n{(__doc__ or '').split(chr(10) * 2)[1]}\n\n"
        cpu = f"Measured on {environment.read_cpu().model}.\n\n"
        arguments.out.write_text(f"{head}{cpu}{table}\n", encoding="utf-8")
    largest = max(_on_top_mib(one) for one in measured)
    if largest > LARGEST_GIB * 1024:
        sys.exit(f"{largest:,.0f} MiB over the model's own: the goal is {LARGEST_GIB} GiB")
    for method in arguments.methods:
        few, *_, many = (one for one in measured if one["method"] == method)
        slope = (_on_top_mib(many) - _on_top_mib(few)) / (many["samples"] - few["samples"])
        if slope > STEEPEST_MIB_PER_SAMPLE:
            sys.exit(f"{method}: {slope:.2f} MiB more for each sample: memory is to be flat")


if __name__ == "__main__":
    main()
