"""The memory of this process. A module of its own: a timed process imports little."""

from __future__ import annotations

from pathlib import Path

_HIGHEST_SCORE = "1000"


def peak_rss_bytes() -> int | None:
    """The largest resident memory that this process has had; None where /proc is missing."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def be_ended_first() -> None:
    """Have Linux end this process before others when memory is short: it holds one row alone.

    Nothing is done where the system has no such score.

    References:
        proc_pid_oom_score_adj(5).
    """
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        score.write_text(_HIGHEST_SCORE)
