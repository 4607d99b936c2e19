"""The HTML report: one file that works offline, with every number behind the decision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from quantbench.core.results import SweepResult
from quantbench.core.specs import TaskSpec
from quantbench.core.summary import SweepSummary
from quantbench.reports import paths
from quantbench.reports.html.kept_samples import read_kept_samples
from quantbench.reports.html.page import render_report
from quantbench.reports.html.runtime import vega_runtime
from quantbench.store import write_atomically


@dataclass(frozen=True)
class HtmlReport:
    """Writes the report as report.html."""

    name: str = "html"
    reads_raw: bool = True

    def write(
        self, result: SweepResult, summary: SweepSummary, task: TaskSpec, run_dir: Path
    ) -> list[Path]:
        """Write the report below `run_dir`; returns the file written."""
        kept = read_kept_samples(result, run_dir)
        path = run_dir / paths.REPORT
        write_atomically(path, render_report(result, summary, kept, vega_runtime()))
        return [path]


REPORT = HtmlReport()
