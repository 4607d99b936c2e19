"""The units that measure: `evaluate` one arm, `time` all arms of a cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quantbench import environment, registry, store
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import Evaluation
from quantbench.core.units import CellTimings, EvaluateUnit, TimeUnit
from quantbench.protocols import OnProgress, Progress
from quantbench.worker.opened import eval_indices, opened_as_pinned
from quantbench.worker.reads import (
    ENCODING_PACKAGES,
    STAGE_VERSIONS,
    model_path,
    session_options,
    task_reads,
    versions,
)


def evaluate_arm(unit: EvaluateUnit, root: Path, on_progress: OnProgress) -> Evaluation:
    """Measure the accuracy of one arm, or find it in the store.

    Raises:
        QuantbenchError: the model cannot be opened or run.
        ConfigError: a row cannot be encoded.
    """
    from quantbench.stages.evaluate import evaluate

    config, opened = unit.config, opened_as_pinned(unit.config, unit.subject)
    spec = registry.task(config.task).spec
    metrics = config.metrics or tuple(metric.name for metric in spec.metrics)
    indices = eval_indices(config, opened)
    reads = {
        "model": unit.subject.model_digest,
        "graph": unit.graph_digest,
        "framework": unit.arm.framework,
        "optimization_level": unit.arm.optimization_level,
        "num_threads": unit.num_threads,
        "data": opened.evaluated.fingerprint,
        "indices": indices,
        "metrics": metrics,
        "cluster_key": config.dataset.cluster_key,
        "task": task_reads(config, unit.subject),
        "machine": environment.accuracy_fingerprint(environment.read_cpu()),
        "tools": versions("torch", "onnxruntime", *ENCODING_PACKAGES),
    }
    key = store.artifact_key("evaluate", STAGE_VERSIONS["evaluate"], reads)

    def build(_: Path) -> store.Facts:
        options = session_options(config, unit.arm.optimization_level, unit.num_threads)
        path = model_path(root, opened, unit.artifact_key)
        session = registry.runtime(unit.arm.framework).open(path, options)
        try:
            evaluation = evaluate(
                session,
                opened.task,
                (opened.evaluated.row(index) for index in indices),
                [str(index) for index in indices],
                metrics,
                config.dataset.cluster_key,
                on_sample=lambda done: on_progress(
                    Progress(done, len(indices), f"sample {done} of {len(indices)}")
                ),
            )
        finally:
            session.close()
        return evaluation.model_dump(mode="json")

    return Evaluation.model_validate(store.make(root, key, build).facts)


def time_arms(unit: TimeUnit, root: Path, on_progress: OnProgress) -> CellTimings:
    """Time all arms of one cell. Times are never taken from the store."""
    from quantbench.stages.time import ArmSpec, Comparison, time_cell

    config, opened = unit.config, opened_as_pinned(unit.config, unit.subject)
    rng = np.random.default_rng(config.seed)
    inputs = opened.task.dummy_inputs(unit.cell.batch_size, unit.cell.input_length, rng)
    arms = tuple(
        ArmSpec(
            id=arm.id,
            framework=arm.framework,
            path=model_path(root, opened, key),
            options=session_options(config, arm.optimization_level, unit.num_threads),
        )
        for arm, key in unit.arms
    )
    timings = time_cell(
        Comparison(unit.cell, arms, unit.reference_id, ORIGINAL_ID),
        inputs,
        config.time_benchmark_args,
        environment.pinned_cpus(unit.num_threads),
        config.seed,
        on_progress=lambda part, text: on_progress(Progress(part, 1.0, text)),
    )
    return CellTimings(timings=timings)
