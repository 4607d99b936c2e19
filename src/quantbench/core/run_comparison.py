"""The answer of `quantbench compare`: runs beside the first of them, in plain data.

`first` is always of the run that others are compared with, `other` of one of those.
"""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from quantbench.core.frozen import Frozen
from quantbench.core.plan import Cell
from quantbench.core.summary import Latency, MetricSummary, Ratio

DifferenceKind = Literal["config", "model", "data", "machine", "system", "versions"]


class ComparedRun(Frozen):
    """One of the runs: what it measured, where and when; None where a published card says nothing.

    `measured` is False for a published card, which has means only.
    """

    name: str
    measured: bool
    model: str
    dataset: str
    original_name: str
    cpu: str | None
    num_threads: int | None
    measured_at: str | None


class Difference(Frozen):
    """Something that is not the same in both runs, in words."""

    kind: DifferenceKind
    what: str
    first: str
    other: str


class MetricChange(Frozen):
    """One metric of one model in both runs, as the official script gives it.

    `paired` has the first run's value as `original` and the other's as `optimized`: its drop is
    first minus other in points (positive: the other run is worse), its interval and flips are over
    samples that both answered. It is None where samples cannot be paired: `why_unpaired` says why.
    """

    name: str
    first: float | None
    other: float | None
    paired: MetricSummary | None = None
    why_unpaired: str | None = None


class CellChange(Frozen):
    """One row in one cell of both runs; `cell` is that of the other.

    `first` and `other` are its speed-ups over the yardstick, each from its own run. `change` is
    the other's over the first's (above 1: the row is faster in the other run); `why_no_change`
    says why there is none. `same_measurement` says that both runs hold one and the same timing.
    """

    cell: Cell
    first_latency: Latency | None
    other_latency: Latency | None
    first: Ratio | None
    other: Ratio | None
    change: Ratio | None = None
    why_no_change: str | None = None
    same_measurement: bool = False


class SpeedChange(Frozen):
    """One row's speed in both runs: the cells that both have, and the mean over those.

    `first`, `other` and `change` are geometric means over the cells in which both runs have a
    speed-up (`change`: over those in which there is one). `why_no_change` says why there is none
    at all.
    """

    cells: tuple[CellChange, ...] = ()
    first: Ratio | None = None
    other: Ratio | None = None
    change: Ratio | None = None
    why_no_change: str | None = None

    @property
    def same_measurement(self) -> bool:
        """Whether each change is that of a timing which both runs hold."""
        found = [cell for cell in self.cells if cell.change is not None]
        return bool(found) and all(cell.same_measurement for cell in found)

    @property
    def num_compared(self) -> int:
        """In how many cells there is a change."""
        return sum(cell.change is not None for cell in self.cells)


class RowChange(Frozen):
    """A row of the grid in both runs: matched by the values of all swept parameters.

    A number is None where a run has no such row. `first_problems` and `other_problems` say what
    became of it in either run where that is not plain: missing, refused, failed. `same_file` says
    whether both files compute the same in the same way; None where that is not known.
    """

    parameters: dict[str, JsonValue]
    first_row: int | None
    other_row: int | None
    first_problems: tuple[str, ...] = ()
    other_problems: tuple[str, ...] = ()
    same_file: bool | None = None
    metrics: tuple[MetricChange, ...] = ()
    speed: SpeedChange = SpeedChange()

    @property
    def is_whole(self) -> bool:
        """Whether both runs have the row with all its numbers."""
        return not self.first_problems and not self.other_problems


class PairComparison(Frozen):
    """One run beside the first.

    `parameters` are those that either run sweeps: rows are matched by them.
    `yardstick` is the model that speed-ups of both runs are over, and that is the same in both:
    the original where it is, else the rows' reference. It is None where there is no such model;
    speed-ups are then over each run's own original, and not divided: `why_no_yardstick` says why.
    `warnings` are clauses on what the times may suffer from. `original` is what the originals
    answer. `not_shared` names the cells that one run lacks.
    """

    other: ComparedRun
    parameters: tuple[str, ...]
    differences: tuple[Difference, ...]
    yardstick: str | None
    why_no_yardstick: str | None
    warnings: tuple[str, ...]
    original: tuple[MetricChange, ...]
    not_shared: tuple[Cell, ...]
    rows: tuple[RowChange, ...]


class RunComparison(Frozen):
    """Runs of one task beside the first of them."""

    method_version: str
    task: str
    primary_metric: str
    first: ComparedRun
    pairs: tuple[PairComparison, ...]
