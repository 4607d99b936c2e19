"""The process of one arm: it holds one model, and runs blocks of forwards when told to.

Spoken to by `stages.time` through `quantbench.child`. It imports only the runtime that it needs.
"""

from __future__ import annotations

import gc
import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from quantbench import registry
from quantbench.child import Message, serve
from quantbench.core import stats
from quantbench.memory import be_ended_first, peak_rss_bytes
from quantbench.protocols import Forward, Session, SessionOptions
from quantbench.stages import covariates
from quantbench.stages.thread_pools import check_thread_counts, thread_pools

# Warm-up is over when the medians of two windows agree this well, or as well as their own noise
# lets one see; at the latest after this many windows.
WARM_UP_AGREEMENT = 0.03
WARM_UP_WINDOW_SECONDS = 0.1
WARM_UP_MOST_WINDOWS = 10


class Arm:
    """The state of the process: an open session and, once bound, its forward."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.forward: Forward | None = None

    def handle(self, message: Message, _: Callable[[Message], None]) -> Message:
        """Answer one message; an error is an answer too."""
        try:
            match message["do"]:
                case "open":
                    return self._open(message)
                case "warm_up":
                    return {"warmup_runs": warm_up(self._bound(), message["least_runs"])}
                case "block":
                    return run_block(
                        self._bound(),
                        message["discard"],
                        message["least_forwards"],
                        message["least_seconds"],
                    )
                case "describe":
                    return self._describe()
                case unknown:
                    raise ValueError(f"unknown message {unknown!r}")
        except Exception as error:  # ONNX Runtime's exceptions share no other base class.
            return {"error": f"{type(error).__name__}: {error}"}

    def _open(self, message: Message) -> Message:
        cpus = message["affinity"]
        if cpus is not None:
            os.sched_setaffinity(0, cpus)
        runtime = registry.runtime(message["framework"])
        self.session = runtime.open(Path(message["path"]), SessionOptions(**message["options"]))
        with np.load(message["inputs"], allow_pickle=False) as inputs:
            self.forward = self.session.bind({name: inputs[name] for name in inputs.files})
        wanted = message["options"]["num_threads"]
        check_thread_counts(wanted, self.session.verified_num_threads(), thread_pools())
        return {}

    def _describe(self) -> Message:
        if self.session is None:
            raise RuntimeError("nothing is open")
        affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        return {
            "num_threads": self.session.verified_num_threads(),
            "affinity": affinity,
            "peak_rss_bytes": peak_rss_bytes(),
        }

    def _bound(self) -> Forward:
        if self.forward is None:
            raise RuntimeError("nothing is open")
        return self.forward


def warm_up(forward: Forward, least_runs: int) -> int:
    """Run until two consecutive windows agree. Returns the number of forwards."""
    runs = 0
    previous: list[int] | None = None
    for _ in range(WARM_UP_MOST_WINDOWS):
        window = _timed(forward, max(2, least_runs // 2), WARM_UP_WINDOW_SECONDS)
        runs += len(window)
        if runs >= least_runs and previous is not None and _agree(previous, window):
            break
        previous = window
    return runs


def _agree(before: list[int], after: list[int]) -> bool:
    change = math.log(statistics.median(after) / statistics.median(before))
    error = math.hypot(
        *(stats.spread(list(map(math.log, w))) / len(w) ** 0.5 for w in (before, after))
    )
    # About Student's t for 95 %, without importing it: of two forwards each, little is known.
    factor = 2 + 5 / (len(before) + len(after) - 2)
    return abs(change) <= max(WARM_UP_AGREEMENT, factor * error)


def run_block(
    forward: Forward, discard: int, least_forwards: int, least_seconds: float
) -> dict[str, Any]:
    """Time one block.

    Args:
        forward: what is timed.
        discard: forwards that are run first and not counted: they pay for waking up.
        least_forwards: the block has at least so many counted forwards.
        least_seconds: and lasts at least so long.

    Returns:
        `samples_ns` with every counted forward, and covariates of the block (None where the
        system does not tell).
    """
    for _ in range(discard):
        forward()
    before = covariates.read()
    samples = _timed(forward, least_forwards, least_seconds)
    after = covariates.read()
    return {
        "samples_ns": samples,
        "frequency_mhz": covariates.frequency_mhz(),
        **covariates.between(before, after),
    }


def _timed(forward: Forward, least_forwards: int, least_seconds: float) -> list[int]:
    clock = time.perf_counter_ns
    samples: list[int] = []
    # Nothing here makes cycles: collecting would only disturb the caches.
    gc.disable()
    try:
        end = clock() + int(least_seconds * 1e9)
        now = clock()
        while len(samples) < least_forwards or now < end:
            start = clock()
            forward()
            now = clock()
            samples.append(now - start)
    finally:
        gc.enable()
    return samples


def main() -> None:
    """Answer until the parent has no more questions."""
    be_ended_first()
    serve(Arm().handle)


if __name__ == "__main__":
    main()
