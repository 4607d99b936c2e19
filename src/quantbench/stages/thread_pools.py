"""The threads that libraries of this process compute with, read back and held to what was asked."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping

from quantbench.core.errors import QuantbenchError

# PyTorch's pool for independent operators, which a forward does not use: its size is set to 1.
INTEROP = "PyTorch's pool for independent operators"


def thread_pools() -> dict[str, int]:
    """Threads by pool, beside those of the runtime itself.

    PyTorch's second pool is there where PyTorch is loaded. Pools of BLAS and OpenMP are read where
    threadpoolctl is installed; scikit-learn brings it along.
    """
    found: dict[str, int] = {}
    torch = sys.modules.get("torch")
    if torch is not None:
        found[INTEROP] = int(torch.get_num_interop_threads())
    if importlib.util.find_spec("threadpoolctl") is not None:
        from threadpoolctl import threadpool_info

        for pool in threadpool_info():
            found[f"{pool['internal_api']} ({pool['filepath']})"] = int(pool["num_threads"])
    return found


def check_thread_counts(wanted: int, of_runtime: int, pools: Mapping[str, int]) -> None:
    """Refuse a process in which something computes with another number of threads.

    A library may hold itself to fewer than asked for (OpenBLAS to the processors it may use, and
    to what it was built for), but none to more.

    Args:
        wanted: the number that was asked for.
        of_runtime: what the runtime that is timed computes with.
        pools: of `thread_pools`.

    Raises:
        QuantbenchError: a number differs; whose.
    """
    if of_runtime != wanted:
        raise QuantbenchError(f"the runtime computes with {of_runtime} threads, not {wanted}")
    for name, count in pools.items():
        most = 1 if name == INTEROP else wanted
        if count > most:
            raise QuantbenchError(f"{name} has {count} threads, not {most}")
