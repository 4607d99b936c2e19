"""The local backend: worker processes on this machine.

A process is kept between units, as starting one loads the model libraries; when it dies, the
unit that killed it has failed, and the next unit gets a new one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue

from quantbench.child import Child, ChildDiedError
from quantbench.core.errors import QuantbenchError
from quantbench.core.frozen import Frozen
from quantbench.core.results import Failed
from quantbench.core.specs import BackendSpec
from quantbench.protocols import BackendRun, OnProgress, Progress


class LocalArgs(Frozen):
    """Arguments of `backend: local`."""

    supported_instructions: Literal["avx2", "avx512", "avx512_vnni", "amx"] | None = Field(
        None, description="Refuse to run on a processor that lacks these."
    )
    memory_gib: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="What all processes at one time may take together, in GiB: four fifths of the "
        "machine's memory if null. Arms that do not fit are timed in groups, each with its own "
        "reference and twin, and fewer files are made side by side.",
    )


class LocalRun:
    """Worker processes: one for each unit that is done at the same time, started when needed."""

    def __init__(self, store: Path, fresh: bool) -> None:
        self._store = store
        self._fresh = fresh
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._busy: list[Child] = []
        self._closed = False
        # The kernel ends a child with the thread that started it: this one lives as long as they.
        self._starter = ThreadPoolExecutor(max_workers=1)

    def run(self, unit: Mapping[str, JsonValue], on_progress: OnProgress) -> dict[str, JsonValue]:
        """Do one unit in a worker process of its own.

        Raises:
            QuantbenchError: the backend was closed meanwhile.
        """
        child = self._take(only=unit["stage"] in ("time", "explain"))
        try:
            store = str(self._store)
            child.send({"unit": dict(unit), "store": store, "fresh": self._fresh})
            while True:
                message = child.receive()
                if "result" in message:
                    self._give_back(child)
                    return message
                on_progress(Progress(**message["progress"]))
        except ChildDiedError as error:
            child.close()
            with self._lock:
                self._busy.remove(child)
                if self._closed:
                    raise QuantbenchError("the work was ended early") from None
            failed = Failed(
                stage=str(unit["stage"]),
                error=str(error),
                log=error.log,
                may_pass=error.was_killed,
            )
            return {"result": failed.model_dump(mode="json"), "peak_rss_bytes": None}

    def close(self) -> None:
        """End all worker processes, and with them the units that are being done."""
        with self._lock:
            self._closed = True
            for child in self._busy:
                child.kill()  # whoever waits for its answer closes it
            idle, self._idle = self._idle, []
        for child in idle:
            child.close()
        self._starter.shutdown()

    def _take(self, *, only: bool) -> Child:
        """A process for one unit; with `only`, all other idle ones are ended first."""
        with self._lock:
            if self._closed:
                raise QuantbenchError("the work was ended early")
            ended = [idle for idle in self._idle if idle.has_ended()]
            alive = [idle for idle in self._idle if not idle.has_ended()]
            child = alive.pop() if alive else self._starter.submit(_start).result()
            self._busy.append(child)
            others, self._idle = (alive, []) if only else ([], alive)
        for other in (*ended, *others):
            other.close()
        return child

    def _give_back(self, child: Child) -> None:
        with self._lock:
            self._busy.remove(child)
            if not self._closed:
                self._idle.append(child)
                return
        child.close()


def _start() -> Child:
    return Child("quantbench.worker", {"TOKENIZERS_PARALLELISM": "false"})


class LocalBackend:
    """This machine."""

    spec = BackendSpec("local", LocalArgs)

    def open(self, args: Mapping[str, JsonValue], store: Path, *, fresh: bool) -> BackendRun:
        """A run with worker processes of its own. `args` act in the workers."""
        LocalArgs.model_validate(args)
        return LocalRun(store, fresh)


BACKEND = LocalBackend()
