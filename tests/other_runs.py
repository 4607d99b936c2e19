"""The synthetic sweep measured once more: in another session, elsewhere, faster, on other data."""

from __future__ import annotations

import json
from pathlib import Path

from quantbench import run_dir
from quantbench.analysis.named_run import NamedRun, named_run
from quantbench.core.plan import make_plan
from quantbench.core.results import (
    CpuInfo,
    Environment,
    PublishedRow,
    PublishedTiming,
    SweepResult,
    TimingFailed,
)
from quantbench.core.units import Prepared
from synthetic import QUESTION_ANSWERING, config, sweep, with_arm


def run(name: str, result: SweepResult | None = None) -> NamedRun:
    return named_run(name, result or sweep(), QUESTION_ANSWERING)


def arm_of(result: SweepResult, row: int) -> str:
    """The id of the arm that is measured for a row."""
    assert result.plan is not None
    found = result.plan.rows[row - 1].arm_id
    assert found is not None
    return found


def again(result: SweepResult | None = None, session: str = "another session") -> SweepResult:
    """The same times in a session of their own."""
    found = result or sweep()
    for arm in found.arms:
        timings = tuple(
            item if isinstance(item, TimingFailed) else item.model_copy(update={"session": session})
            for item in arm.timings
        )
        found = with_arm(found, arm.arm.id, timings=timings)
    return found


def slower(result: SweepResult, arm_ids: list[str], factor: float) -> SweepResult:
    """The sweep in which some models take `factor` times as long."""
    for arm_id in arm_ids:
        arm = next(item for item in result.arms if item.arm.id == arm_id)
        timings = tuple(
            item
            if isinstance(item, TimingFailed)
            else item.model_copy(
                update={
                    "blocks": tuple(
                        block.model_copy(
                            update={
                                "samples_ns": tuple(round(ns * factor) for ns in block.samples_ns)
                            }
                        )
                        for block in item.blocks
                    )
                }
            )
            for item in arm.timings
        )
        result = with_arm(result, arm_id, timings=timings)
    return result


def machine(result: SweepResult) -> Environment:
    assert result.environment is not None
    return result.environment


def on(result: SweepResult, **changes: object) -> SweepResult:
    """The sweep measured in another environment."""
    environment = machine(result).model_copy(update=changes)
    return result.model_copy(update={"environment": environment})


def on_processor(result: SweepResult, **changes: object) -> SweepResult:
    cpu: CpuInfo = machine(result).cpu.model_copy(update=changes)
    return on(result, cpu=cpu)


def with_versions(result: SweepResult, **packages: str) -> SweepResult:
    return on(result, packages=machine(result).packages | packages)


def on_data(result: SweepResult, **changes: object) -> SweepResult:
    """The sweep with another subject: model and data."""
    assert result.subject is not None
    subject = result.subject.model_copy(update=changes)
    return result.model_copy(update={"subject": subject})


def published(model: str = "m") -> SweepResult:
    """A card with one row, that of row 3; the reader of cards fills in the sampling."""
    asked = config(model_name_or_path=model, sampling="head")
    timing = PublishedTiming(
        batch_size=1,
        input_length=32,
        latency_mean_original_ms=40.0,
        latency_mean_optimized_ms=10.0,
        throughput_original_per_s=25.0,
        throughput_optimized_per_s=100.0,
    )
    parameters = make_plan(asked, QUESTION_ANSWERING).rows[2].trial.parameters
    scores = {"exact_match": 80.0, "f1": 85.0}
    card = PublishedRow(
        number=1, parameters=parameters, original=scores, optimized=scores, timings=(timing,)
    )
    return SweepResult(config=asked, published=(card,))


def write_run(path: Path, result: SweepResult | None = None) -> Path:
    """The folder that such a run leaves."""
    found = result or sweep()
    assert found.plan is not None
    assert found.subject is not None
    assert found.environment is not None
    prepared = Prepared(subject=found.subject, environment=found.environment, files=(), stamp="")
    text = json.dumps(found.config.model_dump(mode="json", exclude_unset=True))
    with run_dir.locked(path):
        written = run_dir.open_run(path, found.config, text, found.plan, prepared, fresh=False)
        for arm in found.arms:
            written.write_arm(arm)
    return path
