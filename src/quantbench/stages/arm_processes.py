"""A process set: one fresh process for each arm, of which only one runs at a time."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from quantbench import registry
from quantbench.child import Child, ChildDiedError, Message
from quantbench.core.errors import QuantbenchError
from quantbench.protocols import Preloading, SessionOptions
from quantbench.template import IS_SUPPORTED, Template

# One block: short, so that all arms of a round find the machine in the same state, and with enough
# forwards that contention cannot leave it with none. See docs/decisions/0063.
BLOCK_LEAST_SECONDS = 0.1
BLOCK_LEAST_FORWARDS = 2
# What comes first is not counted: a process that was just woken has to catch up.
BLOCK_DISCARDED_SECONDS = 0.05
BLOCK_MOST_DISCARDED_FORWARDS = 100

# An arm that has not answered by then hangs: no model takes as long to be opened and warmed up.
ANSWER_LIMIT_SECONDS = 1800.0
# Once it is known how long a forward takes, a block that takes so many times as long hangs.
BLOCK_LIMIT_TIMES = 100
BLOCK_LIMIT_LEAST_SECONDS = 60.0

ARM_MODULE = "quantbench.stages.arm"
TEMPLATE_MODULE = "quantbench.stages.arm_template"

_TemplateKey = tuple[str, Path, SessionOptions]


@dataclass(frozen=True)
class ArmSpec:
    """What an arm's process is to open, and which arms its times are put in relation to."""

    id: str
    framework: str
    path: Path
    options: SessionOptions
    compared_with: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conditions:
    """What all arms of a cell have in common.

    `inputs` is a file of arrays that every arm is given, `affinity` the processors to bind it to
    (None: left to the system), `warmup_runs` the least number of forwards before timing, `cores`
    how many arms may be started side by side.
    """

    inputs: Path
    affinity: Sequence[int] | None
    warmup_runs: int
    cores: int


class ArmFailedError(QuantbenchError):
    """An arm could not be started or run. `log` is the end of what its process wrote."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


class ProcessSet(Protocol):
    """Arms that are open and warm. Those in `failed` are not."""

    @property
    def failed(self) -> Mapping[str, ArmFailedError]:
        """The arms that could not be started, by id."""
        ...

    def block(self, arm_id: str) -> Message:
        """Run one block: the fields of a `Block`, but for its place.

        Raises:
            ArmFailedError: the process ended, or its model failed.
        """
        ...

    def describe(self, arm_id: str) -> Message:
        """The fields of an `ArmProcess`, read inside the process. Raises as `block` does."""
        ...

    def close(self) -> None:
        """End all processes."""
        ...


StartSet = Callable[[Sequence[ArmSpec], Conditions, Callable[[str], None]], ProcessSet]


def discarded_forwards(forward_s: float) -> int:
    """How many forwards of a block are run first and not counted: at least one.

    Args:
        forward_s: what a forward takes, roughly.
    """
    wanted = math.ceil(BLOCK_DISCARDED_SECONDS / max(forward_s, 1e-9))
    return min(wanted, BLOCK_MOST_DISCARDED_FORWARDS)


def block_limit_s(forward_s: float, answer_limit_s: float) -> float:
    """How long an arm may take for a block, in seconds.

    Args:
        forward_s: what a forward took while it was warmed up.
        answer_limit_s: the most that any answer may take.
    """
    expected = (discarded_forwards(forward_s) + BLOCK_LEAST_FORWARDS) * forward_s
    return min(answer_limit_s, max(BLOCK_LIMIT_LEAST_SECONDS, BLOCK_LIMIT_TIMES * expected))


@dataclass
class ArmProcesses:
    """Real processes; see `ProcessSet`. One that gives no answer in time is killed."""

    children: dict[str, Child] = field(default_factory=dict[str, Child])
    warmup_runs: dict[str, int] = field(default_factory=dict[str, int])
    forward_s: dict[str, float] = field(default_factory=dict[str, float])
    failed: dict[str, ArmFailedError] = field(default_factory=dict[str, ArmFailedError])
    answer_limit_s: float = ANSWER_LIMIT_SECONDS

    def block(self, arm_id: str) -> Message:
        """One block; see `ProcessSet`."""
        message = {
            "do": "block",
            "discard": discarded_forwards(self.forward_s[arm_id]),
            "least_forwards": BLOCK_LEAST_FORWARDS,
            "least_seconds": BLOCK_LEAST_SECONDS,
        }
        limit_s = block_limit_s(self.forward_s[arm_id], self.answer_limit_s)
        return self._ask_awake(arm_id, message, limit_s)

    def describe(self, arm_id: str) -> Message:
        """What the process says of itself; see `ProcessSet`."""
        facts = self._ask_awake(arm_id, {"do": "describe"}, self.answer_limit_s)
        return {"warmup_runs": self.warmup_runs[arm_id], **facts}

    def close(self) -> None:
        """End all processes, stopped or not."""
        for child in self.children.values():
            child.close()

    def kill(self) -> None:
        """End all processes while other threads wait for their answers; `close` comes after."""
        for child in list(self.children.values()):
            child.kill()

    def open(self, arm: ArmSpec, conditions: Conditions) -> None:
        """Have an arm load its model; afterwards its process is stopped."""
        affinity = conditions.affinity
        message = {
            "do": "open",
            "framework": arm.framework,
            "path": str(arm.path),
            "options": _options(arm),
            "inputs": str(conditions.inputs),
            "affinity": None if affinity is None else list(affinity),
        }
        try:
            self._ask_awake(arm.id, message, self.answer_limit_s)
        except ArmFailedError as error:
            self.failed[arm.id] = error

    def warm_up(self, arm_id: str, least_runs: int) -> None:
        """Run an open arm until its times agree; afterwards its process is stopped."""
        message = {"do": "warm_up", "least_runs": least_runs}
        began = time.monotonic()
        try:
            answer = self._ask_awake(arm_id, message, self.answer_limit_s)
        except ArmFailedError as error:
            self.failed[arm_id] = error
        else:
            self.warmup_runs[arm_id] = answer["warmup_runs"]
            self.forward_s[arm_id] = (time.monotonic() - began) / answer["warmup_runs"]

    def _ask_awake(self, arm_id: str, message: Message, limit_s: float) -> Message:
        child = self.children[arm_id]
        child.resume()
        try:
            answer = child.ask(message, limit_s)
        except ChildDiedError as error:
            raise ArmFailedError(str(error), error.log) from error
        child.pause()
        if "error" in answer:
            raise ArmFailedError(answer["error"], child.log_tail())
        return answer


@dataclass
class ArmStarter:
    """Starts process sets. It is closed when no more are wanted."""

    templates: dict[_TemplateKey, Template] = field(default_factory=dict[_TemplateKey, Template])
    answer_limit_s: float = ANSWER_LIMIT_SECONDS

    def __call__(
        self, arms: Sequence[ArmSpec], conditions: Conditions, tell: Callable[[str], None]
    ) -> ArmProcesses:
        """Start a fresh process for each arm and open its model, a few side by side; then warm up.

        Nothing is timed meanwhile. Warm-up is one arm after the other, since it ends when times
        agree. Arms whose runtime is slow to import are forked from a template.

        Args:
            arms: what to start.
            conditions: inputs, affinity, warm-up.
            tell: called with a text for the user.
        """
        started = ArmProcesses(answer_limit_s=self.answer_limit_s)
        try:
            # Here and not in the pool: Linux ends a child when the thread that started it ends.
            for arm in arms:
                if IS_SUPPORTED and isinstance(registry.runtime(arm.framework), Preloading):
                    self._prepare(arm)
                else:
                    started.children[arm.id] = Child(ARM_MODULE, _environment(arm))
            tell(f"starting {len(arms)} arms")
            self._open_all(started, arms, conditions)
            for number, arm in enumerate(arms, 1):
                if arm.id not in started.failed:
                    tell(f"warming up {number} of {len(arms)}")
                    started.warm_up(arm.id, conditions.warmup_runs)
        except BaseException:
            started.close()
            raise
        return started

    def close(self) -> None:
        """End the templates."""
        for template in self.templates.values():
            template.close()

    def _open_all(
        self, started: ArmProcesses, arms: Sequence[ArmSpec], conditions: Conditions
    ) -> None:
        with ThreadPoolExecutor(max_workers=max(1, conditions.cores)) as pool:
            try:
                list(pool.map(lambda arm: self._open(started, arm, conditions), arms))
            except BaseException:
                # Its threads wait for models to be loaded: Ctrl-C is not to wait for that.
                for template in self.templates.values():
                    template.kill()
                started.kill()
                raise

    def _prepare(self, arm: ArmSpec) -> None:
        if _template_key(arm) not in self.templates:
            arguments = [arm.framework, str(arm.path), json.dumps(_options(arm))]
            template = Template(TEMPLATE_MODULE, arguments, _environment(arm), self.answer_limit_s)
            self.templates[_template_key(arm)] = template

    def _open(self, started: ArmProcesses, arm: ArmSpec, conditions: Conditions) -> None:
        if arm.id not in started.children:
            template = self.templates[_template_key(arm)]
            try:
                started.children[arm.id] = Child(ARM_MODULE, start=template.fork)
            except QuantbenchError as error:
                started.failed[arm.id] = ArmFailedError(str(error), "")
                return
        started.open(arm, conditions)


def _template_key(arm: ArmSpec) -> _TemplateKey:
    return arm.framework, arm.path, arm.options


def _options(arm: ArmSpec) -> Message:
    options = arm.options
    return {
        "num_threads": options.num_threads,
        "optimization_level": options.optimization_level,
        "auto_class": options.auto_class,
    }


def _environment(arm: ArmSpec) -> Mapping[str, str]:
    """One thread count for every library that could start threads of its own."""
    count = str(arm.options.num_threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, count) | {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
