"""What the harness adds to one forward: its recorded blocks beside the same calls in a bare loop.

    python benchmarks/overhead.py [--rounds 300]

In one process, for forwards of about 1 and 5 ms: in each round one block of the harness
(`stages.arm.run_block` on a bound session) and one bare loop over `InferenceSession.run` with the
same arrays, in random order, as many forwards each. Printed: the median over rounds of the ratio of
their medians, with the 95 % interval of a median (of order statistics). Ends with an error if 5 ms
become 1 % longer.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from quantbench.environment import pinned_cpus
from quantbench.protocols import SessionOptions
from quantbench.runtimes.ort import RUNTIME, open_session
from quantbench.stages.arm import run_block

WIDTH, LAYERS = 512, 12
WANTED_MS = (1.0, 5.0)
BLOCK_SECONDS = 0.05
MOST_ADDED_AT_5_MS = 0.01


def main() -> int:
    """Print the table; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--rounds", type=int, default=300, help="for each length of a forward (300)"
    )
    parser.add_argument("--threads", type=int, default=len(pinned_cpus(2) or [0, 0]))
    arguments = parser.parse_args()
    print("| a forward, ms | rounds | harness ÷ bare loop | 95 % interval |\n|---|---|---|---|")
    added = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layers.onnx"
        write_layers(path)
        for wanted_ms in WANTED_MS:
            batch = rows_for(path, wanted_ms, arguments.threads)
            milliseconds, logs = compare(path, batch, arguments.threads, arguments.rounds)
            center, (low, high) = median(logs), map(math.exp, median_interval(logs))
            print(
                f"| {milliseconds:.2f} | {len(logs)} | {math.exp(center):.4f} "
                f"| [{low:.4f}, {high:.4f}] |"
            )
            added = math.exp(center) - 1
    met = added <= MOST_ADDED_AT_5_MS
    print(f"\nGoal: at most {MOST_ADDED_AT_5_MS:.0%} at 5 ms: {'met' if met else 'missed'}.")
    return 0 if met else 1


def write_layers(path: Path) -> None:
    """A file of matrix products, [N, 512] float32 in and out."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(
            rng.standard_normal((WIDTH, WIDTH)).astype(np.float32) / 23, f"w{n}"
        )
        for n in range(LAYERS)
    ]
    names = ["x", *(f"y{n}" for n in range(LAYERS))]
    nodes = [helper.make_node("MatMul", [names[n], f"w{n}"], [names[n + 1]]) for n in range(LAYERS)]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", WIDTH])
        for name in (names[0], names[-1])
    ]
    graph = helper.make_graph(nodes, "layers", ends[:1], ends[1:], weights)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )


def rows_for(path: Path, wanted_ms: float, threads: int) -> int:
    """How many rows of input make a forward of about that length."""
    session = open_session(path, 99, threads)
    batch = 1
    while True:
        feed = {"x": np.ones((batch, WIDTH), dtype=np.float32)}
        if min(bare_loop(lambda feed=feed: session.run(None, feed), 20)) / 1e6 >= wanted_ms:  # type: ignore[misc]
            return batch
        batch = math.ceil(batch * 1.25)


def compare(path: Path, batch: int, threads: int, rounds: int) -> tuple[float, list[float]]:
    """Milliseconds of a bare forward, and per round the log of harness over bare loop."""
    inputs = {"x": np.ones((batch, WIDTH), dtype=np.float32)}
    opened = RUNTIME.open(path, SessionOptions(threads, 99))
    forward = opened.bind(inputs)
    # The same session, so that both run the same memory.
    session = opened._session
    assert session is not None
    names = [value.name for value in session.get_outputs()]
    shuffle = random.Random(0)  # noqa: S311 - an order
    logs: list[float] = []
    all_bare: list[float] = []
    for _ in range(rounds):
        found: dict[str, float] = {}
        for kind in shuffle.sample(("harness", "bare"), 2):
            if kind == "harness":
                block = run_block(forward, 3, 5, BLOCK_SECONDS)
                found[kind] = median(block["samples_ns"])
                count = len(block["samples_ns"])
            else:
                count = max(5, round(BLOCK_SECONDS * 1e9 / (median(all_bare) if all_bare else 5e6)))
                found[kind] = median(bare_loop(lambda: session.run(names, inputs), count + 3)[3:])
                all_bare.append(found[kind])
        logs.append(math.log(found["harness"] / found["bare"]))
    return median(all_bare) / 1e6, logs


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """The order statistics between which the median lies with 95 % confidence, for 30 or more.

    References:
        W. Conover, Practical Nonparametric Statistics (3rd ed., 1999), section 3.2.
    """
    ordered, count = sorted(values), len(values)
    below = int(count / 2 - 0.98 * math.sqrt(count))
    return ordered[below], ordered[count - 1 - below]


def bare_loop(call: Callable[[], object], count: int) -> list[int]:
    """Nanoseconds of each call."""
    samples = [0] * count
    for number in range(count):
        started = time.perf_counter_ns()
        call()
        samples[number] = time.perf_counter_ns() - started
    return samples


if __name__ == "__main__":
    sys.exit(main())
