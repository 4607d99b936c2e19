"""Do the intervals of times mean what they say? Sessions on a simulated machine that drifts.

Run: python benchmarks/coverage.py [--sessions 2000]

The machine has two states that last a minute or two, drifts in between, has disturbed stretches,
and gives each fresh process an offset for its life. The session is the real one
(`stages.time.time_cell`) with simulated processes and a simulated clock. Printed for each spread of
offsets: how often the 95 % interval of a speed-up covers the true one, how often two copies of one
file are called different (A/A), the share of sessions that reached the precision, the process sets
that they took, and by how much the ratios of the first eight sessions differ.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantbench.analysis.timing import noise
from quantbench.core import stats
from quantbench.core.config import TimeBenchmarkArgs
from quantbench.core.plan import Cell
from quantbench.core.results import Timing
from quantbench.protocols import SessionOptions
from quantbench.stages.arm_processes import (
    BLOCK_LEAST_FORWARDS,
    BLOCK_LEAST_SECONDS,
    ArmFailedError,
    ArmSpec,
    Conditions,
    discarded_forwards,
)
from quantbench.stages.time import Comparison, time_cell

CELL = Cell(batch_size=1, input_length=32)
TRUE_MS = {"reference": 20.0, "original": 37.0, "twin": 20.0, "row": 8.0}
COMPARED = ("original", "reference", "twin")
OFFSETS = (0.005, 0.01, 0.02, 0.04)
SLOW_FACTOR = 1.35
STATE_LASTS_S = 90.0
DISTURBED_FACTOR = 1.6
DISTURBED_SHARE = 0.1
START_S = 8.0


@dataclass
class Machine:
    """Its clock, its state, and how far its speed has drifted (a random walk of logs)."""

    offset: float
    random: random.Random
    now_s: float = 0.0
    slow: bool = False
    drift: float = 0.0

    def clock(self) -> float:
        """Seconds since it was made."""
        return self.now_s

    def run(self, milliseconds: float) -> int:
        """One forward of a model that takes so long on the undisturbed machine, in nanoseconds."""
        level = SLOW_FACTOR if self.slow else 1.0
        took_ms = milliseconds * level * math.exp(self.drift + self.random.gauss(0, 0.02))
        self.now_s += took_ms / 1e3
        return round(took_ms * 1e6)

    def pass_time(self, seconds: float) -> None:
        """Nothing runs for so many seconds."""
        self.now_s += seconds
        self.change(seconds)

    def change(self, seconds: float) -> None:
        """Let the state change and the speed drift, as they do in so many seconds."""
        if self.random.random() < 1 - math.exp(-seconds / STATE_LASTS_S):
            self.slow = not self.slow
        self.drift += self.random.gauss(0, 0.005 * math.sqrt(seconds))

    def start(
        self, arms: Sequence[ArmSpec], _: Conditions, tell: Callable[[str], None]
    ) -> Processes:
        """A set of fresh processes, each with an offset of its own."""
        self.pass_time(START_S)
        return Processes(self, {arm.id: self.random.gauss(0, self.offset) for arm in arms})


@dataclass
class Processes:
    """Simulated processes; see `stages.arm_processes.ProcessSet`."""

    machine: Machine
    offsets: Mapping[str, float]
    failed: dict[str, ArmFailedError] = field(default_factory=dict[str, ArmFailedError])

    def block(self, arm_id: str) -> dict[str, Any]:
        """A block as long as those of real processes, and what they do not count before it."""
        machine, began = self.machine, self.machine.now_s
        disturbed = machine.random.random() < DISTURBED_SHARE
        factor = (DISTURBED_FACTOR if disturbed else 1.0) * math.exp(self.offsets[arm_id])
        milliseconds = TRUE_MS[arm_id] * factor
        for _ in range(discarded_forwards(milliseconds / 1e3)):
            machine.run(milliseconds)
        end, samples = machine.now_s + BLOCK_LEAST_SECONDS, list[int]()
        while len(samples) < BLOCK_LEAST_FORWARDS or machine.now_s < end:
            samples.append(machine.run(milliseconds))
        machine.change(machine.now_s - began)
        return {"samples_ns": samples}

    def describe(self, _: str) -> dict[str, Any]:
        """Nothing of interest."""
        return {"num_threads": 2, "affinity": None, "peak_rss_bytes": None, "warmup_runs": 5}

    def close(self) -> None:
        """There is nothing to end."""


@dataclass(frozen=True)
class Outcome:
    """One session."""

    covered: bool
    false_alarm: bool
    resolved: bool
    num_sets: int
    ratio: float


def session(offset: float, seed: int, duration: float, scratch: Path) -> Outcome:
    """Time the four arms once on a fresh machine."""
    machine = Machine(offset, random.Random(seed))  # noqa: S311 - a simulation
    options = SessionOptions(num_threads=2, optimization_level=99)
    arms = tuple(
        ArmSpec(name, "onnxruntime", Path(name), options, COMPARED if name == "row" else ())
        for name in TRUE_MS
    )
    found = time_cell(
        Comparison(CELL, arms, "reference"),
        {},
        TimeBenchmarkArgs(duration=duration),
        None,
        seed,
        lambda *_: None,
        scratch=scratch,
        clock=machine.clock,
        start=machine.start,
    )
    timings = {name: timing for name, timing in found.items() if isinstance(timing, Timing)}
    reference = timings["reference"].blocks
    logs = stats.subtract_rounds(
        stats.ratio_per_round(timings["original"].blocks, reference),
        stats.ratio_per_round(timings["row"].blocks, reference),
    )
    interval, ratio = stats.ratio_interval(logs), stats.ratio_estimate(logs)
    floor = noise(CELL, timings["reference"], timings["twin"])
    if interval is None or ratio is None or floor is None:
        raise RuntimeError("a session gave no interval: give it a longer --duration")
    return Outcome(
        covered=interval[0] <= TRUE_MS["original"] / TRUE_MS["row"] <= interval[1],
        false_alarm=floor.invalid,
        resolved=timings["row"].stopped == "precise",
        num_sets=len(timings["row"].processes),
        ratio=ratio,
    )


def main() -> int:
    """Print the table; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--sessions", type=int, default=2000, help="for each spread (2000)")
    parser.add_argument("--duration", type=float, default=30.0, help="seconds per arm (30)")
    arguments = parser.parse_args()
    print(
        "| offset of a process | covers | A/A alarms | resolved | process sets | ratio, max ÷ min |"
    )
    print("|---|---|---|---|---|---|")
    met = True
    with tempfile.TemporaryDirectory() as scratch:
        for offset in OFFSETS:
            found = [
                session(offset, seed, arguments.duration, Path(scratch))
                for seed in range(arguments.sessions)
            ]
            covered, alarms, resolved, sets = (
                sum(values) / len(found)
                for values in (
                    [item.covered for item in found],
                    [item.false_alarm for item in found],
                    [item.resolved for item in found],
                    [item.num_sets for item in found],
                )
            )
            ratios = [item.ratio for item in found[:8]]
            print(
                f"| {offset:.1%} | {covered:.1%} | {alarms:.1%} | {resolved:.0%} | {sets:.1f} "
                f"| {max(ratios) / min(ratios):.3f} |"
            )
            met = met and covered >= 0.93 and alarms <= 0.05
    print(f"\nGoals: covers >= 93 %, A/A alarms <= 5 %: {'met' if met else 'missed'}.")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
