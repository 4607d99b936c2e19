"""Where the time of two models goes, by ONNX Runtime's own profile."""

from __future__ import annotations

import functools
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.core.errors import QuantbenchError
from quantbench.core.explanation import ModelTime, OperatorTime
from quantbench.protocols import Inputs
from quantbench.runtimes.ort import open_session

if TYPE_CHECKING:
    import onnxruntime

# A block of forwards of one model, then one of the other: switching after every forward would
# measure caches.
NUM_BLOCKS = 4
FORWARDS_PER_BLOCK = 5
WARMUP_RUNS = 5


def profile_models(
    files: Sequence[Path], inputs: Inputs, level: int, num_threads: int, folder: Path
) -> tuple[ModelTime, ...]:
    """Profile several models in turns, in blocks; the first forwards of each are left out.

    Each block begins with one forward that is not counted, as the other model had the caches. Then
    the same is done once more without profiling, for the time of whole forwards.

    Args:
        files: ONNX files that take the same inputs.
        inputs: of the shape to be profiled.
        level: graph optimization of the sessions.
        num_threads: of each session. Its threads sleep while the other one works.
        folder: where ONNX Runtime may write its profiles.

    Raises:
        QuantbenchError: a model does not run, or its profile cannot be read.
    """
    sessions = [
        open_session(path, level, num_threads, profile=folder / f"profile-{n}")
        for n, path in enumerate(files)
    ]
    forwards = [functools.partial(session.run, None, dict(inputs)) for session in sessions]
    for forward in forwards:
        for _ in range(WARMUP_RUNS):
            forward()
    _in_turns(forwards)
    # In the order that `_in_turns` has, after the warm-up: the first of each block is left out.
    block = FORWARDS_PER_BLOCK + 1
    counted = [WARMUP_RUNS + n for n in range(NUM_BLOCKS * block) if n % block]
    profiles = [_finished(session) for session in sessions]
    times = _in_turns(forwards)
    return tuple(
        ModelTime(microseconds=statistics.median(own), operators=read_profile(events, counted))
        for own, events in zip(times, profiles, strict=True)
    )


def _in_turns(forwards: Sequence[Callable[[], object]]) -> list[list[float]]:
    """Run several models in alternating blocks; the microseconds of the forwards that count."""
    times: list[list[float]] = [[] for _ in forwards]
    for _ in range(NUM_BLOCKS):
        for own, forward in zip(times, forwards, strict=True):
            forward()
            for _ in range(FORWARDS_PER_BLOCK):
                started = time.perf_counter_ns()
                forward()
                own.append((time.perf_counter_ns() - started) / 1000)
    return times


def read_profile(
    events: Sequence[Mapping[str, Any]], counted: Sequence[int]
) -> tuple[OperatorTime, ...]:
    """Sum up a profile by operator type.

    Args:
        events: of ONNX Runtime's profile: `cat` "Node" with `args.op_name` and `dur` in
            microseconds, `cat` "Session" and `name` "model_run" around those of one forward.
        counted: which forwards to use, by number from 0.

    Returns:
        Per operator type the median over forwards of the sum over its nodes, longest first.

    Raises:
        QuantbenchError: the profile has fewer forwards than were counted.
    """
    runs = sorted(
        (event for event in events if event.get("name") == "model_run"),
        key=lambda event: float(event["ts"]),
    )
    if not counted or max(counted) >= len(runs):
        raise QuantbenchError(
            f"ONNX Runtime's profile has {len(runs)} forwards, {max(counted, default=0) + 1} were "
            "made: it ends early",
            hint="Profile a smaller model, or a smaller batch size.",
        )
    nodes = sorted(
        (event for event in events if event.get("cat") == "Node"),
        key=lambda event: float(event["ts"]),
    )
    per_run = _by_run(nodes, [runs[number] for number in counted])
    names = sorted({name for sums, _ in per_run for name in sums})
    operators = [
        OperatorTime(
            op_type=name,
            num_nodes=max(counts[name] for _, counts in per_run),
            microseconds=statistics.median(sums[name] for sums, _ in per_run),
        )
        for name in names
    ]
    return tuple(sorted(operators, key=lambda item: -item.microseconds))


def _by_run(
    nodes: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]]
) -> list[tuple[Counter[str], Counter[str]]]:
    """Microseconds and numbers of nodes by operator type, for each forward."""
    per_run: list[tuple[Counter[str], Counter[str]]] = []
    place = 0
    for run in runs:
        begin = float(run["ts"])
        end = begin + float(run["dur"])
        sums: Counter[str] = Counter()
        counts: Counter[str] = Counter()
        while place < len(nodes) and float(nodes[place]["ts"]) < begin:
            place += 1
        while place < len(nodes) and float(nodes[place]["ts"]) <= end:
            event = nodes[place]
            sums[str(event["args"]["op_name"])] += event["dur"]
            counts[str(event["args"]["op_name"])] += 1
            place += 1
        per_run.append((sums, counts))
    return per_run


def _finished(session: onnxruntime.InferenceSession) -> list[dict[str, Any]]:
    path = Path(session.end_profiling())
    try:
        events: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise QuantbenchError(f"ONNX Runtime's profile cannot be read: {error}") from error
    return events
