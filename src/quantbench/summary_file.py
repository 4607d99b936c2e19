"""The summary of a run, kept beside the facts that it was derived from.

Deriving it reads every raw time and every answer, which takes minutes for thousands of rows. So
`summary.jsonl` has it, with a key of all that it follows from: the files of the run by size and
time of change, the code, and the metrics. With another key, or damaged, it counts as not there.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

import quantbench
from quantbench import registry, run_dir
from quantbench.analysis.compare import summarize
from quantbench.core.config import SweepConfig
from quantbench.core.frozen import content_key
from quantbench.core.results import SweepResult
from quantbench.core.specs import TaskSpec
from quantbench.core.summary import SweepSummary
from quantbench.ordinary import read_ordinary
from quantbench.run_files import SUMMARY
from quantbench.store import write_atomically

# The rooms whose code the numbers follow from.
_ROOMS = ("core", "analysis")


@dataclass(frozen=True)
class Summarized:
    """A run as most commands see it: its outline, what is derived from it, and its task.

    `everything` has the facts of the arms too, where they had to be read.
    `key` is of all that the summary follows from; `is_kept` says that there is nothing to keep.
    """

    outline: SweepResult
    everything: SweepResult | None
    summary: SweepSummary
    task: TaskSpec
    key: str
    is_kept: bool


def summarized(path: Path) -> Summarized:
    """The summary of a run: the kept one if it is of these facts, or else derived now.

    Nothing is written: looking at a run changes nothing in its folder.

    Raises:
        UsageError: the folder holds no run.
        QuantbenchError: a file is damaged, of another format, or contradicts others.
    """
    with _no_collector():
        return _summarized(path)


def _summarized(path: Path) -> Summarized:
    catalog = registry.catalog()
    outline = run_dir.load_outline(path, catalog)
    task = registry.task(outline.config.task).spec
    if outline.published:  # there is little to derive, and nothing to keep
        return Summarized(outline, outline, summarize(outline, task), task, key="", is_kept=True)
    key = _key(path, outline.config, task)
    kept = _read(path, key)
    if kept is not None:
        return Summarized(outline, None, kept, task, key, is_kept=True)
    everything = run_dir.load_run(path, catalog)
    return Summarized(outline, everything, summarize(everything, task), task, key, is_kept=False)


def keep(path: Path, found: Summarized) -> None:
    """Keep a summary in the run's folder for those who look next.

    Raises:
        OSError: it cannot be written.
    """
    if found.is_kept:
        return
    body = found.summary.model_dump_json(exclude_defaults=True)
    head = json.dumps({"key": found.key, "sha256": _sha256(body.encode())})
    write_atomically(path / SUMMARY, f"{head}\n{body}\n")


def _key(path: Path, config: SweepConfig, task: TaskSpec) -> str:
    """What a summary follows from: any change of a file, of the code or of a metric changes it."""
    files = [path / name for name in ("config.yaml", "plan.json", "run.json")]
    files += sorted((path / "arms").glob("*.json"))
    found: dict[str, JsonValue] = {}
    for file in files:
        stat = file.stat()
        found[file.name] = [stat.st_size, stat.st_mtime_ns]
    metrics: list[JsonValue] = [
        [metric.name, metric.scale, metric.binary, metric.form]
        for metric in task.metrics_with(config.task_args)
    ]
    return content_key({"files": found, "code": _code(), "metrics": metrics}, 32)


def _read(path: Path, key: str) -> SweepSummary | None:
    """The kept summary with that key; None if there is none, or it is not as it was written."""
    try:
        head, body, *_ = read_ordinary(path / SUMMARY).split(b"\n")
        told = json.loads(head)
        if told["key"] != key or told["sha256"] != _sha256(body):
            return None
        return SweepSummary.model_validate_json(body)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """Read without Python's collector, which looks at all that was read again and again.

    What was read lives as long as the command does, and has no cycles: three quarters of the time
    of a large summary are saved.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()


@functools.cache
def _code() -> str:
    """A digest of the code that derives: a new version derives anew."""
    found = hashlib.sha256()
    for room in _ROOMS:
        for file in sorted((Path(quantbench.__file__).parent / room).glob("*.py")):
            found.update(f"{room}/{file.name}\n".encode())
            found.update(file.read_bytes())
    return found.hexdigest()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
