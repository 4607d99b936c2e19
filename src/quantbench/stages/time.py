"""Time: all arms of one cell, interleaved in rounds, one process each.

What is compared is measured at the same time: in a round every arm runs one block, in shuffled
order, with the reference first and last. Only one arm runs at a time; the others are stopped.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from quantbench.child import Child, ChildDiedError, Message
from quantbench.core import stats
from quantbench.core.config import TimeBenchmarkArgs
from quantbench.core.plan import Cell
from quantbench.core.results import ArmProcess, Block, Timing, TimingFailed
from quantbench.protocols import Inputs, SessionOptions

# One block: long enough that a process that was just woken has caught up, and with enough
# forwards that contention cannot leave it with none.
BLOCK_LEAST_SECONDS = 0.3
BLOCK_LEAST_FORWARDS = 5
BLOCK_DISCARDED_FORWARDS = 3

# An arm that has not answered by then hangs: no model takes as long for five forwards.
ANSWER_LIMIT_SECONDS = 1800.0

# The same for all users and shells of a machine: TMPDIR does not move it.
LOCK = Path("/tmp/quantbench-timing.lock")  # noqa: S108

ARM_MODULE = "quantbench.stages.arm"


@dataclass(frozen=True)
class ArmSpec:
    """What an arm's process is to open."""

    id: str
    framework: str
    path: Path
    options: SessionOptions


@dataclass(frozen=True)
class Comparison:
    """What is timed together: all arms in one cell.

    `reference_id` is the arm that runs first and last in each round, `original_id` the one that
    speed-ups are relative to.
    """

    cell: Cell
    arms: tuple[ArmSpec, ...]
    reference_id: str
    original_id: str


@dataclass
class _Running:
    """An arm with its process, while a cell is being timed."""

    spec: ArmSpec
    child: Child
    warmup_runs: int = 0
    blocks: list[Block] = field(default_factory=list[Block])
    failure: TimingFailed | None = None


def time_cell(
    comparison: Comparison,
    inputs: Inputs,
    args: TimeBenchmarkArgs,
    affinity: Sequence[int] | None,
    seed: int,
    on_progress: Callable[[float, str], None],
    scratch: Path,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Timing | TimingFailed]:
    """Time all arms in one cell.

    Rounds end when the ratios of every arm to the reference and to the original are known to
    `args.precision`, or when the next round would pass the budget of `args.duration` seconds for
    each arm. Whoever calls this holds the `machine_lock`.

    Args:
        comparison: the arms, and which of them the others are compared with.
        inputs: the arrays that every arm is given.
        args: duration, precision and warm-up.
        affinity: processors to bind every arm to, None to leave it to the system.
        seed: of the order within rounds.
        on_progress: called with the part of the budget that is spent (0-1), and a text.
        scratch: a folder for the arms' inputs.
        clock: seconds.

    Returns:
        By arm id, raw times or why there are none.
    """
    cell = comparison.cell
    with contextlib.ExitStack() as stack:
        file = scratch / "inputs.npz"
        np.savez(file, allow_pickle=False, **inputs)
        running = [_Running(arm, Child(ARM_MODULE, _environment(arm))) for arm in comparison.arms]
        for arm in running:
            stack.callback(arm.child.close)
        for number, arm in enumerate(running):
            on_progress(0.0, f"starting and warming up {number + 1} of {len(running)}")
            _open(arm, cell, file, affinity, args.warmup_runs)
        shuffle = random.Random(seed)  # noqa: S311 - an order, not a secret
        stopped = _rounds(running, comparison, args, shuffle, on_progress, clock)
        # A name of its own for each session, so that blocks of two are never compared.
        session = uuid.uuid4().hex
        return {arm.spec.id: _result(arm, comparison, session, stopped) for arm in running}


def round_order(ids: Sequence[str], reference_id: str, shuffle: random.Random) -> list[str]:
    """The order of one round: the reference, all others shuffled, the reference again."""
    others = [arm for arm in ids if arm != reference_id]
    shuffle.shuffle(others)
    return [reference_id, *others, reference_id]


@contextlib.contextmanager
def machine_lock(on_progress: Callable[[float, str], None]) -> Iterator[None]:
    """Hold the one lock of this machine under which anything is timed.

    It goes with the process, however that ends.
    """
    # Reading is enough to lock, so that users can share a file that one of them made.
    if not LOCK.exists():
        with contextlib.suppress(FileExistsError):
            os.close(os.open(LOCK, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644))
    handle = os.open(LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_progress(0.0, "waiting: another run is timing on this machine")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _rounds(
    running: Sequence[_Running],
    comparison: Comparison,
    args: TimeBenchmarkArgs,
    shuffle: random.Random,
    on_progress: Callable[[float, str], None],
    clock: Callable[[], float],
) -> str:
    """Run rounds until all is precise or the budget is spent; says which."""
    by_id = {arm.spec.id: arm for arm in running}
    budget_s = args.duration * len(running)
    started = clock()
    number = 0
    longest_s = 0.0
    while True:
        alive = [arm.spec.id for arm in running if arm.failure is None]
        if comparison.reference_id not in alive or len(alive) < 2:
            return "budget"
        round_started = clock()
        order = round_order(alive, comparison.reference_id, shuffle)
        for position, arm_id in enumerate(order):
            _block(by_id[arm_id], comparison.cell, number, position)
        number += 1
        now = clock()
        longest_s = max(longest_s, now - round_started)
        widths = _widths(running, comparison)
        known = [width for width in widths if width is not None]
        width_text = f", ±{100 * max(known):.1f} %" if known else ""
        on_progress(min(1.0, (now - started) / budget_s), f"round {number}{width_text}")
        if widths and len(known) == len(widths) and max(known) <= args.precision:
            return "precise"
        if now - started + longest_s > budget_s:
            return "budget"


def _widths(running: Sequence[_Running], comparison: Comparison) -> list[float | None]:
    """Relative half-widths of the ratios that are printed: to the reference and the original."""
    blocks = {arm.spec.id: arm.blocks for arm in running if arm.failure is None}
    reference = blocks.pop(comparison.reference_id, [])
    logs = {arm_id: stats.ratio_per_round(found, reference) for arm_id, found in blocks.items()}
    ratios = list(logs.values())
    if comparison.original_id in logs:
        original = logs.pop(comparison.original_id)
        ratios += [stats.subtract_rounds(original, log) for log in logs.values()]
    return [stats.relative_half_width(log) for log in ratios]


def _open(
    arm: _Running, cell: Cell, inputs: Path, affinity: Sequence[int] | None, warmup_runs: int
) -> None:
    options = arm.spec.options
    message = {
        "do": "open",
        "framework": arm.spec.framework,
        "path": str(arm.spec.path),
        "options": {
            "num_threads": options.num_threads,
            "optimization_level": options.optimization_level,
            "auto_class": options.auto_class,
        },
        "inputs": str(inputs),
        "affinity": None if affinity is None else list(affinity),
    }
    if _ask(arm, cell, message) is not None:
        answer = _ask(arm, cell, {"do": "warm_up", "least_runs": warmup_runs})
        arm.warmup_runs = 0 if answer is None else answer["warmup_runs"]
    arm.child.pause()


def _block(arm: _Running, cell: Cell, number: int, position: int) -> None:
    if arm.failure is not None:
        return
    arm.child.resume()
    message = {
        "do": "block",
        "discard": BLOCK_DISCARDED_FORWARDS,
        "least_forwards": BLOCK_LEAST_FORWARDS,
        "least_seconds": BLOCK_LEAST_SECONDS,
    }
    answer = _ask(arm, cell, message)
    arm.child.pause()
    if answer is not None:
        arm.blocks.append(Block(round=number, position=position, **answer))


def _ask(arm: _Running, cell: Cell, message: Message) -> Message | None:
    """The arm's answer; None if it failed, which is then on record."""
    try:
        answer = arm.child.ask(message, ANSWER_LIMIT_SECONDS)
    except ChildDiedError as error:
        arm.failure = TimingFailed(stage="time", error=str(error), log=error.log, cell=cell)
        return None
    if "error" in answer:
        log = arm.child.log_tail()
        arm.failure = TimingFailed(stage="time", error=answer["error"], log=log, cell=cell)
        return None
    return answer


def _result(
    arm: _Running, comparison: Comparison, session: str, stopped: str
) -> Timing | TimingFailed:
    cell = comparison.cell
    if arm.failure is None:
        arm.child.resume()
        facts = _ask(arm, cell, {"do": "describe"})
    if arm.failure is not None or facts is None:
        return arm.failure or TimingFailed(stage="time", error="no answer", cell=cell)
    if not arm.blocks:
        error = "the reference failed before this arm was timed"
        return TimingFailed(stage="time", error=error, cell=cell)
    return Timing.model_validate(
        {
            "cell": cell,
            "session": session,
            "reference_id": comparison.reference_id,
            "blocks": tuple(arm.blocks),
            "processes": (ArmProcess(warmup_runs=arm.warmup_runs, **facts),),
            "stopped": stopped,
        }
    )


def _environment(arm: ArmSpec) -> Mapping[str, str]:
    """One thread count for every library that could start threads of its own."""
    count = str(arm.options.num_threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, count) | {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
