"""What a number of threads means on a processor."""

from __future__ import annotations

from quantbench.core.results import CpuInfo


def more_than_processors(num_threads: int, cpu: CpuInfo) -> str | None:
    """Why so many threads are refused; None where there are processors for them."""
    if num_threads <= cpu.logical_cores:
        return None
    return f"more threads than the {cpu.logical_cores} processors of this machine"


def too_many_threads(num_threads: int, cpu: CpuInfo) -> str | None:
    """A warning if threads are more than the cores that may be used; None if they are not."""
    if num_threads <= cpu.allowed_cores:
        return None
    cores = "1 core" if cpu.allowed_cores == 1 else f"{cpu.allowed_cores:,} cores"
    return (
        f"{num_threads:,} threads on the {cores} that may be used: they wait for each other, which "
        "is slow and varies"
    )
