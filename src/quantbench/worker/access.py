"""How a unit of work gets at the store, and whom it tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from quantbench import store
from quantbench.core.errors import QuantbenchError
from quantbench.protocols import OnProgress, Progress


@dataclass(frozen=True)
class Access:
    """A store, and a listener. With `fresh`, what is there already is made again."""

    root: Path
    fresh: bool
    on_progress: OnProgress

    def make(self, key: str, stage: str, build: Callable[[Path], store.Facts]) -> store.Facts:
        """The facts of the artifact with that key, which is built if need be."""
        make = store.remake if self.fresh else store.make
        return make(self.root, key, stage, build, self._waiting).facts

    def file(self, key: str, name: str = "model.onnx") -> Path:
        """A file of an artifact, unchanged.

        Raises:
            QuantbenchError: the artifact is not in the store (any more), or was damaged.
        """
        found = store.find(self.root, key)
        if found is None:
            raise QuantbenchError(
                f"artifact {key} is gone from the store, or was damaged there",
                hint="Run the same command again: it is made anew.",
            )
        return found.path / name

    def model_path(self, directory: Path, key: str | None) -> Path:
        """What a runtime opens: an artifact's file, or the model's directory for the original."""
        return directory if key is None else self.file(key)

    def _waiting(self) -> None:
        self.on_progress(Progress(0.0, 1.0, "waiting: another run is making the same"))
