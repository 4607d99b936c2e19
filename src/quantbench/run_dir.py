"""A run's folder: the config, the plan, what is known of each arm and row, and the reports."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from quantbench.core.config import SweepConfig
from quantbench.core.errors import UsageError
from quantbench.core.explanation import EXPLANATION_VERSION, Explained
from quantbench.core.plan import Plan
from quantbench.core.printable import printable, shortened
from quantbench.core.results import (
    ArmResult,
    Spent,
    Subject,
    SweepResult,
    TrialResult,
)
from quantbench.core.specs import Catalog
from quantbench.core.units import Prepared
from quantbench.ordinary import read_ordinary
from quantbench.run_files import (
    FOLDERS,
    LOG,
    SPENT,
    SUMMARY,
    RunFacts,
    damaged,
    is_imported,
    read_facts,
    read_file,
    read_imported,
    read_run_config,
    refuse_others,
)
from quantbench.store import remove_half_written, write_atomically

# A link in the place of a file is not followed, a pipe not waited for.
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
_MADE_FIRST = {"arms", "results"}


@dataclass(frozen=True)
class RunDir:
    """An open run folder."""

    path: Path

    def write_arm(self, result: ArmResult) -> None:
        """Keep what is known of an arm; replaces what was known before."""
        text = result.model_dump_json(indent=None)
        write_atomically(self.path / "arms" / f"{result.arm.id}.json", text + "\n")

    def write_trial(self, result: TrialResult) -> None:
        """Keep what is known of a row; replaces what was known before."""
        text = result.model_dump_json(indent=1)
        write_atomically(self.path / "results" / f"row-{result.row:03d}.json", text + "\n")

    def write_explained(self, explained: Explained) -> None:
        """Keep the facts behind a row; replaces what was known before."""
        folder = self.path / "explained"
        folder.mkdir(exist_ok=True)
        text = explained.model_dump_json(indent=None)
        write_atomically(folder / f"row-{explained.row:03d}.json", text + "\n")

    def read_explained(self) -> tuple[Explained, ...]:
        """Every row that was explained, by number.

        Raises:
            QuantbenchError: a file is damaged.
        """
        files = sorted((self.path / "explained").glob("*.json"))
        return tuple(read_file(file, Explained, EXPLANATION_VERSION) for file in files)

    def read_arms(self) -> dict[str, ArmResult]:
        """Every arm that is on disk, by id."""
        return {result.arm.id: result for result in self.arms()}

    def read_arm(self, arm_id: str) -> ArmResult | None:
        """What is known of one arm; None if nothing is on disk.

        Raises:
            QuantbenchError: the file is damaged.
        """
        # Looked up among the names that are there: an id from outside is never a path.
        found = {file.stem: file for file in (self.path / "arms").glob("*.json")}.get(arm_id)
        return None if found is None else self._read_arm(found)

    def arms(self) -> Iterator[ArmResult]:
        """Every arm that is on disk, read one after the other. Raises as `read_arm` does."""
        for file in sorted((self.path / "arms").glob("*.json")):
            yield self._read_arm(file)

    def _read_arm(self, file: Path) -> ArmResult:
        result = read_file(file, ArmResult)
        if file.stem != result.arm.id:
            raise damaged(file, f"it is of {shortened(result.arm.id)!r}")
        return result

    def add_spent(self, spent: Spent) -> None:
        """Note what a unit cost. Units of an interrupted run that is gone on with are added."""
        with os.fdopen(os.open(self.path / SPENT, _APPEND, 0o666), "a", encoding="utf-8") as file:
            file.write(spent.model_dump_json() + "\n")

    def read_spent(self) -> tuple[Spent, ...]:
        """What all units cost so far, in the order of the work.

        Raises:
            QuantbenchError: a line is damaged.
        """
        file = self.path / SPENT
        if not file.exists():
            return ()
        try:
            lines = read_ordinary(file).decode().splitlines()
            return tuple(Spent.model_validate_json(line) for line in lines)
        except (OSError, ValueError) as error:
            raise damaged(file, error) from None

    def log(self, text: str) -> None:
        """Add a line to the run's log, in which nothing moves a terminal's cursor."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        handle = os.open(self.path / LOG, _APPEND, 0o666)
        with os.fdopen(handle, "a", encoding="utf-8") as file:
            file.write(f"{now} {printable(text)}\n")


def check_target(path: Path, config: SweepConfig, catalog: Catalog) -> None:
    """Refuse a folder that a run cannot be written to. Nothing is written.

    Raises:
        UsageError: the folder is no run, holds another config or links, or cannot be written.
    """
    if _exists(path) and not path.is_dir():
        raise UsageError(f"{path} is a file: a run needs a folder", hint="Choose another --out.")
    # A run that was ended at its very start has left nothing but these.
    refuse_others(path)
    names = _names_in(path) if path.is_dir() else set[str]()
    if not all(name in _MADE_FIRST or name.startswith(".config.yaml-") for name in names):
        if not (path / "config.yaml").exists():
            raise UsageError(f"{path} is not empty and holds no run", hint="Choose another --out.")
        differences = _differences(read_run_config(path, catalog), config)
        if differences:
            listing = "\n".join(f"    {line}" for line in differences)
            raise UsageError(
                f"{path} already holds a run of another config:\n{listing}",
                hint="Choose another --out, or restore the config to go on with that run.",
            )
    existing = next(parent for parent in [path, *path.absolute().parents] if _exists(parent))
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"{path} cannot be written", hint="Choose another --out.")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a run's folder, which is made if need be. It goes with the process.

    Raises:
        UsageError: another process is writing there, or the folder cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "Wait for it, or choose another --out."
            raise UsageError(f"another quantbench is running in {path}", hint=hint) from None
        yield
    finally:
        os.close(handle)


def prepared_before(path: Path) -> Prepared | None:
    """What was found of model and data when a run began; None if no run has begun there.

    Raises:
        QuantbenchError: the file is damaged, or of another version.
    """
    if not (path / "run.json").exists():
        return None
    facts = read_facts(path)
    return Prepared(
        subject=facts.subject,
        environment=facts.environment,
        files=facts.files,
        stamp=facts.stamp,
    )


def pinned(config: SweepConfig, prepared: Prepared) -> SweepConfig:
    """The config with the commits that its names on the hub stand for in this run."""
    subject = prepared.subject
    dataset = config.dataset.model_copy(update={"revision": subject.dataset_revision})
    return config.model_copy(update={"model_revision": subject.model_revision, "dataset": dataset})


def open_run(
    path: Path, config: SweepConfig, config_text: str, plan: Plan, prepared: Prepared, fresh: bool
) -> RunDir:
    """Fill the folder of a run, which `locked` made, or go on with the run that is there.

    Args:
        path: the folder.
        config: with what is pinned; kept as `pinned.yaml`.
        config_text: as the user wrote it; kept as `config.yaml`.
        plan: of the config.
        prepared: the model, the data and the machine.
        fresh: throw away what an earlier run of the same config measured.

    Raises:
        UsageError: the run that is there was measured on another machine, model or data, or links
            stand where this one would write.
    """
    run = RunDir(path)
    refuse_others(path)
    if (path / "run.json").exists() and not fresh:
        found = read_facts(path)
        changed = _changed(found, prepared)
        if changed:
            raise UsageError(
                f"{path} holds results that cannot be mixed with new ones: {', '.join(changed)}",
                hint="Choose another --out, or measure everything again with --fresh.",
            )
        for name in ("arms", "results"):
            (path / name).mkdir(exist_ok=True)
        for folder in (path, *(path / name for name in FOLDERS)):
            remove_half_written(folder)
        _cut_half_line(path / SPENT)
        return run
    try:
        # First of all: a run without it is one that has not begun.
        (path / "run.json").unlink(missing_ok=True)
        (path / SUMMARY).unlink(missing_ok=True)
        for name in ("arms", "results", "explained", "errors"):
            if fresh:
                shutil.rmtree(path / name, ignore_errors=True)
        for name in ("arms", "results"):
            (path / name).mkdir(exist_ok=True)
        remove_half_written(path)
        (path / SPENT).unlink(missing_ok=True)
        write_atomically(path / "config.yaml", config_text)
        complete = config.model_dump(mode="json", exclude_none=True)
        write_atomically(path / "pinned.yaml", yaml.safe_dump(complete, sort_keys=False))
        write_atomically(path / "plan.json", plan.model_dump_json(indent=1) + "\n")
        facts = RunFacts(
            environment=prepared.environment,
            subject=prepared.subject,
            files=prepared.files,
            stamp=prepared.stamp,
        )
        write_atomically(path / "run.json", facts.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    return run


def check_run(path: Path) -> None:
    """Refuse a folder in which there is no run.

    Raises:
        UsageError: the folder holds no run, or links where reports would be written.
    """
    if not (_exists(path / "run.json") or is_imported(path)):
        hint = "Give the folder that `quantbench run` or `quantbench import` made."
        raise UsageError(f"{path} holds no run", hint=hint)
    refuse_others(path)


def load_run(path: Path, catalog: Catalog) -> SweepResult:
    """Read all facts of a run, or of a card that was imported.

    Raises:
        UsageError: the folder holds no run, or links where reports would be written.
        QuantbenchError: a file is damaged, or of another format.
    """
    return _with_costs(path, load_measurements(path, catalog))


def load_measurements(path: Path, catalog: Catalog) -> SweepResult:
    """Read what a run measured, without what it cost and what explains it.

    Explanations have a format version of their own: runs of several versions can be compared
    whatever that of theirs is. Raises as `load_run` does.
    """
    begun = _load_begun(path, catalog)
    if begun.plan is None:
        return begun
    arms = RunDir(path).read_arms()
    found = tuple(arms[arm.id] for arm in begun.plan.arms if arm.id in arms)
    return begun.model_copy(update={"arms": found})


def load_outline(path: Path, catalog: Catalog) -> SweepResult:
    """The facts of a run without those of its arms, which are nearly all of its bytes.

    Raises as `load_run` does.
    """
    return _with_costs(path, _load_begun(path, catalog))


def _load_begun(path: Path, catalog: Catalog) -> SweepResult:
    """What was known of a run when it began; of an imported card everything."""
    check_run(path)
    if is_imported(path):
        return read_imported(path, catalog).result
    facts = read_facts(path)
    return SweepResult(
        config=read_run_config(path, catalog),
        plan=read_file(path / "plan.json", Plan),
        environment=facts.environment,
        subject=facts.subject,
        model_type=facts.subject.model_type,
    )


def _with_costs(path: Path, result: SweepResult) -> SweepResult:
    run = RunDir(path)
    return result.model_copy(update={"spent": run.read_spent(), "explained": run.read_explained()})


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a run's folder (`locked`), so that it is under way.

    Raises:
        OSError: the folder cannot be read.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _exists(path: Path) -> bool:
    """Whether something is there. Raises UsageError for a name that the system does not take."""
    try:
        return path.exists()
    except OSError as error:
        raise UsageError(
            f"{shortened(str(path))} cannot be used: {error.strerror}", hint="Choose another name."
        ) from None


def _names_in(path: Path) -> set[str]:
    try:
        return {item.name for item in path.iterdir()}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _differences(old: SweepConfig, new: SweepConfig) -> list[str]:
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    return [
        f"{name}: {json.dumps(before[name])} there, {json.dumps(after[name])} given"
        for name in before
        if before[name] != after[name]
    ]


def _cut_half_line(file: Path) -> None:
    """Remove the last line of a file if it was not written to its end."""
    content = file.read_bytes() if file.exists() else b""
    if content and not content.endswith(b"\n"):
        write_atomically(file, content[: content.rfind(b"\n") + 1])


def _changed(found: RunFacts, now: Prepared) -> list[str]:
    before, environment = found.environment, now.environment
    pairs = {
        "the processor differs": (before.cpu, environment.cpu),
        "versions of packages differ": (before.packages, environment.packages),
        "the number of threads differs": (before.num_threads, environment.num_threads),
        "the model or the data differs": (_measured(found.subject), _measured(now.subject)),
    }
    return [text for text, (old, new) in pairs.items() if old != new]


def _measured(subject: Subject) -> dict[str, Any]:
    """What of the subject results depend on: not its license, nor what is said about it."""
    return subject.model_dump(exclude={"license", "notes", "model_id", "dataset_id"})
