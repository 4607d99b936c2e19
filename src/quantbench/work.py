"""A sweep under way: how its steps are handed to a backend, and who watches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import TypeAdapter

from quantbench import store as artifacts
from quantbench.core.config import SweepConfig
from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.plan import Plan
from quantbench.core.results import ArmResult, Failed, Spent, TrialResult
from quantbench.core.steps import Step
from quantbench.core.timing_groups import memory_budget_bytes
from quantbench.core.units import PrepareAnswer, Prepared, PrepareUnit, Refused, TimeUnit, Unit
from quantbench.protocols import BackendRun, Progress
from quantbench.worker.keys import unit_keys

Answer = TypeVar("Answer")

# Pauses before a unit is tried again whose failure may pass, in seconds.
RETRY_WAITS_S = (1.0, 5.0)


class Observer(Protocol):
    """Someone who watches a sweep."""

    def begin(self, steps: tuple[Step, ...], seconds: Mapping[str, float]) -> None:
        """All steps are known, and how long each may take, by id."""
        ...

    def step(self, stage: str, name: str) -> None:
        """A step begins."""
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


class Record(Protocol):
    """Where what is known of a sweep is kept; see `run_dir.RunDir`."""

    def write_arm(self, result: ArmResult) -> None:
        """Keep what is known of an arm."""
        ...

    def write_trial(self, result: TrialResult) -> None:
        """Keep what is known of a row."""
        ...

    def read_arms(self) -> dict[str, ArmResult]:
        """What was known of each arm before."""
        ...

    def add_spent(self, spent: Spent) -> None:
        """Note what a unit cost."""
        ...

    def log(self, text: str) -> None:
        """Note what happened."""
        ...


@dataclass(frozen=True)
class Work:
    """What every step of a sweep needs. Steps may use it from several threads.

    `expected` is how long each step may take in seconds, by id; `learn` is told what each unit
    that was done took.
    """

    config: SweepConfig
    plan: Plan
    prepared: Prepared
    run: Record
    backend: BackendRun
    observer: Observer
    store: Path
    fresh: bool
    expected: Mapping[str, float] = field(default_factory=dict[str, float])
    learn: Callable[[Unit, Spent], None] = lambda _, __: None
    pause: Callable[[float], None] = time.sleep
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    @property
    def memory_budget_bytes(self) -> int | None:
        """What all processes of ours may take together; None if nothing is known."""
        return memory_budget_bytes(self.config.backend_args, self.prepared.environment.memory_bytes)

    def ask(
        self,
        name: str,
        unit: Unit,
        answer: TypeAdapter[Answer],
        also_used: tuple[str, ...] = (),
        part: float = 1.0,
    ) -> Answer:
        """Have one unit done, if it is not in the store yet.

        Its outcome may be `Failed`, which is told and logged. One that may pass is tried again.

        Args:
            name: what tells it from others of its stage.
            unit: what to do.
            answer: the form of its outcome.
            also_used: keys of artifacts that belong to the same step, and were there already.
            part: how much of the step this unit is, at most 1.
        """
        keys = unit_keys(unit)
        self.begin(unit.stage, name)
        # What the store has of times was looked up by whoever asks for the rest.
        is_one = len(keys) == 1 and not isinstance(unit, TimeUnit)
        facts = self.recall(keys[0]) if is_one else None
        if facts is not None:
            self.spent(unit.stage, name, keys)
            return answer.validate_python(facts)
        attempts = 0
        while True:
            attempts += 1
            outcome, spent = ask(self.backend, name, unit, answer, self._progress)
            expected = self.expected.get(f"{unit.stage} {name}")
            if expected is not None:
                expected *= part
            more = {"keys": keys + also_used, "attempts": attempts, "expected_seconds": expected}
            with self._one_at_a_time:
                self.run.add_spent(spent.model_copy(update=more))
            if not isinstance(outcome, Failed):
                with self._one_at_a_time:
                    self.learn(unit, spent)
                return outcome
            if not outcome.may_pass or attempts > len(RETRY_WAITS_S):
                self.failed(outcome, name)
                return outcome
            wait = RETRY_WAITS_S[attempts - 1]
            self._note(f"{unit.stage} {name}: {outcome.error}: trying again in {wait:g} s")
            self.pause(wait)

    def recall(self, key: str) -> artifacts.Facts | None:
        """What the store has under a key; nothing if all is to be made anew."""
        return None if self.fresh else artifacts.recall(self.store, key)

    def begin(self, stage: str, name: str) -> None:
        """Tell that a step begins."""
        with self._one_at_a_time:
            self.observer.step(stage, name)
            self.run.log(f"{stage}: {name}")

    def spent(self, stage: str, name: str, keys: tuple[str, ...]) -> None:
        """Note a step that cost nothing, as all that it makes was in the store."""
        found = Spent(
            stage=stage, name=name, seconds=0.0, peak_rss_bytes=None, keys=keys, reused=True
        )
        with self._one_at_a_time:
            self.run.add_spent(found)

    def failed(self, failure: Failed, name: str) -> None:
        """Tell and log what failed."""
        with self._one_at_a_time:
            self.observer.failed(failure)
            self.run.log(f"{failure.stage} {name} failed: {failure.error}\n{failure.log}".strip())

    def _note(self, text: str) -> None:
        with self._one_at_a_time:
            self.observer.note(text)
            self.run.log(f"note: {text}")

    def _progress(self, part: float, text: str) -> None:
        with self._one_at_a_time:
            self.observer.progress(part, text)


def prepare(config: SweepConfig, backend: BackendRun, observer: Observer) -> Prepared:
    """Find the model and the data, and check that they fit.

    Raises:
        UsageError: they do not; the message says all that is wrong.
    """
    observer.step("prepare", "model and data")
    unit = PrepareUnit(config=config)
    answer: TypeAdapter[PrepareAnswer] = TypeAdapter(PrepareAnswer)
    outcome, _ = ask(backend, "model and data", unit, answer, observer.progress)
    if isinstance(outcome, Refused):
        raise UsageError(outcome.message)
    if isinstance(outcome, Failed):
        raise QuantbenchError(f"{outcome.error}\n{outcome.log}".strip(), hint=outcome.hint)
    for text in outcome.notes:
        observer.note(text)
    return outcome


def ask(
    backend: BackendRun,
    name: str,
    unit: Unit,
    answer: TypeAdapter[Answer],
    on_progress: Callable[[float, str], None],
) -> tuple[Answer, Spent]:
    """Have a backend do one unit, check the form of its answer, and note what it cost."""

    def tell(progress: Progress) -> None:
        on_progress(progress.done / progress.total, progress.text)

    started = time.monotonic()
    answered = backend.run(unit.model_dump(mode="json"), tell)
    spent = Spent.model_validate(
        {
            "stage": unit.stage,
            "name": name,
            "seconds": time.monotonic() - started,
            "peak_rss_bytes": answered["peak_rss_bytes"],
        }
    )
    return answer.validate_python(answered["result"]), spent
