"""What `quantbench errors` kept of samples: their inputs, read from the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import JsonValue

from quantbench.core.errors import QuantbenchError
from quantbench.core.results import SweepResult
from quantbench.ordinary import read_ordinary
from quantbench.reports.html.flipped import KeptSamples

_PREFIX = "sample."


def read_kept_samples(result: SweepResult, run_dir: Path) -> KeptSamples:
    """The inputs of samples by row and id, of every row that `quantbench errors` was asked about.

    A table of another grid, whose row is not this run's, is left out.

    Raises:
        QuantbenchError: a table is damaged.
    """
    if result.plan is None:
        return {}
    found: dict[int, dict[str, dict[str, JsonValue]]] = {}
    for row in result.plan.rows:
        path = run_dir / "errors" / f"row-{row.number}.parquet"
        if not path.exists():
            continue
        try:
            lines = _lines(path)
        except (OSError, ValueError, NotImplementedError) as error:
            raise QuantbenchError(
                f"{path} is damaged: {' '.join(str(error).split())[:300]}",
                hint=f"Remove it; `quantbench errors {run_dir} --row {row.number}` makes it again.",
            ) from None
        found[row.number] = {
            str(line.get("sample_id")): {
                name.removeprefix(_PREFIX): value
                for name, value in line.items()
                if name.startswith(_PREFIX)
            }
            for line in lines
            if line.get("trial_id") == row.trial.id
        }
    return found


def _lines(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    lines: list[dict[str, Any]] = parquet.read_table(
        pa.BufferReader(read_ordinary(path))
    ).to_pylist()
    return lines
