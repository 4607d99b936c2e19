"""Reading the runs that a command looks at beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from quantbench import registry
from quantbench.core.errors import UsageError

if TYPE_CHECKING:
    from quantbench.analysis.named_run import NamedRun


def read_run(path: Path, name: str | None = None) -> NamedRun:
    """A run, under the name of its folder unless another is given.

    Raises:
        UsageError: the folder holds no run.
        QuantbenchError: its results are damaged, contradict each other, or are of another format.
    """
    from quantbench import run_dir
    from quantbench.analysis.named_run import named_run

    result = run_dir.load_measurements(path, registry.catalog())
    spec = registry.task(result.config.task).spec
    return named_run(name or path.resolve().name or str(path), result, spec)


def read_runs(paths: Sequence[Path]) -> list[NamedRun]:
    """Several runs, each under as much of the end of its path as tells them apart.

    Raises:
        UsageError: one is given twice. Else as `read_run` does.
    """
    places = [path.resolve() for path in paths]
    for number, path in enumerate(paths):
        if places[number] in places[:number]:
            raise UsageError(f"{path} is given twice", hint="Give two different runs.")
    parts = 1
    while len({place.parts[-parts:] for place in places}) < len(places):
        parts += 1
    return [
        read_run(path, str(Path(*place.parts[-parts:])))
        for path, place in zip(paths, places, strict=True)
    ]
