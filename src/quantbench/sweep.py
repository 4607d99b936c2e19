"""A sweep from config to card: plan, prepare, make files, evaluate, time, report.

Each distinct thing is done once, by a backend, and its outcome is kept as soon as it is known.
"""

from __future__ import annotations

from pathlib import Path

from quantbench import registry, run_dir
from quantbench.core.config import SweepConfig
from quantbench.core.plan import make_plan
from quantbench.core.results import SweepResult
from quantbench.core.steps import steps
from quantbench.making import make_artifacts
from quantbench.measuring import evaluate_arms, time_cells
from quantbench.work import Observer, Work, prepare

REPORTS = ("tables", "plots", "card")


def run_sweep(
    config: SweepConfig, config_text: str, out: Path, store: Path, observer: Observer
) -> SweepResult:
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
    observer.begin(steps(plan, config))
    backend = registry.backend(config.backend).open(config.backend_args, store)
    try:
        prepared = prepare(config, backend, observer)
        run = run_dir.open_run(out, config_text, plan, prepared.environment, prepared.subject)
        work = Work(config, plan, prepared, run, backend, observer)
        artifacts = make_artifacts(work)
        results = evaluate_arms(work, artifacts)
        time_cells(work, results)
    finally:
        backend.close()
    observer.step("report", "card, table and pictures")
    return write_reports(out)


def write_reports(out: Path) -> SweepResult:
    """Write every report of a run from its stored results alone."""
    result = run_dir.load_run(out, registry.catalog())
    spec = registry.task(result.config.task).spec
    for name in REPORTS:
        registry.report(name).write(result, spec, out)
    return result
