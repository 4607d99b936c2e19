"""The ways of evaluating the rows of a grid that `evaluation.py` sets side by side."""

from __future__ import annotations

import copy
import functools
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue

from cost_inputs import PADDED_LENGTH
from padding import Padded
from quantbench import environment, registry, run_dir
from quantbench.commands.config_files import read_config_file
from quantbench.core.plan import ORIGINAL_ID, make_plan
from quantbench.core.results import ArmResult, Artifact, Evaluation
from quantbench.core.steps import evaluation_threads, steps
from quantbench.making import Files, making_jobs
from quantbench.measuring import Arms, begin_arms, measuring_jobs
from quantbench.progress import Watcher
from quantbench.protocols import BackendRun, Session, TaskRun
from quantbench.schedule import run_steps
from quantbench.stages.evaluate import evaluate
from quantbench.work import Observer, Work, prepare
from quantbench.worker.access import Access
from quantbench.worker.keys import evaluated_metrics, evaluated_rows
from quantbench.worker.opened import Opened, open_config
from quantbench.worker.sessions import num_threads, session_options

Way = Literal["padded", "unpadded", "side by side"]
Answers = tuple[JsonValue, ...]


@dataclass(frozen=True)
class Pass:
    """One model over all samples of a part, outside a sweep.

    `way`: one session with all threads, `padded` or `unpadded`; or as many sessions of one thread,
    unpadded and `side by side`, each with its share of the samples. `seconds` pass from opening
    to scores; `opening_s` of them in opening the model.
    """

    arm_id: str
    way: Way
    seconds: float
    opening_s: float
    answers: Answers


@dataclass(frozen=True)
class Model:
    """A distinct model of the grid, and the rows that the naive way needs it for.

    The original is needed for each of them; the float32 reference is the sweep's own addition.
    """

    arm_id: str
    name: str
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """What was measured on one part of the samples.

    `sweep_s` and `sweep_answers` (by arm id) are those of the sweep's evaluation, of which
    `side_by_side` arms ran at once. `tokens` are the lengths of the unpadded inputs.
    """

    tokens: tuple[int, ...]
    num_samples: int
    num_threads: int
    side_by_side: int
    sweep_first: bool
    sweep_s: float
    sweep_answers: dict[str, Answers]
    passes: tuple[Pass, ...]
    models: tuple[Model, ...]


def measured_part(path: Path, store: Path, backend: BackendRun, *, sweep_first: bool) -> Part:
    """Evaluate one part of the samples in all ways, in that order or the opposite one.

    Args:
        path: the part's config; its run is written beside it.
        store: an artifact store. Files that an earlier part made are taken from there.
        backend: open, with that store.
        sweep_first: whether the sweep comes first, and padded passes before others.
    """
    out = path.with_suffix("")
    with run_dir.locked(out), Watcher(out.name, sys.stderr, quiet=True) as watcher:
        work, arms = with_files(path, out, store, backend, watcher)
        opened = open_config(work.config.model_dump_json())
        models = distinct_models(work, arms)
        cores = work.prepared.environment.cpu.allowed_cores
        threads = evaluation_threads(work.prepared.environment.num_threads, cores)
        sweep_s, passes = 0.0, list[Pass]()
        for is_sweep in (sweep_first, not sweep_first):
            if is_sweep:
                sweep_s = sweep_evaluation(work, arms, cores // threads)
                print(f"{sweep_s:7.1f} s  {out.name}, all arms", file=sys.stderr, flush=True)
            else:
                passes = naive_passes(work, arms, opened, models, reverse=not sweep_first)
    indices = evaluated_rows(work.config, opened.evaluated.num_rows)
    samples = (opened.evaluated.row(index) for index in indices)
    encoded = [part for sample in samples for part in opened.task.encode(sample)]
    return Part(
        tokens=tuple(part.inputs["input_ids"].shape[1] for part in encoded),
        num_samples=len(indices),
        num_threads=work.prepared.environment.num_threads,
        side_by_side=cores // threads,
        sweep_first=sweep_first,
        sweep_s=sweep_s,
        sweep_answers={model.arm_id: _swept(arms.measured(model.arm_id)) for model in models},
        passes=tuple(passes),
        models=models,
    )


def with_files(
    path: Path, out: Path, store: Path, backend: BackendRun, observer: Observer
) -> tuple[Work, Arms]:
    """A sweep just before its arms are evaluated: as `quantbench.sweep.run_sweep` gets there.

    All workers have opened the model and the data by then: where files come from an earlier part,
    no step before made them do it.
    """
    config, text = read_config_file(path)
    plan = make_plan(config, registry.task(config.task).spec)
    cores = environment.read_cpu().allowed_cores
    num_workers = cores // evaluation_threads(num_threads(config), cores)
    with ThreadPoolExecutor(num_workers) as pool:
        opening = [pool.submit(prepare, config, backend, observer) for _ in range(num_workers)]
        prepared, *_ = [future.result() for future in opening]
    pinned = run_dir.pinned(config, prepared)
    run = run_dir.open_run(out, pinned, text, plan, prepared, fresh=False)
    work = Work(pinned, plan, prepared, run, backend, observer, store, fresh=False)
    files, arms = Files(), Arms()
    _do(work, making_jobs(work, files), cores)
    begin_arms(work, files, arms)
    return work, arms


def sweep_evaluation(work: Work, arms: Arms, side_by_side: int) -> float:
    """Evaluate all arms as a sweep does, and say how many seconds passed."""
    jobs = measuring_jobs(work, arms)
    evaluating = {step_id: job for step_id, job in jobs.items() if step_id.startswith("evaluate ")}
    started = time.perf_counter()
    _do(work, evaluating, side_by_side)
    return time.perf_counter() - started


def distinct_models(work: Work, arms: Arms) -> tuple[Model, ...]:
    """The models that a sweep evaluates, the original first."""
    rows: dict[str, list[int]] = {}
    for row in work.plan.rows:
        if row.arm_id is None:
            raise SystemExit(f"row {row.number} was refused: {row.refused}")
        rows.setdefault(arms.measured(row.arm_id).arm.id, []).append(row.number)
    rows[ORIGINAL_ID] = [row.number for row in work.plan.rows]
    found: list[Model] = []
    for result in arms.runnable():
        if result.arm.role != "reference_twin":
            scheme = "float32" if result.arm.variant is None else result.arm.variant.quantization
            approach = scheme if isinstance(scheme, str) else scheme.approach
            name = f"{result.arm.framework} {approach}"
            found.append(Model(result.arm.id, name, tuple(rows.get(result.arm.id, ()))))
    return tuple(found)


def naive_passes(
    work: Work, arms: Arms, opened: Opened, models: Sequence[Model], *, reverse: bool
) -> list[Pass]:
    """Each model that a row needs, padded and unpadded, one after the other with all threads.

    What the scripts of 2022 did, but that a model that several rows need is passed once. The models
    of `compared_sessions` are passed unpadded and side by side too.
    """
    compared = compared_sessions([arms.measured(model.arm_id) for model in models])
    asked: list[tuple[Model, Way]] = []
    for model in models:
        if model.rows:
            asked.append((model, "padded"))
        if model.rows or model.arm_id in compared:
            asked.append((model, "unpadded"))
        if model.arm_id in compared:
            asked.append((model, "side by side"))
    found: list[Pass] = []
    for model, way in reversed(asked) if reverse else asked:
        found.append(passed(work, opened, arms.measured(model.arm_id), way))
        print(f"{found[-1].seconds:7.1f} s  {model.arm_id}, {way}", file=sys.stderr, flush=True)
    return found


def compared_sessions(results: Sequence[ArmResult]) -> tuple[str, ...]:
    """Of ONNX Runtime's arms with each approach, the one with the most quantized nodes."""
    most: dict[str, tuple[int, str]] = {}
    for result in results:
        if result.arm.variant is not None and isinstance(result.artifact, Artifact):
            quantized = sum(counts.quantized for counts in result.artifact.nodes.values())
            approach = result.arm.variant.quantization.approach
            if approach not in most or quantized > most[approach][0]:
                most[approach] = (quantized, result.arm.id)
    return tuple(arm_id for _, arm_id in most.values())


def passed(work: Work, opened: Opened, result: ArmResult, way: Way) -> Pass:
    """Evaluate all samples of a part with one model in one way."""
    config, threads = work.config, work.prepared.environment.num_threads
    key = result.artifact.key if isinstance(result.artifact, Artifact) else None
    access = Access(work.store, fresh=False, on_progress=lambda _: None)
    path = access.model_path(opened.source.directory, key)
    indices = evaluated_rows(config, opened.evaluated.num_rows)
    samples = [opened.evaluated.row(index) for index in indices]
    metrics = evaluated_metrics(config)
    num_sessions = threads if way == "side by side" else 1
    options = session_options(config, result.arm.optimization_level, threads // num_sessions)
    # A tokenizer is for one thread.
    tasks = [copy.deepcopy(opened.task) for _ in range(num_sessions)]

    def share(place: int) -> tuple[float, Answers]:
        started = time.perf_counter()
        session = registry.runtime(result.arm.framework).open(path, options)
        opening_s = time.perf_counter() - started
        used: Session = Padded(session, PADDED_LENGTH) if way == "padded" else session
        try:
            return opening_s, _answers(used, tasks[place], samples[place::num_sessions], metrics)
        finally:
            session.close()

    started = time.perf_counter()
    if num_sessions == 1:
        shares = [share(0)]
    else:
        with ThreadPoolExecutor(num_sessions) as pool:
            shares = list(pool.map(share, range(num_sessions)))
    seconds = time.perf_counter() - started
    answers = tuple(
        shares[place % num_sessions][1][place // num_sessions] for place in range(len(samples))
    )
    return Pass(result.arm.id, way, seconds, max(opening for opening, _ in shares), answers)


def _answers(
    session: Session, task: TaskRun, samples: Sequence[Any], metrics: Sequence[str]
) -> Answers:
    ids = [str(place) for place in range(len(samples))]
    found = evaluate(session, task, samples, ids, metrics, None, on_sample=lambda _: None)
    return tuple(prediction.answer for prediction in found.predictions)


def _swept(result: ArmResult) -> Answers:
    if not isinstance(result.evaluation, Evaluation):
        raise SystemExit(f"{result.arm.id} was not evaluated: {result.evaluation}")
    return tuple(prediction.answer for prediction in result.evaluation.predictions)


def _do(work: Work, jobs: dict[str, Callable[[], None]], side_by_side: int) -> None:
    """Do the steps of a sweep that there are jobs for."""
    todo = steps(work.plan, work.config, work.prepared.subject.num_eval_samples)
    run_steps(
        [step for step in todo if step.id in jobs],
        lambda step: jobs[step.id](),
        side_by_side=side_by_side,
        fits=functools.partial(environment.has_memory_for, work.memory_budget_bytes),
        stop=work.backend.close,
    )
