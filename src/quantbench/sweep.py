"""A sweep from config to card: plan, prepare, make files, evaluate, time, report.

Each distinct thing is done once, by a backend, and its outcome is kept as soon as it is known.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

from quantbench import registry, run_dir
from quantbench.analysis.compare import summarize
from quantbench.core.config import SweepConfig
from quantbench.core.plan import make_plan
from quantbench.core.steps import steps
from quantbench.core.summary import SweepSummary
from quantbench.making import make_artifacts
from quantbench.measuring import evaluate_arms, time_cells
from quantbench.store import check_store
from quantbench.work import Observer, Work, prepare


@dataclass(frozen=True)
class Reported:
    """What the reports were made from, and a line for each that could not be written."""

    summary: SweepSummary
    problems: tuple[str, ...]


def run_sweep(
    config: SweepConfig, config_text: str, out: Path, store: Path, observer: Observer
) -> Reported:
    """Run a sweep and write its results and reports.

    Args:
        config: a checked config.
        config_text: the text that it was read from, kept with the run.
        out: the run's folder; made when the model and the data are known to fit.
        store: the artifact store.
        observer: told what is going on.

    Raises:
        UsageError: the model, the data or the folder do not fit; nothing was written.
    """
    plan = make_plan(config, registry.task(config.task).spec)
    run_dir.check_target(out, config, registry.catalog())
    check_store(store)
    observer.begin(steps(plan, config))
    backend = registry.backend(config.backend).open(config.backend_args, store)
    try:
        prepared = prepare(config, backend, observer)
        with run_dir.locked(out):
            run = run_dir.open_run(out, config_text, plan, prepared.environment, prepared.subject)
            for text in prepared.notes:
                run.log(f"note: {text}")
            work = Work(config, plan, prepared, run, backend, observer)
            artifacts = make_artifacts(work)
            results = evaluate_arms(work, artifacts)
            time_cells(work, results)
    finally:
        backend.close()
    observer.step("report", "card, table and pictures")
    return write_reports(out)


def write_reports(out: Path) -> Reported:
    """Write every report that is installed from the stored results of a run alone.

    One that fails does not keep the others from being written: what went wrong is in the run's
    log, and a line in `problems`.
    """
    result = run_dir.load_run(out, registry.catalog())
    spec = registry.task(result.config.task).spec
    summary = summarize(result, spec)
    problems: list[str] = []
    for name in registry.names("quantbench.reports"):
        try:
            registry.report(name).write(result, summary, spec, out)
        except Exception as error:  # Reports of other packages may raise anything.
            line = " ".join(f"{type(error).__name__}: {error}".split())
            problems.append(f"the report {name!r} could not be written: {line}")
            run_dir.RunDir(out).log(f"{problems[-1]}\n{traceback.format_exc()}")
    return Reported(summary, tuple(problems))
