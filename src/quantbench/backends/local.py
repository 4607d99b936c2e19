"""The local backend: a worker process on this machine.

The process is kept between units, as starting one loads the model libraries; when it dies, the
unit that killed it has failed, and the next unit gets a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue

from quantbench.child import Child, ChildDiedError
from quantbench.core.frozen import Frozen
from quantbench.core.results import Failed
from quantbench.core.specs import BackendSpec
from quantbench.protocols import BackendRun, OnProgress, Progress


class LocalArgs(Frozen):
    """Arguments of `backend: local`."""

    supported_instructions: Literal["avx2", "avx512", "avx512_vnni", "amx"] | None = Field(
        None, description="Refuse to run on a processor that lacks these."
    )


class LocalRun:
    """A worker process, started when it is first needed."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._child: Child | None = None

    def run(self, unit: Mapping[str, JsonValue], on_progress: OnProgress) -> dict[str, JsonValue]:
        """Do one unit in the worker process."""
        if self._child is None:
            self._child = Child("quantbench.worker", {"TOKENIZERS_PARALLELISM": "false"})
        try:
            self._child.send({"unit": dict(unit), "store": str(self._store)})
            while True:
                message = self._child.receive()
                if "result" in message:
                    return message
                on_progress(Progress(**message["progress"]))
        except ChildDiedError as error:
            self.close()
            stage = str(unit["stage"])
            failed = Failed(stage=stage, error=str(error), log=error.log)
            return {"result": failed.model_dump(mode="json"), "peak_rss_bytes": None}

    def close(self) -> None:
        """End the worker process."""
        if self._child is not None:
            self._child.close()
            self._child = None


class LocalBackend:
    """This machine."""

    spec = BackendSpec("local", LocalArgs)

    def open(self, args: Mapping[str, JsonValue], store: Path) -> BackendRun:
        """A run with a worker process of its own. `args` act in the worker."""
        LocalArgs.model_validate(args)
        return LocalRun(store)


BACKEND = LocalBackend()
