"""The units that measure: `evaluate` one arm, `time` all arms of a cell."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from quantbench import environment, registry, store
from quantbench.core.results import Evaluation, Timing, TimingOutcome
from quantbench.core.units import CellTimings, EvaluateUnit, TimedArm, TimedCell, TimeUnit
from quantbench.protocols import Inputs, Progress
from quantbench.worker.access import Access
from quantbench.worker.keys import evaluate_key, evaluated_metrics, evaluated_rows, time_keys
from quantbench.worker.opened import Opened, check_unchanged, opened_as_pinned
from quantbench.worker.sessions import session_options


def evaluate_arm(unit: EvaluateUnit, access: Access) -> Evaluation:
    """Measure the accuracy of one arm, or find it in the store.

    Raises:
        QuantbenchError: the model cannot be opened or run.
        ConfigError: a row cannot be encoded.
    """
    from quantbench.stages.evaluate import evaluate

    config, opened = unit.config, opened_as_pinned(unit.config, unit.subject)
    indices = evaluated_rows(config, unit.subject.eval_num_rows)

    def build(_: Path) -> store.Facts:
        options = session_options(config, unit.arm.optimization_level, unit.num_threads)
        path = access.model_path(opened.source.directory, unit.artifact_key)
        session = registry.runtime(unit.arm.framework).open(path, options)
        try:
            evaluation = evaluate(
                session,
                opened.task,
                (opened.evaluated.row(index) for index in indices),
                [str(index) for index in indices],
                evaluated_metrics(config),
                config.dataset.cluster_key,
                on_sample=lambda done: access.on_progress(
                    Progress(done, len(indices), f"sample {done} of {len(indices)}")
                ),
                first_nan=functools.partial(_first_nan, path, access),
            )
        finally:
            session.close()
        check_unchanged(opened)
        return evaluation.model_dump(mode="json")

    return Evaluation.model_validate(access.make(evaluate_key(unit), unit.stage, build))


def _first_nan(path: Path, access: Access, inputs: Inputs) -> str | None:
    """The first node of an ONNX file that makes a NaN of some inputs; None for other models."""
    from quantbench.stages.calibrate_graph import first_broken_node

    if path.suffix != ".onnx":
        return None
    with store.scratch(access.root) as folder:
        return first_broken_node(path, inputs, folder, lambda values: ~np.isnan(values))


def time_arms(unit: TimeUnit, access: Access) -> CellTimings:
    """Time all arms of one cell, and keep the times of each with those that it is compared with.

    Another run may have timed the same while this one waited for the machine: then that is taken.
    """
    from quantbench.stages.time import machine_lock

    def tell(part: float, text: str) -> None:
        access.on_progress(Progress(part, 1.0, text))

    keys = time_keys(unit)
    # What was timed is stored before the next one may begin: it is to find it there.
    with machine_lock(tell):
        found = None if access.fresh else _timed_meanwhile(unit, access)
        if found is not None:
            return CellTimings(timings=found)
        opened = opened_as_pinned(unit.config, unit.subject)
        timings = _time(unit, opened, access, tell)
        check_unchanged(opened)
        for item in unit.arms:
            if item.arm.id in keys:
                _keep(item, keys[item.arm.id], timings, access)
    return CellTimings(timings=timings)


def _keep(item: TimedArm, key: str, timings: Mapping[str, TimingOutcome], access: Access) -> None:
    """Keep the times of an arm, if those that it is compared with are there too."""
    names = (item.arm.id, *item.compared_with)
    measured = [found for found in (timings[name] for name in names) if isinstance(found, Timing)]
    if len(measured) == len(names):
        reference = names.index(measured[0].reference_id)
        kept = TimedCell(timings=tuple(measured), reference=reference)
        # Times that are there already are older: these were asked for, so they count.
        store.remake(access.root, key, "time", kept.as_facts)


def _timed_meanwhile(unit: TimeUnit, access: Access) -> dict[str, TimingOutcome] | None:
    """The times of all arms in one session, if the store has them."""
    found: dict[str, TimingOutcome] = {}
    sessions: set[str] = set()
    for arm_id, key in time_keys(unit).items():
        facts = store.recall(access.root, key)
        if facts is None:
            return None
        (arm,) = (item for item in unit.arms if item.arm.id == arm_id)
        named = TimedCell.model_validate(facts).named(arm)
        sessions |= {timing.session for timing in named.values()}
        found |= named
    return found if len(sessions) == 1 else None


def _time(
    unit: TimeUnit, opened: Opened, access: Access, on_progress: Callable[[float, str], None]
) -> dict[str, TimingOutcome]:
    from quantbench.stages.arm_processes import ArmSpec, ArmStarter
    from quantbench.stages.time import Comparison, time_cell

    config = unit.config
    rng = np.random.default_rng(config.seed)
    inputs = opened.task.dummy_inputs(unit.cell.batch_size, unit.cell.input_length, rng)
    arms = tuple(
        ArmSpec(
            id=item.arm.id,
            framework=item.arm.framework,
            path=access.model_path(opened.source.directory, item.artifact_key),
            options=session_options(config, item.arm.optimization_level, unit.num_threads),
            compared_with=item.compared_with,
        )
        for item in unit.arms
    )
    with store.scratch(access.root) as folder, contextlib.closing(ArmStarter()) as start:
        timed = time_cell(
            Comparison(unit.cell, arms, unit.reference_id),
            inputs,
            config.time_benchmark_args,
            environment.pinned_cpus(unit.num_threads),
            config.seed,
            on_progress=on_progress,
            scratch=folder,
            start=start,
        )
    return dict[str, TimingOutcome](timed)
