"""`quantbench compare`: the same rows in several runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from quantbench import registry
from quantbench.core.errors import EXIT_OK, EXIT_SOME_ROWS_FAILED, UsageError


def print_run_comparison(
    paths: Sequence[Path], row: str | None, *, shapes: bool, as_json: bool
) -> int:
    """`quantbench compare`: every run beside the first; with 4 where a row is not in all of them.

    Args:
        paths: two runs or more.
        row: only that row of the first run.
        shapes: print times by shape too.
        as_json: print all of it as JSON instead.

    Raises:
        UsageError: there are too few runs, or of different tasks, or no such row.
        QuantbenchError: the results of a run cannot be read.
    """
    from quantbench.analysis.find_row import find_row
    from quantbench.analysis.run_comparison import compare_runs
    from quantbench.commands.named_runs import read_runs
    from quantbench.reports.run_comparison import print_comparison, print_shapes

    if len(paths) < 2:
        raise UsageError(
            "compare needs two runs or more", hint="Give their folders: quantbench compare OLD NEW"
        )
    runs = read_runs(paths)
    only = None if row is None else find_row(runs[0].summary, row).number
    found = compare_runs(runs, registry.task(runs[0].result.config.task).spec, only)
    if as_json:
        print(json.dumps(found.model_dump(mode="json"), indent=1))
    else:
        print_comparison(found, sys.stdout)
        if shapes:
            print_shapes(found, sys.stdout)
    whole = all(item.is_whole for pair in found.pairs for item in pair.rows)
    return EXIT_OK if whole else EXIT_SOME_ROWS_FAILED
