"""`quantbench gate`: does a run meet conditions? For CI: an exit code, JUnit XML, Markdown."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.core.amounts import parse_limit, parse_percent
from quantbench.core.errors import UsageError
from quantbench.core.gate import EXIT_CODES, Conditions

if TYPE_CHECKING:
    from quantbench.analysis.named_run import NamedRun


@dataclass(frozen=True)
class Options:
    """What was given on the command line, as it was written; None was not given."""

    max_drop: str | None = None
    min_speedup: str | None = None
    row: str | None = None
    shape: str | None = None
    baseline: Path | None = None
    max_slowdown: str | None = None
    junit: Path | None = None
    markdown: Path | None = None


def print_gate_result(path: Path, options: Options, *, as_json: bool) -> int:
    """`quantbench gate`: 0 passed, 1 failed, 3 undecided.

    Raises:
        UsageError: no condition is asked for, a limit is none, there is no such row or shape, the
            baseline is of another task, or a file cannot be written.
        QuantbenchError: the results of a run cannot be read.
    """
    from quantbench.analysis.find_cell import find_cell
    from quantbench.analysis.find_row import find_row
    from quantbench.analysis.gate import gate
    from quantbench.commands.named_runs import read_run
    from quantbench.commands.output_files import check_outputs, write_output
    from quantbench.reports.gate import gate_markdown, print_gate
    from quantbench.reports.junit import gate_junit

    conditions = _conditions(options)
    check_outputs({"--junit": options.junit, "--markdown": options.markdown})
    baseline = None
    if options.baseline is not None:
        run, baseline = _both(path, options.baseline)
    else:
        run = read_run(path)
    row = None if options.row is None else find_row(run.summary, options.row)
    cell = None if options.shape is None else find_cell(run.summary.cells, options.shape)
    found = gate(run, conditions, row, cell, baseline)
    if options.junit is not None:
        write_output(options.junit, gate_junit(found))
    if options.markdown is not None:
        write_output(options.markdown, gate_markdown(found))
    if as_json:
        told = {"outcome": found.outcome, **found.model_dump(mode="json")}
        print(json.dumps(told, indent=1))
    else:
        print_gate(found, sys.stdout)
    return EXIT_CODES[found.outcome]


def _both(path: Path, baseline: Path) -> tuple[NamedRun, NamedRun]:
    """The run and the one that it is held against."""
    from quantbench.analysis.run_comparison import check_same_task
    from quantbench.commands.named_runs import read_runs

    old, new = read_runs([baseline, path])
    check_same_task(old, new)
    return new, old


def _conditions(options: Options) -> Conditions:
    """What is asked for.

    Raises:
        UsageError: nothing is, a limit cannot be read, or an option could not act.
    """
    drop, speedup, slowdown = options.max_drop, options.min_speedup, options.max_slowdown
    if drop is None and speedup is None and slowdown is None:
        raise UsageError(
            "no condition is given: there is nothing that the run could fail",
            hint="Give at least one of --max-drop, --min-speedup, and --baseline with "
            "--max-slowdown.",
        )
    if (slowdown is None) != (options.baseline is None):
        raise UsageError(
            "--baseline and --max-slowdown belong together: the one says against which run, the "
            "other by how much",
            hint="Give both, or neither: --baseline OLD --max-slowdown 3%.",
        )
    if options.shape is not None and speedup is None and slowdown is None:
        raise UsageError(
            "--shape says where speed is looked at, and no condition is about speed",
            hint="Leave it out, or add --min-speedup.",
        )
    return Conditions(
        max_drop_points=None if drop is None else parse_limit(drop, "--max-drop"),
        min_speedup=None if speedup is None else parse_limit(speedup, "--min-speedup"),
        max_slowdown_percent=(
            None if slowdown is None else parse_percent(slowdown, "--max-slowdown")
        ),
    )
