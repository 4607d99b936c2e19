"""Time: all arms of one cell, interleaved in rounds, in several sets of fresh processes.

What is compared is measured at the same time: in a round every arm runs one block, in shuffled
order, with the reference first and last. Only one arm runs at a time; the others are stopped.
A fresh process of the same arm is a few percent faster or slower for as long as it lives: so a
session has several process sets, and arms whose ratios are known are left out of later ones.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np

from quantbench.core import session_plan, stats
from quantbench.core.config import TimeBenchmarkArgs
from quantbench.core.plan import Cell
from quantbench.core.results import ArmProcess, Block, Timing, TimingFailed
from quantbench.protocols import Inputs
from quantbench.stages.arm_processes import (
    ArmFailedError,
    ArmSpec,
    Conditions,
    ProcessSet,
    StartSet,
)

# The same for all users and shells of a machine: TMPDIR does not move it.
LOCK = Path("/tmp/quantbench-timing.lock")  # noqa: S108

OnProgress = Callable[[float, str], None]


@dataclass(frozen=True)
class Comparison:
    """What is timed together: all arms in one cell.

    `reference_id` is the arm that runs first and last in each round.
    """

    cell: Cell
    arms: tuple[ArmSpec, ...]
    reference_id: str


@dataclass
class _Measured:
    """What is known of an arm so far, over all process sets."""

    spec: ArmSpec
    blocks: list[Block] = field(default_factory=list[Block])
    processes: list[ArmProcess] = field(default_factory=list[ArmProcess])
    failure: TimingFailed | None = None
    settled: bool = False


@dataclass
class _Budget:
    """The seconds of a session, and what of them is spent.

    Until the first look only rounds count, so that there are sets enough for an interval however
    long starting takes; afterwards everything does.
    """

    total_s: float
    precision: float
    clock: Callable[[], float]
    started: float
    running_s: float = 0.0
    set_began: float = 0.0
    set_running_s: float = 0.0
    set_rounds: int = 0
    set_start_s: float = 0.0

    def begin_set(self) -> None:
        self.set_began, self.set_running_s, self.set_rounds = self.clock(), 0.0, 0

    def add_round(self, began: float) -> None:
        if not self.set_rounds:
            self.set_start_s = began - self.set_began
        seconds = self.clock() - began
        self.running_s += seconds
        self.set_running_s += seconds
        self.set_rounds += 1

    @property
    def round_s(self) -> float:
        return max(self.set_running_s / self.set_rounds, 1e-9)

    def rounds_per_set(self, noise: float) -> int:
        return session_plan.rounds_per_set(
            self.set_start_s, self.round_s, noise, self.precision, self.total_s
        )

    def has_room_for_a_round(self) -> bool:
        return self.running_s + self.round_s <= self.total_s

    def has_room_for_a_set(self, num_sets: int, num_rounds: int) -> bool:
        if num_sets < stats.LOOKS[0]:
            return self.has_room_for_a_round()
        elapsed_s = self.clock() - self.started
        return elapsed_s + self.set_start_s + num_rounds * self.round_s <= self.total_s


def time_cell(
    comparison: Comparison,
    inputs: Inputs,
    args: TimeBenchmarkArgs,
    affinity: Sequence[int] | None,
    seed: int,
    on_progress: OnProgress,
    scratch: Path,
    start: StartSet,
    clock: Callable[[], float] = time.monotonic,
    keep: Callable[[dict[str, Timing | TimingFailed]], None] = lambda _: None,
) -> dict[str, Timing | TimingFailed]:
    """Time all arms in one cell.

    A process set has a few rounds; how many follows from the noise of the first. After 4, 6, 9, 13,
    19 and 28 sets it is looked which arms' ratios to what they are compared with are known to
    `args.precision`: those are left out of the sets that follow. The session ends when none is
    left, or when what is to come would pass the budget of `args.duration` seconds for each arm.
    Whoever calls this holds the `machine_lock`.

    Args:
        comparison: the arms, and which of them is the reference.
        inputs: the arrays that every arm is given.
        args: duration, precision and warm-up.
        affinity: processors to bind every arm to, None to leave it to the system.
        seed: of the order within rounds.
        on_progress: called with the part of the budget that is spent (0-1), and a text.
        scratch: a folder for the arms' inputs.
        start: starts a process set, an `ArmStarter` for example.
        clock: seconds.
        keep: called after each process set with what is known by then: all there is where the
            session is interrupted.

    Returns:
        By arm id, raw times or why there are none.
    """
    file = scratch / "inputs.npz"
    np.savez(file, allow_pickle=False, **inputs)
    cores = len(affinity) if affinity else os.cpu_count() or 1
    conditions = Conditions(file, affinity, args.warmup_runs, cores)
    measured = {arm.id: _Measured(arm) for arm in comparison.arms}
    budget = _Budget(args.duration * len(measured), args.precision, clock, clock())
    shuffle = random.Random(seed)  # noqa: S311 - an order, not a secret
    rounds_per_set, num_sets, num_rounds = 0, 0, 0
    # A name of its own for each session, so that blocks of two are never compared.
    session = uuid.uuid4().hex

    def tell(text: str) -> None:
        part = min(1.0, budget.running_s / budget.total_s)
        on_progress(part, f"process set {num_sets + 1}: {text}{_width_text(measured, comparison)}")

    while True:
        wanted = _wanted(measured, comparison)
        if comparison.reference_id not in wanted or len(wanted) < 2:
            break
        specs = [measured[arm_id].spec for arm_id in wanted]
        budget.begin_set()
        with contextlib.closing(start(specs, conditions, tell)) as running:
            for arm_id, error in running.failed.items():
                _fail(measured[arm_id], error, comparison.cell)
            while True:
                began = clock()
                order = _order(measured, wanted, comparison, shuffle)
                for position, arm_id in enumerate(order):
                    block = {"process_set": num_sets, "round": num_rounds, "position": position}
                    _block(running, measured[arm_id], comparison.cell, block)
                budget.add_round(began)
                num_rounds += 1
                tell(f"round {budget.set_rounds}")
                if num_sets == 0:
                    rounds_per_set = budget.rounds_per_set(_noise(measured, comparison))
                if budget.set_rounds >= rounds_per_set or not budget.has_room_for_a_round():
                    break
            for arm_id in wanted:
                _describe(running, measured[arm_id], comparison.cell)
        num_sets += 1
        keep(_results(measured, comparison, session))
        if num_sets in stats.LOOKS:
            _settle(measured, comparison, args.precision)
        if num_sets == stats.LOOKS[-1] or not budget.has_room_for_a_set(num_sets, rounds_per_set):
            break
    return _results(measured, comparison, session)


def _results(
    measured: dict[str, _Measured], comparison: Comparison, session: str
) -> dict[str, Timing | TimingFailed]:
    compared = [arm for arm in measured.values() if arm.spec.compared_with]
    everything = all(arm.settled for arm in compared if arm.failure is None)
    return {
        arm_id: _result(arm, comparison, session, arm.settled or everything)
        for arm_id, arm in measured.items()
    }


def round_order(ids: Sequence[str], reference_id: str, shuffle: random.Random) -> list[str]:
    """The order of one round: the reference, all others shuffled, the reference again."""
    others = [arm for arm in ids if arm != reference_id]
    shuffle.shuffle(others)
    return [reference_id, *others, reference_id]


@contextlib.contextmanager
def machine_lock(on_progress: OnProgress) -> Iterator[None]:
    """Hold the one lock of this machine under which anything is timed.

    It goes with the process, however that ends.
    """
    # Reading is enough to lock, so that users can share a file that one of them made.
    if not LOCK.exists():
        with contextlib.suppress(FileExistsError):
            os.close(os.open(LOCK, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644))
    handle = os.open(LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_progress(0.0, "waiting: another run is timing on this machine")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _wanted(measured: dict[str, _Measured], comparison: Comparison) -> list[str]:
    """The arms of the next set: what is not settled, what that is compared with, the reference."""
    open_arms = [arm for arm in measured.values() if arm.spec.compared_with and not arm.settled]
    open_arms = [arm for arm in open_arms if arm.failure is None]
    names = {comparison.reference_id}
    for arm in open_arms:
        names |= {arm.spec.id, *arm.spec.compared_with}
    return [arm_id for arm_id in measured if arm_id in names and measured[arm_id].failure is None]


def _order(
    measured: dict[str, _Measured],
    wanted: Sequence[str],
    comparison: Comparison,
    shuffle: random.Random,
) -> list[str]:
    alive = [arm_id for arm_id in wanted if measured[arm_id].failure is None]
    if comparison.reference_id not in alive:
        return []
    return round_order(alive, comparison.reference_id, shuffle)


def _settle(measured: dict[str, _Measured], comparison: Comparison, precision: float) -> None:
    for arm in measured.values():
        widths = _widths(arm, measured, comparison)
        known = [width for width in widths if width is not None]
        if widths and len(known) == len(widths) and max(known) <= precision:
            arm.settled = True


def _widths(
    arm: _Measured, measured: dict[str, _Measured], comparison: Comparison
) -> list[float | None]:
    """Relative half-widths of an arm's ratios to each arm that it is compared with."""
    return [stats.relative_half_width(ratio) for ratio in _ratios(arm, measured, comparison)]


def _ratios(
    arm: _Measured, measured: dict[str, _Measured], comparison: Comparison
) -> list[dict[stats.Round, float]]:
    reference = measured[comparison.reference_id].blocks
    own = stats.ratio_per_round(arm.blocks, reference)
    others = [measured[name] for name in arm.spec.compared_with]
    return [
        stats.subtract_rounds(stats.ratio_per_round(other.blocks, reference), own)
        for other in others
        if other.failure is None
    ]


def _noise(measured: dict[str, _Measured], comparison: Comparison) -> float:
    """How much the ratios vary from round to round in the one set that there is so far."""
    ratios = [
        list(ratio.values())
        for arm in measured.values()
        if arm.failure is None
        for ratio in _ratios(arm, measured, comparison)
    ]
    return fmean([stats.spread(ratio) for ratio in ratios if len(ratio) > 1] or [0.0])


def _width_text(measured: dict[str, _Measured], comparison: Comparison) -> str:
    """The widest ratio so far, for the user; empty while none is known."""
    known = [
        width
        for arm in measured.values()
        if arm.failure is None
        for width in _widths(arm, measured, comparison)
        if width is not None
    ]
    return f", ±{100 * max(known):.1f} %" if known else ""


def _block(running: ProcessSet, arm: _Measured, cell: Cell, place: dict[str, int]) -> None:
    if arm.failure is not None:
        return
    try:
        answer = running.block(arm.spec.id)
    except ArmFailedError as error:
        _fail(arm, error, cell)
    else:
        arm.blocks.append(Block.model_validate(place | answer))


def _describe(running: ProcessSet, arm: _Measured, cell: Cell) -> None:
    if arm.failure is not None:
        return
    try:
        facts = running.describe(arm.spec.id)
    except ArmFailedError as error:
        _fail(arm, error, cell)
    else:
        arm.processes.append(ArmProcess.model_validate(facts))


def _fail(arm: _Measured, error: ArmFailedError, cell: Cell) -> None:
    arm.failure = TimingFailed(stage="time", error=str(error), log=error.log, cell=cell)


def _result(
    arm: _Measured, comparison: Comparison, session: str, precise: bool
) -> Timing | TimingFailed:
    if arm.failure is not None:
        return arm.failure
    if not arm.blocks:
        error = "the reference failed before this arm was timed"
        return TimingFailed(stage="time", error=error, cell=comparison.cell)
    return Timing(
        cell=comparison.cell,
        session=session,
        reference_id=comparison.reference_id,
        blocks=tuple(arm.blocks),
        processes=tuple(arm.processes),
        stopped="precise" if precise else "budget",
    )
