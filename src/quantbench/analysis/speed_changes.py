"""The speed of the same row in two runs, through a model that is the same in both.

Times of two sessions are never divided by each other: the machine is in another state. What is
compared is how many times faster a row is than the *yardstick*, which ran interleaved with it in
both sessions. That says something of the row only where the yardstick itself is the same: one
model, one runtime in one version, one kind of machine, as many threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from quantbench.analysis import timing
from quantbench.analysis.named_run import NamedRun
from quantbench.analysis.names import REFERENCE
from quantbench.analysis.run_differences import machine_differences
from quantbench.core.plan import Cell
from quantbench.core.results import Environment, Timing
from quantbench.core.run_comparison import CellChange, SpeedChange
from quantbench.core.summary import PYTORCH_EAGER, CellSummary, Ratio, RowSummary

# What the speed of PyTorch eager depends on, and that of ONNX Runtime.
_PYTORCH = ("torch", "transformers")
_ORT = ("onnxruntime",)

# A row in the first run and in the other.
Rows = tuple[RowSummary | None, RowSummary | None]

SAME_MEASUREMENT = Ratio(value=1.0, low=1.0, high=1.0, shared=True)


@dataclass(frozen=True)
class Yardstick:
    """What speed-ups of two runs are over. Without a `name` they are not divided.

    `over` says which of a row's ratios are looked at.
    """

    over: Literal["original", "reference"] = "original"
    name: str | None = None
    why_none: str | None = None


def yardstick(first: NamedRun, other: NamedRun, rows: Sequence[Rows]) -> Yardstick:
    """The original where it is the same in both runs, else the rows' reference where that is.

    Args:
        first: a run.
        other: the run that is compared with it.
        rows: those of the first, each with that of the other. One of them at least has to share its
            reference; for the others `speed_change` says that they do not.
    """
    old, new = first.result.environment, other.result.environment
    if old is None or new is None:
        name = first.name if old is None else other.name
        return Yardstick(why_none=f"{name} was published with means only, without its machine")
    machine = machine_differences(old, new)
    if machine:
        names = ", ".join(item.what for item in machine)
        return Yardstick(why_none=f"they were measured on different machines ({names})")
    changed = _original_differs(first, other, (old, new))
    if changed is None:
        return Yardstick(name=first.summary.original_name)
    runtime = _packages_differ(old, new, _ORT)
    if runtime is None:
        shared = [_reference_differs(first, other, *pair) for pair in rows]
        if None in shared:
            return Yardstick(over="reference", name=REFERENCE)
        runtime = next(iter(shared), "no row is in both")
    return Yardstick(why_none=f"no model is the same in both: {changed}; {runtime}")


def speed_change(
    first: NamedRun,
    other: NamedRun,
    rows: Rows,
    measure: Yardstick,
) -> SpeedChange:
    """The speed of a row in both runs, in the cells that both have.

    Args:
        first: a run.
        other: the run that is compared with it.
        rows: the row of the first and that of the other.
        measure: the `yardstick` of the two runs.
    """
    old, new = rows
    if old is None or new is None or old.arm is None or new.arm is None:
        return SpeedChange(why_no_change="there is no such row in both")
    why = measure.why_none
    if measure.over == "reference":
        why = _reference_differs(first, other, old, new)
    cells = tuple(
        _cell(first, other, (old, new), (before, after), measure.over, why)
        for before in old.arm.cells
        for after in new.arm.cells
        if is_same_shape(before.cell, after.cell)
    )
    both = [cell for cell in cells if cell.first is not None and cell.other is not None]
    changes = [cell.change for cell in both if cell.change is not None]
    return SpeedChange(
        cells=cells,
        first=timing.overall([cell.first for cell in both if cell.first is not None]),
        other=timing.overall([cell.other for cell in both if cell.other is not None]),
        change=timing.overall(changes),
        why_no_change=None if changes else _why_none(cells),
    )


def is_same_shape(first: Cell, other: Cell) -> bool:
    """Whether two cells are one shape.

    Inputs of one task have a length, or none has. Only a published card may give a length where
    there is none: then the batch size alone counts.
    """
    lengths = first.input_length, other.input_length
    return first.batch_size == other.batch_size and (None in lengths or lengths[0] == lengths[1])


def _why_none(cells: tuple[CellChange, ...]) -> str:
    found = (cell.why_no_change for cell in cells)
    return next((why for why in found if why is not None), "they have no shape in common")


def _cell(
    first: NamedRun,
    other: NamedRun,
    rows: tuple[RowSummary, RowSummary],
    cells: tuple[CellSummary, CellSummary],
    over: Literal["original", "reference"],
    why: str | None,
) -> CellChange:
    old, new = cells
    before, after = (
        cell.speedup if over == "original" else cell.quantization_speedup for cell in cells
    )
    known = CellChange(
        cell=new.cell,
        first_latency=old.optimized,
        other_latency=new.optimized,
        first=before,
        other=after,
        why_no_change=why or _why_no_change((first, other), rows, cells, (before, after)),
    )
    if known.why_no_change is not None or before is None or after is None:
        return known
    if _is_same_measurement(first, other, rows, old.cell):
        return known.model_copy(update={"change": SAME_MEASUREMENT, "same_measurement": True})
    return known.model_copy(update={"change": timing.change(before, after)})


def _why_no_change(
    runs: tuple[NamedRun, NamedRun],
    rows: tuple[RowSummary, RowSummary],
    cells: tuple[CellSummary, CellSummary],
    ratios: tuple[Ratio | None, Ratio | None],
) -> str | None:
    for run, row, cell, ratio in zip(runs, rows, cells, ratios, strict=True):
        if ratio is None:
            return f"{run.name} has no speed-up: {cell.missing or 'it was not timed'}"
        if run.is_invalid(cell.cell, row):
            return (
                f"the timing session of {run.name} is not valid: two copies of one file measured "
                "as different"
            )
    return None


def _is_same_measurement(
    first: NamedRun, other: NamedRun, rows: tuple[RowSummary, RowSummary], cell: Cell
) -> bool:
    """Whether both runs took the times of a row from one session, through the store."""
    sessions = [
        found.session
        for run, row in zip((first, other), rows, strict=True)
        if run.facts is not None
        and row.arm is not None
        and isinstance(found := run.facts.timing(row.arm.id, cell), Timing)
    ]
    return len(sessions) == 2 and sessions[0] == sessions[1]


def _original_differs(
    first: NamedRun, other: NamedRun, environments: tuple[Environment, Environment]
) -> str | None:
    """Why the originals are not equally fast models on one machine; None if they are."""
    names = first.summary.original_name, other.summary.original_name
    if names[0] != names[1]:
        return f"the original is {names[0]} in one, {names[1]} in the other"
    old, new = first.result.subject, other.result.subject
    if old is None or new is None or old.model_digest != new.model_digest:
        return f"{names[0]} runs another model"
    return _packages_differ(*environments, _PYTORCH if names[0] == PYTORCH_EAGER else _ORT)


def _reference_differs(
    first: NamedRun, other: NamedRun, old: RowSummary | None, new: RowSummary | None
) -> str | None:
    """Why the references of a row are not one file at one level; None if they are."""
    if old is None or new is None:
        return "there is no such row in both"
    levels, digests = [], []
    for run, row in ((first, old), (other, new)):
        artifact = run.artifact(row.reference_id)
        if run.facts is None or row.reference_id is None or artifact is None:
            return f"{run.name} has no {REFERENCE} beside it"
        levels.append(run.facts.plan.arm(row.reference_id).optimization_level)
        digests.append(artifact.graph_digest)
    if digests[0] != digests[1]:
        return f"{REFERENCE} is another file in each"
    if levels[0] != levels[1]:
        return f"{REFERENCE} runs at another optimization level in each"
    return None


def _packages_differ(first: Environment, other: Environment, names: tuple[str, ...]) -> str | None:
    found = [
        f"{name} is {first.packages.get(name)} in one, {other.packages.get(name)} in the other"
        for name in names
        if first.packages.get(name) != other.packages.get(name)
    ]
    return ", ".join(found) or None
