"""From the raw times of files to what is printed of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantbench.analysis import quiet, timing
from quantbench.core import stats
from quantbench.core.plan import Cell
from quantbench.core.results import Environment, Timing, TimingFailed
from quantbench.core.summary import Load, Noise, Ratio
from quantbench.core.threads import too_many_threads
from quantbench.core.timed_files import TimedFile, TimedFiles

_INTERRUPTED = "timing was interrupted: these are the times of the process sets that were finished"


@dataclass(frozen=True)
class Asked:
    """What was timed, and how.

    `names` and `num_bytes` are by arm id, the first of them is what the others are compared with;
    `twin_id` is the arm that is a second copy of it.
    """

    names: Mapping[str, str]
    num_bytes: Mapping[str, int | None]
    twin_id: str
    cell: Cell
    shapes: Mapping[str, tuple[int, ...]]
    environment: Environment
    optimization_level: int
    affinity: tuple[int, ...] | None
    precision: float


def timed_files(
    asked: Asked,
    found: Mapping[str, Timing | TimingFailed],
    seconds: float,
    *,
    interrupted: bool,
) -> TimedFiles:
    """What was found of each file.

    Args:
        asked: what was timed.
        found: by arm id.
        seconds: how long all of it took.
        interrupted: whether it was ended before its time.
    """
    first_id = next(iter(asked.names))
    first, twin = found[first_id], found[asked.twin_id]
    timings = [item for item in found.values() if isinstance(item, Timing)]
    noise = (
        timing.noise(asked.cell, first, twin)
        if isinstance(first, Timing) and isinstance(twin, Timing)
        else None
    )
    load = quiet.load(asked.cell, [block for item in timings for block in item.blocks])
    files = tuple(_file(asked, found, arm_id, first_id) for arm_id in asked.names)
    return TimedFiles(
        files=files,
        cell=asked.cell,
        shapes=dict(asked.shapes),
        environment=asked.environment,
        optimization_level=asked.optimization_level,
        affinity=asked.affinity,
        precision=asked.precision,
        num_process_sets=len({b.process_set for item in timings for b in item.blocks}),
        seconds=seconds,
        interrupted=interrupted,
        noise=noise,
        load=load,
        warnings=(
            *([_INTERRUPTED] if interrupted else []),
            *([_without_twin(twin)] if isinstance(twin, TimingFailed) else []),
            *_warnings(asked, files, noise, load),
        ),
    )


def _file(
    asked: Asked, found: Mapping[str, Timing | TimingFailed], arm_id: str, first_id: str
) -> TimedFile:
    name, num_bytes = asked.names[arm_id], asked.num_bytes[arm_id]
    own, first = found[arm_id], found[first_id]
    if isinstance(own, TimingFailed):
        return TimedFile(name=name, num_bytes=num_bytes, failure=own.error)
    ratio = _speedup(own, first) if arm_id != first_id else None
    width = None if ratio is None else ratio.half_width
    return TimedFile(
        name=name,
        num_bytes=num_bytes,
        latency=timing.latency(own),
        speedup=ratio,
        unresolved=arm_id != first_id and (width is None or width > asked.precision),
        peak_rss_bytes=timing.peak_rss_bytes(own),
    )


def _speedup(own: Timing, first: Timing | TimingFailed) -> Ratio | None:
    """The first file's time over the own."""
    if isinstance(first, TimingFailed):
        return None
    logs = stats.ratio_per_round(own.blocks, first.blocks)
    return timing.ratio(dict.fromkeys(logs, 0.0), logs)


def _without_twin(twin: TimingFailed) -> str:
    return f"the second copy of the first file failed, so nothing shows the noise: {twin.error}"


def _warnings(
    asked: Asked, files: Sequence[TimedFile], noise: Noise | None, load: Load | None
) -> list[str]:
    machine = asked.environment
    found = [
        too_many_threads(machine.num_threads, machine.cpu),
        quiet.not_quiet([load] if load else []),
    ]
    slow_and_fast = [file.name for file in files if file.latency and file.latency.is_bimodal]
    if slow_and_fast:
        names = ", ".join(slow_and_fast)
        found.append(
            f"times have two states, a fast and a slow one ({names}): the milliseconds may be "
            "those of neither; compare by the ratios and their intervals"
        )
    if noise is not None and noise.invalid:
        found.append(
            "this session is not valid: two copies of the first file differ by more than "
            f"{timing.INVALID_MARGIN:.0%} for certain; time again"
        )
    return [warning for warning in found if warning is not None]
