"""Which shape is meant: `1x128` is batch size 1 and input length 128, `4` a batch of images."""

from __future__ import annotations

from collections.abc import Sequence

from quantbench.core.errors import UsageError, nearest_name
from quantbench.core.plan import Cell


def shape_name(cell: Cell) -> str:
    """How a shape is written on the command line."""
    length = "" if cell.input_length is None else f"x{cell.input_length}"
    return f"{cell.batch_size}{length}"


def find_cell(cells: Sequence[Cell], asked: str) -> Cell:
    """The cell that is asked for, by its shape or its id (`b1-l128`).

    Raises:
        UsageError: none of the run's cells has that shape.
    """
    by_name = {name: cell for cell in cells for name in (shape_name(cell), cell.id)}
    found = by_name.get(asked.strip().lower().replace("×", "x"))
    if found is not None:
        return found
    names = [shape_name(cell) for cell in cells]
    nearest = nearest_name(asked, names)
    raise UsageError(
        f"--shape {asked!r} is no shape of this run; its shapes: {', '.join(names) or 'none'}",
        hint=f"Did you mean {nearest}?" if nearest else None,
    )
