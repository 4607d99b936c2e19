"""A timing session on a simulated machine: when it goes on, with which arms, and when it ends."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from quantbench.core import stats
from quantbench.core.config import TimeBenchmarkArgs
from quantbench.core.plan import Cell
from quantbench.core.results import Timing, TimingFailed
from quantbench.protocols import SessionOptions
from quantbench.stages.arm_processes import ArmFailedError, ArmSpec, Conditions
from quantbench.stages.time import Comparison, time_cell

CELL = Cell(batch_size=1, input_length=32)
OPTIONS = SessionOptions(num_threads=1, optimization_level=99)
BLOCK_S, START_S = 0.3, 2.0


@dataclass
class Machine:
    """A machine with a clock of its own, on which each process has an offset for its life.

    `true_ms` by arm; `offset` and `noise` are standard deviations of logs, by arm; `dies` names
    an arm and the process set in which its process ends.
    """

    true_ms: Mapping[str, float]
    offset: Mapping[str, float] = field(default_factory=dict[str, float])
    noise: float = 0.002
    dies: tuple[str, int] | None = None
    now_s: float = 0.0
    random: random.Random = field(default_factory=lambda: random.Random(1))
    sets: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    open_sets: int = 0

    def clock(self) -> float:
        return self.now_s

    def start(
        self, arms: Sequence[ArmSpec], _: Conditions, tell: Callable[[str], None]
    ) -> SimulatedSet:
        self.now_s += START_S
        self.open_sets += 1
        names = tuple(arm.id for arm in arms)
        self.sets.append(names)
        own = {name: self.random.gauss(0, self.offset.get(name, 0.002)) for name in names}
        return SimulatedSet(self, len(self.sets) - 1, own)


@dataclass
class SimulatedSet:
    machine: Machine
    number: int
    offsets: Mapping[str, float]
    failed: dict[str, ArmFailedError] = field(default_factory=dict[str, ArmFailedError])

    def block(self, arm_id: str) -> dict[str, Any]:
        if self.machine.dies == (arm_id, self.number):
            raise ArmFailedError("was killed by SIGKILL (out of memory?)", "its last words")
        self.machine.now_s += BLOCK_S
        log = math.log(self.machine.true_ms[arm_id]) + self.offsets[arm_id]
        log += self.machine.random.gauss(0, self.machine.noise)
        return {"samples_ns": [round(math.exp(log) * 1e6)] * 5}

    def describe(self, arm_id: str) -> dict[str, Any]:
        facts = {"num_threads": 1, "affinity": None, "peak_rss_bytes": None, "warmup_runs": 5}
        return {**facts, "peak_rss_bytes": 1000 + self.number}

    def close(self) -> None:
        self.machine.open_sets -= 1


BASE = {"reference": 10.0, "original": 40.0, "twin": 10.0}


def specs(*rows: str) -> tuple[ArmSpec, ...]:
    base = [ArmSpec(name, "onnxruntime", Path(name), OPTIONS) for name in BASE]
    compared = ("original", "reference", "twin")
    return (*base, *(ArmSpec(row, "onnxruntime", Path(row), OPTIONS, compared) for row in rows))


def session(
    machine: Machine, tmp_path: Path, *rows: str, duration: float = 30.0
) -> dict[str, Timing | TimingFailed]:
    found = time_cell(
        Comparison(CELL, specs(*rows), "reference"),
        {},
        TimeBenchmarkArgs(duration=duration, precision=0.03),
        None,
        0,
        lambda *_: None,
        scratch=tmp_path,
        clock=machine.clock,
        start=machine.start,
    )
    assert machine.open_sets == 0
    return found


def sets_of(timing: Timing | TimingFailed) -> set[int]:
    assert isinstance(timing, Timing), timing
    return {block.process_set for block in timing.blocks}


def test_a_session_has_several_sets_of_fresh_processes(tmp_path: Path) -> None:
    machine = Machine({**BASE, "row": 8.0})
    found = session(machine, tmp_path, "row")
    assert len(machine.sets) == stats.LOOKS[0]
    for timing in found.values():
        assert isinstance(timing, Timing)
        assert timing.stopped == "precise"
        assert [item.peak_rss_bytes for item in timing.processes] == [1000, 1001, 1002, 1003]


def test_rounds_count_through_the_session(tmp_path: Path) -> None:
    found = session(Machine({**BASE, "row": 8.0}), tmp_path, "row")["row"]
    assert isinstance(found, Timing)
    rounds = [block.round for block in found.blocks]
    assert rounds == list(range(len(rounds)))
    assert len(rounds) > len(sets_of(found))


def test_an_arm_that_is_settled_takes_no_more_time(tmp_path: Path) -> None:
    machine = Machine({**BASE, "steady": 8.0, "shaky": 8.0}, offset={"shaky": 0.03})
    found = session(machine, tmp_path, "steady", "shaky", duration=60.0)
    assert len(sets_of(found["steady"])) == stats.LOOKS[0]
    assert len(sets_of(found["shaky"])) > stats.LOOKS[0]
    assert all("steady" not in names for names in machine.sets[stats.LOOKS[0] :])
    assert all({"original", "reference", "twin"} <= set(names) for names in machine.sets)


def test_what_cannot_be_known_in_the_budget_is_not_looped_on(tmp_path: Path) -> None:
    machine = Machine({**BASE, "row": 8.0}, offset={"row": 0.5})
    found = session(machine, tmp_path, "row", duration=15.0)["row"]
    assert isinstance(found, Timing)
    assert found.stopped == "budget"
    assert machine.now_s <= 4 * 15.0 + START_S + 5 * 6 * BLOCK_S


def test_no_more_sets_than_the_last_look(tmp_path: Path) -> None:
    machine = Machine({**BASE, "row": 8.0}, offset={"row": 0.5})
    session(machine, tmp_path, "row", duration=10_000.0)
    assert len(machine.sets) == stats.LOOKS[-1]


def test_a_budget_below_four_sets_still_measures_once(tmp_path: Path) -> None:
    machine = Machine({**BASE, "row": 8.0})
    found = session(machine, tmp_path, "row", duration=0.01)["row"]
    assert len(sets_of(found)) == 1


def test_slow_starts_do_not_keep_a_session_from_its_first_interval(tmp_path: Path) -> None:
    """4 arms x 2 s hold 5 rounds of 1.5 s; four starts take as long again."""
    machine = Machine({**BASE, "row": 8.0}, offset={"row": 0.5})
    found = session(machine, tmp_path, "row", duration=2.0)["row"]
    assert len(sets_of(found)) == stats.LOOKS[0]


def test_an_arm_that_dies_in_a_later_set_fails_alone(tmp_path: Path) -> None:
    machine = Machine({**BASE, "row": 8.0, "other": 9.0}, dies=("other", 2))
    found = session(machine, tmp_path, "row", "other")
    other = found["other"]
    assert isinstance(other, TimingFailed)
    assert "SIGKILL" in other.error
    assert other.log == "its last words"
    assert len(sets_of(found["row"])) == stats.LOOKS[0]
    assert "other" not in machine.sets[3]


def test_without_the_reference_a_session_ends(tmp_path: Path) -> None:
    machine = Machine({**BASE, "row": 8.0}, dies=("reference", 1))
    found = session(machine, tmp_path, "row")
    assert isinstance(found["reference"], TimingFailed)
    assert len(machine.sets) == 2


def test_the_ratio_is_found_though_processes_differ(tmp_path: Path) -> None:
    offset = {"original": 0.01, "reference": 0.01, "row": 0.01}
    machine = Machine({**BASE, "row": 8.0}, offset=offset)
    found = session(machine, tmp_path, "row", duration=60.0)
    reference, row, original = found["reference"], found["row"], found["original"]
    assert isinstance(reference, Timing)
    assert isinstance(row, Timing)
    assert isinstance(original, Timing)
    logs = stats.subtract_rounds(
        stats.ratio_per_round(original.blocks, reference.blocks),
        stats.ratio_per_round(row.blocks, reference.blocks),
    )
    low, high = stats.ratio_interval(logs) or (0.0, 0.0)
    assert low < 5.0 < high
    assert stats.ratio_estimate(logs) == pytest.approx(5.0, rel=0.03)
