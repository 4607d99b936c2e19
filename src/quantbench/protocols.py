"""The protocols between rooms: what a task, runtime, backend and report must offer.

Arrays are numpy; shapes are written [batch, length, ...]; times are nanoseconds unless the name
says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pydantic import JsonValue

    from quantbench.core.results import Prediction, SweepResult
    from quantbench.core.specs import BackendSpec, TaskSpec
    from quantbench.core.summary import SweepSummary

Array = npt.NDArray[Any]
Inputs = Mapping[str, Array]
Outputs = Mapping[str, Array]
Forward = Callable[[], Outputs]


@dataclass(frozen=True)
class Encoded:
    """One model input made from a row, and what is needed to read the output.

    `inputs` are arrays with batch size 1, unpadded; `context` is the task's own (offsets, ids).
    """

    inputs: Inputs
    context: Any


@dataclass(frozen=True)
class Scored:
    """Scores of predictions against references.

    `metrics` as the official script gives them; `per_sample[metric]` has one value per sample, the
    higher the better: of 0 to 1 where the metric is a mean. `parts[metric]` has what each sample
    contributes to a metric that is none (`MetricSpec.form`).
    """

    metrics: dict[str, float]
    per_sample: dict[str, tuple[float, ...]]
    parts: dict[str, tuple[tuple[float, ...], ...]] = field(
        default_factory=dict[str, tuple[tuple[float, ...], ...]]
    )


class TaskRun(Protocol):
    """A task that has loaded its tokenizer or processor, for one model and one dataset.

    `notes` are sentences that a reader of the results should see.
    """

    @property
    def notes(self) -> tuple[str, ...]:
        """How model and data were matched where that is not certain, for example."""
        ...

    def encode(self, row: Mapping[str, Any]) -> Sequence[Encoded]:
        """Make the model inputs of one row: several where a context is longer than the model."""
        ...

    def decode(
        self, row: Mapping[str, Any], encoded: Sequence[Encoded], outputs: Sequence[Outputs]
    ) -> Prediction:
        """Turn the outputs for one row (one entry per `encoded`) into a prediction."""
        ...

    def reference(self, row: Mapping[str, Any]) -> JsonValue:
        """The reference of one row, as `score` wants it."""
        ...

    def score(self, predictions: Sequence[Prediction], references: Sequence[Any]) -> Scored:
        """Score predictions against references of the same samples in the same order."""
        ...

    def dummy_inputs(
        self, batch_size: int, input_length: int | None, rng: np.random.Generator
    ) -> Inputs:
        """Inputs of that shape for timing and export checks, without padding."""
        ...


class Task(Protocol):
    """A task: its spec, known without loading anything, and how to open it for a model."""

    spec: TaskSpec

    def open(
        self,
        model_dir: Path,
        task_args: Mapping[str, JsonValue],
        data_keys: Mapping[str, str],
        ref_keys: Sequence[str],
        label_names: Sequence[str] | None,
        graph_inputs: Sequence[str] | None = None,
    ) -> TaskRun:
        """Load what encoding and decoding need from a model's directory.

        Args:
            model_dir: local directory in transformers layout.
            task_args: arguments that the spec's type accepts.
            data_keys: the task's input names to columns.
            ref_keys: the reference columns.
            label_names: the dataset's class names in order, where its label column has them.
            graph_inputs: the inputs of the ONNX file that the model was given as, which may be
                fewer than its architecture takes; None for a model in transformers layout.

        Raises:
            UsageError: the model is not for this task, or labels do not match.
        """
        ...


@dataclass(frozen=True)
class SessionOptions:
    """How to open a model. `optimization_level` is ONNX Runtime's, None for other runtimes.

    `auto_class` is the transformers class with the task's head, for runtimes that need one.
    """

    num_threads: int
    optimization_level: int | None = None
    auto_class: str | None = None


class Session(Protocol):
    """An open model."""

    def bind(self, inputs: Inputs) -> Forward:
        """Fix the inputs; each call of the result is one forward that returns all outputs."""
        ...

    def verified_num_threads(self) -> int:
        """The number of threads that the runtime really computes with, read back."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...


class Runtime(Protocol):
    """A runtime: opens an artifact."""

    name: str

    def open(self, path: Path, options: SessionOptions) -> Session:
        """Open a model file (or model directory) for running on the CPU.

        Raises:
            QuantbenchError: the file cannot be opened; the message is the runtime's own.
        """
        ...


@runtime_checkable
class Preloading(Protocol):
    """A runtime whose imports take seconds: timed processes are forked from one that has them."""

    def preload(self, path: Path, options: SessionOptions) -> None:
        """Import everything that `open` will need, and neither start threads nor load weights."""
        ...


@dataclass(frozen=True)
class Progress:
    """What a unit of work is doing: `done` of `total` steps, and what is being done, in words."""

    done: float
    total: float
    text: str


OnProgress = Callable[[Progress], None]


class BackendRun(Protocol):
    """An open backend."""

    def run(self, unit: Mapping[str, JsonValue], on_progress: OnProgress) -> dict[str, JsonValue]:
        """Do one unit of work somewhere.

        Args:
            unit: JSON data of `quantbench.core.units`.
            on_progress: told how far the unit is.

        Returns:
            JSON data as `quantbench.worker` answers it: `result`, and `peak_rss_bytes` of the
            process that did it. A failure of the work is a `Failed` record in `result`, not an
            exception.
        """
        ...

    def close(self) -> None:
        """Stop what was started."""
        ...


class Backend(Protocol):
    """A place where work is done."""

    spec: BackendSpec

    def open(self, args: Mapping[str, JsonValue], store: Path, *, fresh: bool) -> BackendRun:
        """Make the backend ready.

        Args:
            args: arguments that the spec's type accepts.
            store: the artifact store that its workers use.
            fresh: make artifacts again that are in the store.
        """
        ...


class Report(Protocol):
    """Something written from results alone.

    `reads_raw` says whether it needs the facts of the arms: raw times and answers. One that does
    not is given an outline (`run_dir.load_outline`), which is read much faster. A report that does
    not say is given everything.
    """

    name: str
    reads_raw: bool

    def write(
        self, result: SweepResult, summary: SweepSummary, task: TaskSpec, run_dir: Path
    ) -> list[Path]:
        """Write the report below `run_dir`; returns the files written.

        Args:
            result: all facts of the run.
            summary: every number that is derived from them.
            task: the spec of its task.
            run_dir: the run's folder.
        """
        ...
