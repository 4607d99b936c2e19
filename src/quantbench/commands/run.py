"""`quantbench run`, `demo`, `card` and `report`: do a sweep, write its reports."""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.commands.config_files import read_config_file
from quantbench.core.errors import EXIT_FAILED, EXIT_OK, EXIT_SOME_ROWS_FAILED, QuantbenchError
from quantbench.core.printable import printable
from quantbench.reports.paths import CARD, REPORT

if TYPE_CHECKING:
    from quantbench.sweep import Reported

DEMOS = ("questions", "digits")


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C is taken: workers are ended, and what is known stays on disk."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_config(path: Path, out: Path, quiet: bool, as_json: bool, fresh: bool) -> int:
    """`quantbench run`: the exit code says whether all rows are there."""
    from quantbench.progress import Watcher
    from quantbench.reports.tables import rows_as_json
    from quantbench.reports.terminal import print_result
    from quantbench.store import default_store
    from quantbench.sweep import run_sweep

    config, text = read_config_file(path)
    try:
        with ended_in_order(), Watcher(path.stem, sys.stderr, quiet) as watcher:
            reported = run_sweep(config, text, out, default_store(), watcher, fresh)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise QuantbenchError(
            f"cannot write{where}: {error.strerror or error}",
            hint="What was done so far is kept: make room, and run the same command again.",
        ) from error
    summary = reported.summary
    if as_json:
        print(json.dumps(rows_as_json(summary), indent=1))
    elif not quiet:
        print_result(summary, out, sys.stdout)
    if print_problems(reported.problems):
        return EXIT_FAILED
    statuses = [row.status for row in summary.rows]
    bad = [status for status in statuses if status in ("failed", "refused", "partial")]
    if not bad:
        return EXIT_OK
    return EXIT_FAILED if len(bad) == len(statuses) else EXIT_SOME_ROWS_FAILED


def run_demo(out: Path, quiet: bool) -> int:
    """`quantbench demo`: both bundled sweeps, one after the other; the worse exit code."""
    codes = []
    configs = importlib.resources.files("quantbench.demo")
    for name in DEMOS:
        with importlib.resources.as_file(configs / f"demo-{name}.yaml") as path:
            codes.append(run_config(path, out / f"demo-{name}", quiet, as_json=False, fresh=False))
    # The worst first: 1 (failed) is worse than 4 (some rows failed).
    return next((code for code in (EXIT_FAILED, EXIT_SOME_ROWS_FAILED) if code in codes), EXIT_OK)


def write_card(path: Path) -> int:
    """`quantbench card`: every report of a run, from its stored results alone."""
    reported = _written_again(path, None)
    print(path / CARD)
    return EXIT_FAILED if print_problems(reported.problems) else EXIT_OK


def write_html(path: Path) -> int:
    """`quantbench report`: the HTML report of a run, from its stored results alone."""
    if print_problems(_written_again(path, ("html",)).problems):
        return EXIT_FAILED
    print(path / REPORT)
    return EXIT_OK


def _written_again(path: Path, names: Sequence[str] | None) -> Reported:
    """Write those reports of a run; all of them for None."""
    from quantbench.run_dir import check_run, locked
    from quantbench.sweep import write_reports

    check_run(path)
    try:
        with locked(path):
            return write_reports(path, names)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise QuantbenchError(f"cannot write{where}: {error.strerror or error}") from error


def print_problems(problems: tuple[str, ...]) -> bool:
    """Tell which reports could not be written; returns whether there were any."""
    for problem in problems:
        print(f"quantbench: {printable(problem)}", file=sys.stderr)
    return bool(problems)
