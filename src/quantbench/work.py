"""A sweep under way: how its steps are handed to a backend, and who watches."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydantic import TypeAdapter

from quantbench.core.config import SweepConfig
from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.plan import Plan
from quantbench.core.results import Failed, Spent
from quantbench.core.steps import Step
from quantbench.core.units import PrepareAnswer, Prepared, PrepareUnit, Refused, Unit
from quantbench.protocols import BackendRun, Progress
from quantbench.run_dir import RunDir

Answer = TypeVar("Answer")


class Observer(Protocol):
    """Someone who watches a sweep."""

    def begin(self, steps: tuple[Step, ...]) -> None:
        """All steps are known."""
        ...

    def step(self, stage: str, name: str) -> None:
        """A step begins; the one before is over."""
        ...

    def progress(self, part: float, text: str) -> None:
        """The current step is done to that part (0-1)."""
        ...

    def note(self, text: str) -> None:
        """Something that the user should know, though nothing is wrong."""
        ...

    def failed(self, failure: Failed) -> None:
        """The current step failed; the sweep goes on."""
        ...


@dataclass(frozen=True)
class Work:
    """What every step of a sweep needs."""

    config: SweepConfig
    plan: Plan
    prepared: Prepared
    run: RunDir
    backend: BackendRun
    observer: Observer

    def ask(self, name: str, unit: Unit, answer: TypeAdapter[Answer]) -> Answer:
        """Have one unit done. Its outcome may be `Failed`, which is told and logged."""
        self.observer.step(unit.stage, name)
        self.run.log(f"{unit.stage}: {name}")
        outcome, spent = ask(self.backend, name, unit, answer, self.observer)
        self.run.add_spent(spent)
        if isinstance(outcome, Failed):
            self.observer.failed(outcome)
            self.run.log(f"{unit.stage} failed: {outcome.error}\n{outcome.log}".strip())
        return outcome


def prepare(config: SweepConfig, backend: BackendRun, observer: Observer) -> Prepared:
    """Find the model and the data, and check that they fit.

    Raises:
        UsageError: they do not; the message says all that is wrong.
    """
    observer.step("prepare", "model and data")
    unit = PrepareUnit(config=config)
    outcome, _ = ask(backend, "model and data", unit, TypeAdapter(PrepareAnswer), observer)
    if isinstance(outcome, Refused):
        raise UsageError(outcome.message)
    if isinstance(outcome, Failed):
        raise QuantbenchError(f"{outcome.error}\n{outcome.log}".strip(), hint=outcome.hint)
    for text in outcome.notes:
        observer.note(text)
    return outcome


def ask(
    backend: BackendRun, name: str, unit: Unit, answer: TypeAdapter[Answer], observer: Observer
) -> tuple[Answer, Spent]:
    """Have a backend do one unit, check the form of its answer, and note what it cost."""

    def on_progress(progress: Progress) -> None:
        observer.progress(progress.done / progress.total, progress.text)

    started = time.monotonic()
    answered = backend.run(unit.model_dump(mode="json"), on_progress)
    spent = Spent.model_validate(
        {
            "stage": unit.stage,
            "name": name,
            "seconds": time.monotonic() - started,
            "peak_rss_bytes": answered["peak_rss_bytes"],
        }
    )
    return answer.validate_python(answered["result"]), spent
