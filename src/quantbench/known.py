"""What is known of a sweep before it runs: which steps are in the store, and what the rest takes.

A dry run: the same steps as of a real one, with a backend that does nothing. What it finds in the
store is there; what it would have asked the backend for is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from quantbench import environment, registry, run_dir, store
from quantbench.analysis.compare import summarize
from quantbench.core.config import SweepConfig
from quantbench.core.frozen import content_key
from quantbench.core.plan import Plan
from quantbench.core.results import ArmResult, Failed, Spent, SweepResult, TrialResult
from quantbench.core.steps import Step
from quantbench.core.units import Prepared
from quantbench.data.stamps import stamp
from quantbench.explaining import explain_worst
from quantbench.making import Files, making_jobs
from quantbench.measuring import Arms, begin_arms, measuring_jobs
from quantbench.ordinary import NotOrdinaryError, read_ordinary
from quantbench.protocols import OnProgress
from quantbench.work import Work
from quantbench.worker.sessions import num_threads

_FOLDER = "prepared"

# What decides which model and data a config means; the rest may differ.
_SUBJECT_FIELDS = (
    "task", "model_name_or_path", "model_revision", "dataset", "max_eval_samples", "sampling",
    "seed",
)  # fmt: skip


def remember(root: Path, config: SweepConfig, prepared: Prepared) -> None:
    """Keep what a config's model and data are, for as long as their files do not change."""
    name = _remembered(root, config).name
    store.write_beside(root, _FOLDER, name, prepared.model_dump_json())


def recall_prepared(root: Path, config: SweepConfig) -> Prepared | None:
    """What a config's model and data are; None if they were never looked at, or changed."""
    file = _remembered(root, config)
    try:
        found = Prepared.model_validate_json(read_ordinary(file))
    except (FileNotFoundError, NotOrdinaryError, ValueError):
        return None  # never written, or by another version
    if found.stamp != stamp(found.files):
        return None
    now = environment.read_environment(num_threads(config))
    return found.model_copy(update={"environment": now})


def stored_steps(
    plan: Plan, todo: tuple[Step, ...], config: SweepConfig, prepared: Prepared, root: Path
) -> frozenset[str]:
    """The ids of the steps of which all that they make is in the store."""
    record = _Record()
    work = Work(
        config=run_dir.pinned(config, prepared),
        plan=plan,
        prepared=prepared,
        run=record,
        backend=_Nothing(),
        observer=_Nobody(),
        store=root,
        fresh=False,
    )
    files, arms = Files(), Arms()
    making = making_jobs(work, files)
    for step in todo:
        if step.id in making:
            making[step.id]()
    begin_arms(work, files, arms)
    measuring = measuring_jobs(work, arms)
    for step in todo:
        if step.id in measuring:
            measuring[step.id]()
    for result in arms.results.values():
        if result.same_as is not None and f"evaluate {result.same_as}" in record.reused:
            record.reused.add(f"evaluate {result.arm.id}")
    if not set(making) <= record.reused:  # arms without a file are not seen by the time steps
        record.reused.difference_update(step.id for step in todo if step.stage == "time")
    measured = {step.id for step in todo if step.stage not in ("prepare", "explain", "report")}
    if measured <= record.reused:  # else nobody knows which row is the worst
        found = SweepResult(
            config=config,
            plan=plan,
            environment=prepared.environment,
            subject=prepared.subject,
            arms=tuple(arms.results.values()),
        )
        explain_worst(work, found, summarize(found, registry.task(config.task).spec))
    return frozenset(record.reused)


def _remembered(root: Path, config: SweepConfig) -> Path:
    data = config.model_dump(mode="json", include=set(_SUBJECT_FIELDS))
    return root / _FOLDER / f"{content_key([data, config.is_calibrated()], 32)}.json"


@dataclass(frozen=True)
class _Record:
    """Remembers which steps were found in the store."""

    reused: set[str] = field(default_factory=set[str])

    def write_arm(self, result: ArmResult) -> None: ...

    def write_trial(self, result: TrialResult) -> None: ...

    def read_arms(self) -> dict[str, ArmResult]:
        return {}

    def add_spent(self, spent: Spent) -> None:
        if spent.reused:
            self.reused.add(f"{spent.stage} {spent.name}")

    def log(self, text: str) -> None: ...


class _Nothing:
    """A backend that does nothing."""

    def run(self, unit: Mapping[str, JsonValue], on_progress: OnProgress) -> dict[str, JsonValue]:
        failed = Failed(stage=str(unit["stage"]), error="not in the store")
        return {"result": failed.model_dump(mode="json"), "peak_rss_bytes": None}

    def close(self) -> None: ...


class _Nobody:
    """An observer whom nothing concerns."""

    def begin(self, steps: tuple[Step, ...], seconds: Mapping[str, float]) -> None: ...

    def step(self, stage: str, name: str) -> None: ...

    def progress(self, part: float, text: str) -> None: ...

    def note(self, text: str) -> None: ...

    def failed(self, failure: Failed) -> None: ...
