"""The local backend's work, done in this process: what a worker answers, without starting one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import JsonValue

from quantbench import registry
from quantbench.backends import local
from quantbench.protocols import OnProgress, Progress


@dataclass(frozen=True)
class InProcessRun:
    """Answers units as `quantbench.worker` does."""

    store: Path
    fresh: bool

    def run(self, unit: Mapping[str, JsonValue], on_progress: OnProgress) -> dict[str, JsonValue]:
        from quantbench.worker.answer import answer

        message = {"unit": dict(unit), "store": str(self.store), "fresh": self.fresh}
        return answer(message, lambda sent: on_progress(Progress(**sent["progress"])))

    def close(self) -> None:
        """Nothing was started."""


class InProcessBackend:
    spec = local.BACKEND.spec

    def open(self, args: Mapping[str, JsonValue], store: Path, *, fresh: bool) -> InProcessRun:
        from quantbench.worker.opened import open_config

        open_config.cache_clear()  # as a worker that was just started has opened nothing
        return InProcessRun(store, fresh)


def without_workers(patch: pytest.MonkeyPatch) -> None:
    """Starting a worker loads the model libraries, which takes longer than most units."""
    patch.setattr(registry, "backend", lambda _: InProcessBackend())
