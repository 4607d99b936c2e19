"""What the config needs to know of a task or backend: plain facts, known without loading it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import JsonValue

from quantbench.core.frozen import Frozen

# How a metric follows from what each sample contributes (`core.metric_values`). mean: (score).
# ratio: (part, whole), as precision and recall. f1: (found and right, found, right). macro_f1 and
# matthews: (class of the reference, class of the prediction). pearson and spearman: (reference,
# prediction).
MetricForm = Literal["mean", "ratio", "f1", "macro_f1", "matthews", "pearson", "spearman"]

# How many numbers a sample contributes.
NUM_PARTS: Mapping[MetricForm, int] = {
    "mean": 1,
    "ratio": 2,
    "f1": 3,
    "macro_f1": 2,
    "matthews": 2,
    "pearson": 2,
    "spearman": 2,
}


class NoArgs(Frozen):
    """For a task or backend that takes no arguments."""


def _always(_: Any) -> bool:
    return True


@dataclass(frozen=True)
class MetricSpec:
    """A metric of a task.

    `scale` turns a stored value into points (0-100): SQuAD's script gives points already (1.0),
    an accuracy is a fraction (100.0). `binary` says that each sample is right or wrong. `form` is
    how the metric follows from the samples: where it is no mean, the task gives the parts of each.
    `applies` says whether the task has the metric with those task_args.
    """

    name: str
    scale: float
    binary: bool
    form: MetricForm = "mean"
    applies: Callable[[Any], bool] = _always


@dataclass(frozen=True)
class TaskSpec:
    """What is fixed for a task.

    `data_keys` are the names that `dataset.data_keys` must map to columns, `optional_data_keys`
    those that it may; `num_ref_keys` is the number of reference columns. `auto_class` and
    `architecture_suffix` name the model head, `output_names` the outputs that are read.
    """

    name: str
    data_keys: tuple[str, ...]
    num_ref_keys: int
    metrics: tuple[MetricSpec, ...]
    uses_input_length: bool
    auto_class: str
    architecture_suffix: str
    output_names: tuple[str, ...]
    args: type[Frozen] = NoArgs
    optional_data_keys: tuple[str, ...] = ()

    def metrics_with(self, task_args: Mapping[str, JsonValue]) -> tuple[MetricSpec, ...]:
        """The metrics that the task has with those arguments, the primary one first."""
        args = self.args.model_validate(dict(task_args))
        return tuple(metric for metric in self.metrics if metric.applies(args))

    def metric(self, name: str) -> MetricSpec:
        """The metric of that name; KeyError if the task has none."""
        return {metric.name: metric for metric in self.metrics}[name]


@dataclass(frozen=True)
class BackendSpec:
    """What is fixed for a backend: the arguments it takes."""

    name: str
    args: type[Frozen] = NoArgs


@dataclass(frozen=True)
class Catalog:
    """Everything that can be named in a config, by kind."""

    tasks: Mapping[str, TaskSpec] = field(default_factory=dict[str, TaskSpec])
    backends: Mapping[str, BackendSpec] = field(default_factory=dict[str, BackendSpec])
    frameworks: tuple[str, ...] = ()
