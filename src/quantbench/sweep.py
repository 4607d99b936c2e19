"""A sweep, from config to card: plan, pin, make, measure, report.

Everything is kept as soon as it is known, so an interrupted sweep goes on where it was; a unit of
work that fails costs the rows that need it, never the sweep.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quantbench import environment, registry, run_dir
from quantbench.analysis.compare import summarize
from quantbench.cache.runs import register_run
from quantbench.core.config import SweepConfig
from quantbench.core.estimate import Past, expected_seconds, how_good
from quantbench.core.plan import make_plan
from quantbench.core.results import Spent, SweepResult
from quantbench.core.steps import (
    GUESSED_SAMPLES,
    REPORT_NAME,
    Step,
    evaluation_threads,
    steps,
)
from quantbench.core.summary import SweepSummary
from quantbench.core.units import Prepared, TimeUnit, Unit
from quantbench.data.stamps import stamp
from quantbench.explaining import explain_worst
from quantbench.history import add_to_history, read_history, this_machine
from quantbench.known import remember
from quantbench.making import Files, making_jobs
from quantbench.measuring import Arms, begin_arms, measuring_jobs
from quantbench.protocols import BackendRun
from quantbench.schedule import run_steps
from quantbench.store import open_store
from quantbench.summary_file import keep, summarized
from quantbench.work import Observer, Work, prepare
from quantbench.worker.sessions import num_threads


@dataclass(frozen=True)
class Reported:
    """What the reports were made from, and a line for each that could not be written."""

    summary: SweepSummary
    problems: tuple[str, ...]


def run_sweep(
    config: SweepConfig, config_text: str, out: Path, store: Path, observer: Observer, fresh: bool
) -> Reported:
    """Run a sweep and write its results and reports.

    Args:
        config: a checked config.
        config_text: the text that it was read from, kept with the run.
        out: the run's folder; made when the model and the data are known to fit.
        store: the artifact store.
        observer: told what is going on.
        fresh: reuse nothing, neither from the store nor from an earlier run in the folder.

    Raises:
        UsageError: the model, the data or the folder do not fit; nothing was written.
    """
    plan = make_plan(config, registry.task(config.task).spec)
    run_dir.check_target(out, config, registry.catalog())
    open_store(store)
    backend = registry.backend(config.backend).open(config.backend_args, store, fresh=fresh)
    try:
        guessed = steps(plan, config, config.max_eval_samples or GUESSED_SAMPLES)
        observer.begin(guessed, expected_seconds(guessed, (), "", None))
        prepared = _prepared(config, out, backend, observer, fresh)
        remember(store, config, prepared)
        todo = steps(plan, config, prepared.subject.num_eval_samples)
        expected = expected_seconds(todo, read_history(store), this_machine(), prepared.subject)
        observer.begin(todo, expected)
        pinned = run_dir.pinned(config, prepared)
        with run_dir.locked(out):
            run_dir.check_target(out, config, registry.catalog())  # it may have begun meanwhile
            run = run_dir.open_run(out, pinned, config_text, plan, prepared, fresh)
            register_run(store, out)
            for text in prepared.notes:
                run.log(f"note: {text}")
            work = Work(
                config=pinned,
                plan=plan,
                prepared=prepared,
                run=run,
                backend=backend,
                observer=observer,
                store=store,
                fresh=fresh,
                expected=expected,
                learn=functools.partial(_learn, {step.id: step for step in todo}, prepared, store),
            )
            files, arms, already = Files(), Arms(), len(run.read_spent())
            cores = environment.read_cpu().allowed_cores
            _do(todo, making_jobs(work, files), work, cores)
            begin_arms(work, files, arms)
            threads = evaluation_threads(prepared.environment.num_threads, cores)
            _do(todo, measuring_jobs(work, arms), work, cores // threads)
            _explain(work, run, out)
            error = how_good(run.read_spent()[already:])
            if error is not None:
                observer.note(error)
                run.log(f"note: {error}")
            observer.step("report", REPORT_NAME)
            return write_reports(out)
    finally:
        backend.close()


def write_reports(out: Path, names: Sequence[str] | None = None) -> Reported:
    """Write reports from the stored results of a run alone: those of `names`, or all installed.

    One that fails does not keep the others from being written: what went wrong is in the run's
    log, and a line in `problems`. The summary is kept, so that it need not be derived again.
    """
    found = summarized(out)
    keep(out, found)

    @functools.cache
    def everything() -> SweepResult:
        return found.everything or run_dir.load_run(out, registry.catalog())

    problems: list[str] = []
    for name in registry.names("quantbench.reports") if names is None else names:
        try:
            report = registry.report(name)
            result = everything() if getattr(report, "reads_raw", True) else found.outline
            report.write(result, found.summary, found.task, out)
        except Exception as error:  # Reports of other packages may raise anything.
            line = " ".join(f"{type(error).__name__}: {error}".split())
            problems.append(f"the report {name!r} could not be written: {line}")
            run_dir.RunDir(out).log(f"{problems[-1]}\n{traceback.format_exc()}")
    return Reported(found.summary, tuple(problems))


def _explain(work: Work, run: run_dir.RunDir, out: Path) -> None:
    """Explain the worst row, now that all are measured."""
    result = run_dir.load_run(out, registry.catalog())
    explained = explain_worst(
        work, result, summarize(result, registry.task(result.config.task).spec)
    )
    if explained is not None:
        run.write_explained(explained)


def _prepared(
    config: SweepConfig, out: Path, backend: BackendRun, observer: Observer, fresh: bool
) -> Prepared:
    """What the model and the data are: as an earlier run found them, if no file changed since."""
    before = None if fresh else run_dir.prepared_before(out)
    if before is not None and before.stamp == stamp(before.files):
        found = environment.read_environment(num_threads(config))
        return before.model_copy(update={"environment": found})
    return prepare(config, backend, observer)


def _learn(
    todo: Mapping[str, Step], prepared: Prepared, store: Path, unit: Unit, spent: Spent
) -> None:
    """Keep what a unit took, so that the next plan knows."""
    step = todo[f"{spent.stage} {spent.name}"]
    amount = step.amount
    if isinstance(unit, TimeUnit):  # arms whose times were known are not in it
        amount = len(unit.arms) * unit.config.time_benchmark_args.duration
    past = Past(
        machine=this_machine(),
        stage=spent.stage,
        kind=step.kind,
        amount=amount,
        model=prepared.subject.model_digest,
        num_parameters=prepared.subject.num_parameters,
        seconds=spent.seconds,
        peak_rss_bytes=spent.peak_rss_bytes,
    )
    add_to_history(store, past)


def _do(
    todo: Sequence[Step], jobs: dict[str, Callable[[], None]], work: Work, side_by_side: int
) -> None:
    """Do the steps that there are jobs for."""
    run_steps(
        [step for step in todo if step.id in jobs],
        lambda step: jobs[step.id](),
        side_by_side=side_by_side,
        fits=functools.partial(environment.has_memory_for, work.memory_budget_bytes),
        stop=work.backend.close,
    )
