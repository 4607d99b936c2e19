"""What could disturb a block: load of others, steal, throttling. Read before and after it.

Linux only; what the system does not tell is None. A reading takes some tenths of a millisecond,
outside of what is timed.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Of the columns of /proc/stat (man 5 proc): user nice system idle iowait irq softirq steal. Those
# of guests are counted in user and nice already.
_COLUMNS = 8
_BUSY = (0, 1, 2, 5, 6)
_STEAL = 7


@dataclass(frozen=True)
class Reading:
    """Counters at one moment, of the processors that this process may use; see `Block`."""

    processor_ticks: int | None
    busy_ticks: int | None
    steal_ticks: int | None
    own_ticks: float
    involuntary_switches: int
    thermal_throttles: int | None
    quota_throttles: int | None


def read(root: Path = Path("/")) -> Reading:
    """The counters now.

    Args:
        root: where /proc and /sys are.
    """
    processors = _processors()
    times = _processor_times(root / "proc/stat", processors)
    used = resource.getrusage(resource.RUSAGE_SELF)
    own_s = used.ru_utime + used.ru_stime
    return Reading(
        processor_ticks=None if times is None else sum(times),
        busy_ticks=None if times is None else sum(times[column] for column in _BUSY),
        steal_ticks=None if times is None else times[_STEAL],
        own_ticks=own_s * os.sysconf("SC_CLK_TCK"),
        involuntary_switches=used.ru_nivcsw,
        thermal_throttles=_thermal_throttles(root / "sys/devices/system/cpu", processors),
        quota_throttles=_quota_throttles(root / "sys/fs/cgroup"),
    )


def between(before: Reading, after: Reading) -> dict[str, float | int | None]:
    """What happened between two readings: fields of a `Block`."""
    return {
        "processor_ticks": _less(after.processor_ticks, before.processor_ticks),
        "busy_ticks": _less(after.busy_ticks, before.busy_ticks),
        "steal_ticks": _less(after.steal_ticks, before.steal_ticks),
        "own_ticks": after.own_ticks - before.own_ticks,
        "involuntary_switches": after.involuntary_switches - before.involuntary_switches,
        "thermal_throttles": _less(after.thermal_throttles, before.thermal_throttles),
        "quota_throttles": _less(after.quota_throttles, before.quota_throttles),
    }


def frequency_mhz(root: Path = Path("/")) -> float | None:
    """The frequency now of the first processor that this process may use.

    Of one only, since on some kernels each of them takes milliseconds to tell.
    """
    name = f"sys/devices/system/cpu/cpu{_processors()[0]}/cpufreq/scaling_cur_freq"
    path = root / name
    found = _number(path)
    return None if found is None else found / 1000


def _less(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


def _processors() -> Sequence[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return range(os.cpu_count() or 1)


def _processor_times(stat: Path, processors: Iterable[int]) -> list[int] | None:
    """The ticks by column, over the processors; None if they are not all there."""
    if not stat.exists():
        return None
    lines = [line.split() for line in stat.read_text().splitlines() if line.startswith("cpu")]
    by_name = {name: [int(value) for value in values[:_COLUMNS]] for name, *values in lines}
    rows = [by_name.get(f"cpu{number}", []) for number in processors]
    if any(len(row) < _COLUMNS for row in rows):
        return None
    return [sum(column) for column in zip(*rows, strict=True)]


def _thermal_throttles(folder: Path, processors: Iterable[int]) -> int | None:
    names = [folder / f"cpu{n}/thermal_throttle/core_throttle_count" for n in processors]
    found = [number for path in names if (number := _number(path)) is not None]
    return sum(found) if found else None


def _number(path: Path) -> int | None:
    """What a file of the system says; None if it is not there, busy, or says "<unknown>"."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _quota_throttles(folder: Path) -> int | None:
    """How often the container used up its quota of processor time (cgroup v2, then v1)."""
    for path in (folder / "cpu.stat", folder / "cpu/cpu.stat"):
        if path.exists():
            lines = dict(line.split() for line in path.read_text().splitlines())
            return int(lines["nr_throttled"]) if "nr_throttled" in lines else None
    return None
