"""A machine that loads from the hub on loopback, as seen from a test."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fake_hub import FakeHub


def environment(hub: FakeHub, home: Path) -> dict[str, str]:
    """Variables that lead every library to the hub on loopback and to caches of the test's own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return kept | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
    }


@dataclass
class Machine:
    """A machine with a cache of its own: loads, and remembers what it loaded before."""

    stdin: IO[str]
    stdout: IO[str]
    home: Path
    directory: Path

    def model(self, name: str, revision: str | None = None, **state: Any) -> dict[str, Any]:
        """Load a model; `offline`, `token` and `max_file_bytes` are the state of the machine."""
        return self._ask({"what": "model", "name": name, "revision": revision}, state)

    def dataset(self, path: str, *, state: dict[str, Any] | None = None, **config: Any) -> Any:
        """Load the validation split of a dataset."""
        return self._ask({"what": "dataset", "dataset": {"path": path} | config}, state or {})

    def refused_model(self, name: str, revision: str | None = None, **state: Any) -> str:
        """The one message with which a model is refused, as wrong usage."""
        return refusal(self.model(name, revision, **state))

    def refused_dataset(self, path: str, **arguments: Any) -> str:
        """The one message with which a dataset is refused, as wrong usage."""
        return refusal(self.dataset(path, **arguments))

    def blobs(self) -> list[Path]:
        """All files in the hub's cache that hold contents, complete or not."""
        return sorted(path for path in self.home.glob("hub/*/blobs/*"))

    def _ask(self, request: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        defaults = {"offline": False, "token": None, "max_file_bytes": None}
        paths = {"home": str(self.home), "directory": str(self.directory)}
        self.stdin.write(json.dumps(defaults | paths | request | state) + "\n")
        self.stdin.flush()
        answer: dict[str, Any] = json.loads(self.stdout.readline())
        assert "crash" not in answer, answer["crash"]
        return answer


def refusal(answer: dict[str, Any]) -> str:
    assert "error" in answer, answer
    assert answer["exit_code"] == 2
    text = str(answer["error"])
    assert "Traceback" not in text
    assert len(text.splitlines()) <= 5, text
    return text
