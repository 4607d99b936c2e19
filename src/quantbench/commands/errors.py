"""`quantbench errors`: which samples a row answers worse or better than the original."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from quantbench import registry
from quantbench.core.errors import EXIT_OK, QuantbenchError, UsageError

if TYPE_CHECKING:
    from quantbench.core.config import SweepConfig
    from quantbench.core.results import SweepResult
    from quantbench.data.rows import Split


def print_errors(path: Path, row: str, most: int, as_json: bool) -> int:
    """`quantbench errors`: the samples of a row whose score changed, worst first.

    They are read from the dataset again, which has to be the one that was evaluated. All are
    written to `RUN/errors/row-N.parquet`.

    Raises:
        UsageError: there is no such row, or nothing was evaluated.
        QuantbenchError: the dataset is another one, or not there any more.
    """
    from quantbench import run_dir
    from quantbench.analysis.compare import summarize
    from quantbench.analysis.find_row import find_row
    from quantbench.analysis.flips import find_flips
    from quantbench.core.printable import printable
    from quantbench.reports.flips import flip_lines, print_flips, write_flips

    if most < 1:
        raise UsageError(f"--limit must be at least 1, not {most}")
    result = run_dir.load_run(path, registry.catalog())
    summary = summarize(result, registry.task(result.config.task).spec)
    found = find_flips(result, find_row(summary, row), summary.metric_names)
    prepared = run_dir.prepared_before(path)
    if prepared is None:
        raise UsageError(f"{path} holds no run that has begun")
    config = run_dir.pinned(result.config, prepared)
    samples = _samples(config, result, [flip.sample_id for flip in found.flips])
    lines = flip_lines(found, samples)
    with run_dir.locked(path):
        table = path / "errors" / f"row-{found.row}.parquet"
        write_flips(lines, table)
    if as_json:
        said = {"row": found.row, "num_samples": found.num_samples, "num_other": found.num_other}
        print(json.dumps({**said, "samples": lines}, indent=1))
    else:
        print_flips(found, samples, most, sys.stdout)
        print(printable(f"\nAll {len(lines):,} of them: {table}"))
    return EXIT_OK


def _samples(
    config: SweepConfig, result: SweepResult, sample_ids: list[str]
) -> dict[str, dict[str, JsonValue]]:
    """The inputs and references of some samples; an image by its size and mode."""
    from quantbench.data.rows import load_split

    if not sample_ids:
        return {}
    dataset = config.dataset
    split = load_split(dataset, dataset.eval_split, "dataset.eval_split")
    if result.subject is None or split.fingerprint != result.subject.eval_fingerprint:
        raise QuantbenchError(
            f"the split {dataset.eval_split} of {dataset.path} is not the one that was evaluated: "
            "its rows have changed",
            hint="Restore it, or run the sweep again in a new folder.",
        )
    columns = [*dataset.data_keys.values(), *dataset.ref_keys]
    found: dict[str, dict[str, JsonValue]] = {}
    for sample_id in sample_ids:  # one row at a time: images are large
        row = split.row(int(sample_id))
        found[sample_id] = {name: _shown(row[name], split, name) for name in columns}
    return found


def _shown(value: Any, split: Split, column: str) -> JsonValue:
    """A value as JSON has it; a class by its name, an image by its size."""
    from PIL.Image import Image

    if isinstance(value, Image):
        return f"image, {value.width} x {value.height}, {value.mode}"
    names = split.label_names(column)
    if names is not None and isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    if isinstance(value, dict):
        return {str(name): _shown(item, split, column) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item, split, column) for item in value]
    return value if isinstance(value, str | int | float | bool) or value is None else repr(value)
