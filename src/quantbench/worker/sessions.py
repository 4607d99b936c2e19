"""How the models of a config are opened."""

from __future__ import annotations

from quantbench import environment, registry
from quantbench.core.config import SweepConfig
from quantbench.protocols import SessionOptions


def session_options(config: SweepConfig, level: int | None, num_threads: int) -> SessionOptions:
    """How a runtime opens a model of this config."""
    auto_class = registry.task(config.task).spec.auto_class
    return SessionOptions(num_threads, level, auto_class)


def num_threads(config: SweepConfig) -> int:
    """The threads that were asked for, or else the physical cores that are allowed."""
    return config.num_threads or environment.read_cpu().allowed_cores
