"""The answer of `quantbench time`: files beside each other, in plain data."""

from __future__ import annotations

from quantbench.core.frozen import Frozen
from quantbench.core.plan import Cell
from quantbench.core.results import Environment
from quantbench.core.summary import Latency, Load, Noise, Ratio


class TimedFile(Frozen):
    """One of the files, or the PyTorch model.

    `speedup` is how many times faster than the first file it is (the first's time over its own);
    `unresolved` says that its interval is wider than was asked for, or not known. `failure` says
    why there are no times. `num_bytes` is None for a PyTorch model.
    """

    name: str
    num_bytes: int | None
    latency: Latency | None = None
    speedup: Ratio | None = None
    unresolved: bool = False
    peak_rss_bytes: int | None = None
    failure: str | None = None


class TimedFiles(Frozen):
    """Files that were timed together.

    `shapes` are those of the inputs, by name. `optimization_level` is ONNX Runtime's, `affinity`
    has the processors that every process was bound to (None: left to the system). `interrupted`
    says that the process sets that were finished by then are all there is. `noise` is a second
    copy of the first file over the first. `warnings` are clauses on what the times suffer from.
    """

    files: tuple[TimedFile, ...]
    cell: Cell
    shapes: dict[str, tuple[int, ...]]
    environment: Environment
    optimization_level: int
    affinity: tuple[int, ...] | None
    precision: float
    num_process_sets: int
    seconds: float
    interrupted: bool
    noise: Noise | None
    load: Load | None
    warnings: tuple[str, ...]
