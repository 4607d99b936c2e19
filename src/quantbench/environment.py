"""The machine: processor, memory, versions. Read, never guessed."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from pathlib import Path

from quantbench.core.errors import UsageError
from quantbench.core.instructions import missing_instructions
from quantbench.core.results import CpuInfo, Environment

PACKAGES = (
    "quantbench",
    "torch",
    "transformers",
    "tokenizers",
    "onnx",
    "onnxruntime",
    "datasets",
    "numpy",
    "pillow",
)

# What a worker that makes one file may come to need: a base-size model takes 1.6 GiB.
_WORKER_BYTES = 4 * 2**30


def read_environment(num_threads: int) -> Environment:
    """Describe this machine and the installed versions.

    Args:
        num_threads: the number of threads that every runtime of the run is given.
    """
    return Environment(
        cpu=read_cpu(),
        memory_bytes=_memory_bytes(),
        operating_system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
        num_threads=num_threads,
        measured_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def read_cpu(cpuinfo: str | None = None) -> CpuInfo:
    """Describe the processor.

    Args:
        cpuinfo: the text of /proc/cpuinfo; read from this machine when left out. Without such a
            file (macOS) flags are empty and cores are counted as logical.
    """
    if cpuinfo is None:
        path = Path("/proc/cpuinfo")
        cpuinfo = path.read_text() if path.exists() else ""
    fields = [
        (key.strip(), value.strip())
        for key, colon, value in (line.partition(":") for line in cpuinfo.splitlines())
        if colon
    ]
    flags = next((value for key, value in fields if key in ("flags", "Features")), "")
    model = next((value for key, value in fields if key == "model name"), None)
    logical = os.cpu_count() or 1
    # A core is named by its package and its number in there; siblings share both.
    packages = [value for key, value in fields if key == "physical id"]
    cores = [value for key, value in fields if key == "core id"]
    physical = len(set(zip(packages, cores, strict=False))) or logical
    return CpuInfo(
        model=model or platform.processor() or platform.machine(),
        architecture=platform.machine(),
        flags=tuple(sorted(flags.split())),
        physical_cores=physical,
        logical_cores=logical,
        allowed_cores=allowed_cores(physical, logical),
    )


def allowed_cores(physical: int, logical: int) -> int:
    """Physical cores that this process may use: affinity and container limits are read."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    quota = _container_cpus()
    threads_per_core = max(1, logical // physical)
    cores = max(1, usable // threads_per_core)
    return cores if quota is None else max(1, min(cores, int(quota)))


def pinned_cpus(num_threads: int) -> list[int] | None:
    """Processors to bind `num_threads` threads to, one per core; None where the system cannot."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    usable = sorted(os.sched_getaffinity(0))
    cores: dict[str, int] = {}
    for cpu in usable:
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        cores.setdefault(path.read_text().strip() if path.exists() else str(cpu), cpu)
    chosen = list(cores.values())[:num_threads]
    spare = [cpu for cpu in usable if cpu not in chosen]
    return sorted(chosen + spare[: num_threads - len(chosen)])


def check_instructions(wanted: str | None, flags: tuple[str, ...]) -> None:
    """Refuse a machine without the instructions that were asked for.

    Raises:
        UsageError: the processor does not have them.
    """
    missing = missing_instructions(wanted, flags)
    if missing is not None:
        raise UsageError(
            missing, hint="Run on a machine that has it, or set supported_instructions: null."
        )


def accuracy_fingerprint(cpu: CpuInfo) -> dict[str, object]:
    """What of the machine can change the predictions of a quantized model.

    The same int8 file gives other answers with and without VNNI: predictions are reused only
    where this is equal.
    """
    vector = sorted(
        flag for flag in cpu.flags if flag.startswith(("avx", "amx", "fma", "asimd", "sve", "i8mm"))
    )
    return {"architecture": cpu.architecture, "vector_flags": vector}


def timing_fingerprint() -> dict[str, object]:
    """What times belong to: this machine, as it may be used now."""
    return {
        "machine": platform.node(),
        "cpu": read_cpu().model_dump(mode="json"),
        "memory_bytes": _memory_bytes(),
        "operating_system": f"{platform.system()} {platform.release()}",
    }


def _container_cpus(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """The CPU quota of the container (cgroup v2, then v1), None where there is no limit."""
    v2 = root / "cpu.max"
    if v2.exists():
        quota, period = v2.read_text().split()[:2]
        return None if quota == "max" else float(quota) / float(period)
    v1, v1_period = root / "cpu/cpu.cfs_quota_us", root / "cpu/cpu.cfs_period_us"
    if v1.exists() and v1_period.exists():
        limit = float(v1.read_text())
        return None if limit <= 0 else limit / float(v1_period.read_text())
    return None


def has_memory_for(budget_bytes: int | None, num_running: int) -> bool:
    """Whether free memory and the budget allow one worker more, while `num_running` still grow."""
    needed = (num_running + 1) * _WORKER_BYTES
    if budget_bytes is not None and needed > budget_bytes:
        return False
    path = Path("/proc/meminfo")
    if not path.exists():
        return num_running == 0
    line = next(line for line in path.read_text().splitlines() if line.startswith("MemAvailable"))
    return int(line.split()[1]) * 1024 > needed


def _memory_bytes() -> int | None:
    """Of the machine, or what its container allows."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(physical, _memory_limit_bytes(Path("/sys/fs/cgroup")) or physical)


def _memory_limit_bytes(root: Path) -> int | None:
    """The memory limit of the container; None without one.

    References:
        Linux kernel, Documentation/admin-guide/cgroup-v2.rst (memory.max) and
        cgroup-v1/memory.rst (memory.limit_in_bytes: a number near 2**63 without a limit).
    """
    for path in (root / "memory.max", root / "memory/memory.limit_in_bytes"):
        if path.exists():
            text = path.read_text().strip()
            return None if text == "max" else int(text)
    return None


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
