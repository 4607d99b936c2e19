"""How quiet the machine was while a shape was timed, from the covariates of its blocks. Pure.

Interleaving keeps what comes and goes out of the ratios; what is there all the time is in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quantbench.core.plan import Cell
from quantbench.core.results import Block
from quantbench.core.summary import Load

# A machine is not quiet if others took more than this share of the processors' time, or if in more
# than that share of the rounds they took more than `DISTURBED_ROUND`.
OTHERS_LIMIT = 0.05
DISTURBED_ROUND = 0.10
DISTURBED_LIMIT = 0.10
# Counters are in whole ticks of mostly 10 ms, so a round of fewer ticks is not judged.
_LEAST_TICKS = 20


def load(cell: Cell, *sessions: Sequence[Block]) -> Load | None:
    """What others did while the blocks of all arms in one cell ran; None without any block.

    Args:
        cell: where.
        sessions: the blocks of each measuring session, which number their rounds alike.
    """
    blocks = [block for session in sessions for block in session]
    if not blocks:
        return None
    rounds = [found for session in sessions for found in _rounds(session)]
    shares = [share for share in map(_share, rounds) if share is not None]
    frequencies = [block.frequency_mhz for block in blocks if block.frequency_mhz is not None]
    counted = [block for block in blocks if block.involuntary_switches is not None]
    disturbed = sum(share > DISTURBED_ROUND for share in shares) / len(shares) if shares else None
    others, stolen = _others(blocks), _stolen(blocks)
    heat = _sum(block.thermal_throttles for block in blocks)
    quota = _sum(block.quota_throttles for block in blocks)
    return Load(
        cell=cell,
        others=others,
        stolen=stolen,
        disturbed_rounds=disturbed,
        switches_per_forward=(
            sum(block.involuntary_switches or 0 for block in counted)
            / sum(len(block.samples_ns) for block in counted)
            if counted
            else None
        ),
        lowest_mhz=min(frequencies, default=None),
        highest_mhz=max(frequencies, default=None),
        thermal_throttles=heat,
        quota_throttles=quota,
        quiet=(
            None
            if others is None or stolen is None
            else others + stolen <= OTHERS_LIMIT
            and (disturbed or 0.0) <= DISTURBED_LIMIT
            and not heat
            and not quota
        ),
    )


def not_quiet(loads: Iterable[Load]) -> str | None:
    """A warning that names the cells in which the machine was not quiet; None if it was."""
    found = [item for item in loads if item.quiet is False]
    if not found:
        return None
    return (
        f"the machine was not quiet while times were measured ({'; '.join(map(_said, found))}); "
        f"quiet is at most {OTHERS_LIMIT:.0%} of the processors' time for others, at most "
        f"{DISTURBED_LIMIT:.0%} of the rounds with more than {DISTURBED_ROUND:.0%}, no throttling"
    )


def _said(item: Load) -> str:
    parts = [f"others took {(item.others or 0) + (item.stolen or 0):.0%} of the processors' time"]
    if item.disturbed_rounds:
        parts.append(f"{item.disturbed_rounds:.0%} of the rounds were disturbed")
    if item.thermal_throttles:
        parts.append(f"throttled for heat {item.thermal_throttles:,} times")
    if item.quota_throttles:
        parts.append(f"stopped by the container's quota {item.quota_throttles:,} times")
    return f"{item.cell.name}: {', '.join(parts)}"


def _rounds(blocks: Iterable[Block]) -> list[list[Block]]:
    """A session's blocks, round by round: one alone is too short for the system's ticks."""
    found: dict[tuple[int, int], list[Block]] = {}
    for block in blocks:
        found.setdefault((block.process_set, block.round), []).append(block)
    return list(found.values())


def _share(blocks: Sequence[Block]) -> float | None:
    """The share of the processors' time that others and the hypervisor took during a round."""
    others, stolen = _others(blocks), _stolen(blocks)
    is_short = sum(block.processor_ticks or 0 for block in blocks) < _LEAST_TICKS
    return None if is_short or others is None or stolen is None else others + stolen


def _others(blocks: Sequence[Block]) -> float | None:
    found = [
        (block.processor_ticks, block.busy_ticks - block.own_ticks)
        for block in blocks
        if block.processor_ticks and block.busy_ticks is not None and block.own_ticks is not None
    ]
    total = sum(ticks for ticks, _ in found)
    # Below zero by rounding, when nobody else did anything.
    return max(0.0, sum(others for _, others in found) / total) if found else None


def _stolen(blocks: Sequence[Block]) -> float | None:
    found = [
        (block.processor_ticks, block.steal_ticks)
        for block in blocks
        if block.processor_ticks and block.steal_ticks is not None
    ]
    return sum(steal for _, steal in found) / sum(ticks for ticks, _ in found) if found else None


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
