"""What is installed: tasks, runtimes, backends and reports, found through entry points.

The built-in ones register in the same way as those of any other package.
"""

from __future__ import annotations

import functools
import importlib.metadata
from typing import TYPE_CHECKING, Any

from quantbench.core.errors import UsageError

if TYPE_CHECKING:
    from quantbench.core.specs import Catalog
    from quantbench.protocols import Backend, Report, Runtime, Task


def task(name: str) -> Task:
    """The task of that name. Raises UsageError if there is none."""
    found: Task = _load("quantbench.tasks", name)
    return found


def runtime(name: str) -> Runtime:
    """The runtime of that name. Raises UsageError if there is none."""
    found: Runtime = _load("quantbench.runtimes", name)
    return found


def backend(name: str) -> Backend:
    """The backend of that name. Raises UsageError if there is none."""
    found: Backend = _load("quantbench.backends", name)
    return found


def report(name: str) -> Report:
    """The report of that name. Raises UsageError if there is none."""
    found: Report = _load("quantbench.reports", name)
    return found


def origin(group: str, name: str) -> str:
    """The distribution and version that an entry point comes from."""
    (entry, *_) = _installed(group).select(name=name)
    return "unknown" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


def names(group: str) -> tuple[str, ...]:
    """Names registered in a group, `quantbench.tasks` for example, in alphabetical order."""
    return tuple(sorted(entry.name for entry in _installed(group)))


def catalog() -> Catalog:
    """Everything that a config may name. Loads the specs, not the libraries behind them."""
    from quantbench.core.specs import Catalog

    return Catalog(
        tasks={name: task(name).spec for name in names("quantbench.tasks")},
        backends={name: backend(name).spec for name in names("quantbench.backends")},
        # A framework is what quantized models run in; in PyTorch only an original runs.
        frameworks=tuple(name for name in names("quantbench.runtimes") if name != "pytorch"),
    )


@functools.cache
def _installed(group: str) -> importlib.metadata.EntryPoints:
    """The entry points of a group: read once, as that opens a file of each installed package."""
    return importlib.metadata.entry_points(group=group)


def _load(group: str, name: str) -> Any:
    found = _installed(group).select(name=name)
    if not found:
        kind = group.rsplit(".", 1)[1].removesuffix("s")
        raise UsageError(
            f"there is no {kind} named {name!r}; installed: {', '.join(names(group))}",
            hint="If you installed from source, install again so that entry points are registered.",
        )
    return next(iter(found)).load()
