"""An arm's process that has a fault, by the name of its model file: FAULT-MESSAGE.onnx.

`hangs-block` computes for ever when asked for a block, `stops-block` is stopped then and stays so,
`killed-open` is killed from outside while it opens the model, `dies-warm_up` ends by itself,
`memory-block` asks for more memory than there is, `limited-block` takes memory until the system
gives it no more (RLIMIT_AS). Any other name has no fault.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from quantbench.child import Message, serve
from quantbench.protocols import Array
from quantbench.stages.arm import Arm


def main() -> None:
    arm, name = Arm(), ""

    def handle(message: Message, send: Callable[[Message], None]) -> Message:
        nonlocal name
        name = Path(message["path"]).stem if message["do"] == "open" else name
        fault, _, where = name.partition("-")
        if where != message["do"]:
            return arm.handle(message, send)
        if fault == "memory":
            arm.forward = lambda: {"y": np.ones(2**50)}
            return arm.handle(message, send)
        if fault == "limited":
            limit_memory()
            arm.forward = take_all
            return arm.handle(message, send)
        return fail(fault)

    serve(handle)


def limit_memory() -> None:
    """As much as the process has now, and 64 MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 2**26
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def take_all() -> dict[str, Array]:
    taken: list[Array] = []
    while True:
        taken.append(np.ones(2**20))


def fail(fault: str) -> Message:
    print(f"the last words of {fault}", file=sys.stderr, flush=True)
    match fault:
        case "hangs":
            threading.Event().wait()
        case "stops":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "dies":
            os._exit(7)
    raise AssertionError(f"{fault} is no fault")


if __name__ == "__main__":
    main()
