"""`quantbench explain`: why a row is as accurate and as fast as it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from quantbench import registry
from quantbench.core.errors import EXIT_OK, UsageError


def print_explanation(path: Path, row: str, num_samples: int, as_json: bool) -> int:
    """`quantbench explain`: the facts of a row, kept in the run's folder, and advice from them."""
    from quantbench import run_dir
    from quantbench.analysis.compare import summarize
    from quantbench.analysis.explain import why
    from quantbench.analysis.find_row import find_row
    from quantbench.commands.run import ended_in_order
    from quantbench.explaining import explain_row
    from quantbench.progress import Watcher
    from quantbench.reports.explain import print_why

    if num_samples < 1:
        raise UsageError(f"--samples must be at least 1, not {num_samples}")
    result = run_dir.load_run(path, registry.catalog())
    found = find_row(summarize(result, registry.task(result.config.task).spec), row)
    with (
        run_dir.locked(path),
        ended_in_order(),
        Watcher(path.name, sys.stderr, quiet=as_json) as watcher,
    ):
        explained = explain_row(path, result, found, num_samples, watcher)
        run_dir.RunDir(path).write_explained(explained)
    derived = why(explained)
    if as_json:
        print(json.dumps(derived.model_dump(mode="json"), indent=1))
    else:
        print_why(derived, sys.stdout)
    return EXIT_OK
