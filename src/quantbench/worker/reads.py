"""What the units read, for the keys of what they make, and where it lies in the store."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

from quantbench import environment, registry, store
from quantbench.core.config import SweepConfig
from quantbench.core.errors import QuantbenchError
from quantbench.core.results import Subject
from quantbench.protocols import SessionOptions
from quantbench.worker.opened import Opened

# Raised when the code of a stage changes what it makes, so that old artifacts are not reused.
STAGE_VERSIONS = {"export": 1, "calibrate": 1, "quantize": 1, "evaluate": 1}

# What turns rows into arrays: their versions can change tokens and pixels.
ENCODING_PACKAGES = ("datasets", "numpy", "pillow", "tokenizers", "transformers")


def task_reads(config: SweepConfig, subject: Subject) -> dict[str, Any]:
    """What turns rows into inputs, and outputs into predictions."""
    return {
        "name": config.task,
        "package": registry.origin("quantbench.tasks", config.task),
        "processor": subject.model_digest,
        "task_args": config.task_args,
        "data_keys": config.dataset.data_keys,
        "ref_keys": config.dataset.ref_keys,
    }


def versions(*names: str) -> dict[str, str]:
    """The installed versions of packages."""
    return {name: importlib.metadata.version(name) for name in names}


def stored_file(root: Path, key: str, name: str = "model.onnx") -> Path:
    """A file of an artifact.

    Raises:
        QuantbenchError: the artifact is not in the store (any more).
    """
    found = store.find(root, key)
    if found is None:
        raise QuantbenchError(
            f"artifact {key} is gone from the store",
            hint="Run the same command again: it is made anew.",
        )
    return found.path / name


def model_path(root: Path, opened: Opened, key: str | None) -> Path:
    """What a runtime opens: the artifact's file, or the model's directory for the original."""
    return opened.source.directory if key is None else stored_file(root, key)


def session_options(config: SweepConfig, level: int | None, num_threads: int) -> SessionOptions:
    """How a runtime opens a model of this config."""
    auto_class = registry.task(config.task).spec.auto_class
    return SessionOptions(num_threads, level, auto_class)


def num_threads(config: SweepConfig) -> int:
    """The threads that were asked for, or else the physical cores that are allowed."""
    return config.num_threads or environment.read_cpu().allowed_cores
