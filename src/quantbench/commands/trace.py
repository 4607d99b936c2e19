"""`quantbench trace`: what made a number."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from quantbench import registry
from quantbench.core.errors import EXIT_OK


def print_trace(path: Path, row: str, metric: str | None, as_json: bool) -> int:
    """`quantbench trace`: what made the numbers of a row, back to the model and the data."""
    from quantbench import run_dir
    from quantbench.analysis.compare import summarize
    from quantbench.analysis.trace import trace
    from quantbench.reports.trace import print_tree

    result = run_dir.load_run(path, registry.catalog())
    spec = registry.task(result.config.task).spec
    found = trace(result, summarize(result, spec), spec, row, metric, path / "pinned.yaml")
    if as_json:
        print(json.dumps(found.model_dump(mode="json"), indent=1))
    else:
        print_tree(found, sys.stdout)
    return EXIT_OK
