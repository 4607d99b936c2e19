"""Where the time of two models goes, by ONNX Runtime's own profile."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
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
FORWARDS_PER_BLOCK = 8
WARMUP_RUNS = 5


def profile_models(
    files: Sequence[Path], inputs: Inputs, level: int, num_threads: int, folder: Path
) -> tuple[ModelTime, ...]:
    """Profile several models in turns, in blocks; the first forwards of each are left out.

    Each block begins with one forward that is not counted, as the other model had the caches.

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
    feed = dict(inputs)
    counted: list[list[int]] = [[] for _ in sessions]
    done = [0 for _ in sessions]
    for session, place in zip(sessions, range(len(sessions)), strict=True):
        for _ in range(WARMUP_RUNS):
            session.run(None, feed)
            done[place] += 1
    for _ in range(NUM_BLOCKS):
        for place, session in enumerate(sessions):
            session.run(None, feed)
            done[place] += 1
            for _ in range(FORWARDS_PER_BLOCK):
                session.run(None, feed)
                counted[place].append(done[place])
                done[place] += 1
    return tuple(
        read_profile(_finished(session), runs)
        for session, runs in zip(sessions, counted, strict=True)
    )


def read_profile(events: Sequence[Mapping[str, Any]], counted: Sequence[int]) -> ModelTime:
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
    return ModelTime(
        microseconds=statistics.median(float(runs[number]["dur"]) for number in counted),
        operators=tuple(sorted(operators, key=lambda item: -item.microseconds)),
    )


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
