"""What the config needs to know of a task or backend: plain facts, known without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quantbench.core.frozen import Frozen


class NoArgs(Frozen):
    """For a task or backend that takes no arguments."""


@dataclass(frozen=True)
class MetricSpec:
    """A metric of a task.

    `scale` turns a stored value into points (0-100): SQuAD's script gives points already (1.0),
    an accuracy is a fraction (100.0). `binary` says that each sample is right or wrong.
    """

    name: str
    scale: float
    binary: bool


@dataclass(frozen=True)
class TaskSpec:
    """What is fixed for a task.

    `data_keys` are the names that `dataset.data_keys` must map to columns; `num_ref_keys` the
    number of reference columns. `auto_class` and `architecture_suffix` name the model head,
    `output_names` the outputs that are read.
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
