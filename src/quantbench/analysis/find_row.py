"""Which row is meant: by its number in the table, or the start of its trial's id."""

from __future__ import annotations

from quantbench.core.errors import UsageError, nearest_name
from quantbench.core.summary import RowSummary, SweepSummary


def find_row(summary: SweepSummary, asked: str) -> RowSummary:
    """The row that is asked for; a number counts before an id that begins with it.

    Raises:
        UsageError: there is no such row, or more than one.
    """
    numbers = [row for row in summary.rows if str(row.number) == asked]
    found = numbers or [row for row in summary.rows if asked and row.trial_id.startswith(asked)]
    if len(found) == 1:
        return found[0]
    if found:
        listing = ", ".join(f"{row.trial_id} (row {row.number})" for row in found)
        hint = "Give more of it, or the row's number."
        raise UsageError(f"--row {asked!r} begins several trials: {listing}", hint=hint)
    ids = {row.trial_id: row.number for row in summary.rows}
    listing = "\n".join(f"    {number}  {trial_id}" for trial_id, number in ids.items())
    nearest = nearest_name(asked, ids)
    raise UsageError(
        f"--row {asked!r} is no row of this run. Its rows, with their trials:\n{listing}",
        hint=f"Did you mean {nearest} (row {ids[nearest]})?" if nearest else None,
    )
