"""An arm that hangs, dies or is out of memory fails alone, with the reason; no process is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from onnx_files import one_matmul
from processes import alive_with
from quantbench.core.config import TimeBenchmarkArgs
from quantbench.core.plan import Cell
from quantbench.core.results import Timing, TimingFailed
from quantbench.protocols import SessionOptions
from quantbench.stages import arm_processes
from quantbench.stages.arm_processes import (
    ANSWER_LIMIT_SECONDS,
    ArmFailedError,
    ArmProcesses,
    ArmSpec,
    ArmStarter,
    Conditions,
    block_limit_s,
    discarded_forwards,
)
from quantbench.stages.time import Comparison, time_cell

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are counted in /proc")

CELL = Cell(batch_size=1, input_length=None)
FAULTS = (
    "hangs-block",
    "stops-block",
    "killed-open",
    "dies-warm_up",
    "memory-block",
    "limited-block",
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    model = one_matmul(folder / "reference.onnx")
    for name in ("good", *FAULTS):
        shutil.copy(model, folder / f"{name}.onnx")
    return folder


@pytest.fixture(autouse=True)
def _faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm_processes, "BLOCK_LEAST_SECONDS", 0.001)
    monkeypatch.setattr(arm_processes, "ARM_MODULE", "faulty_arm")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)


@pytest.fixture
def own_processes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """All living processes that were started since by this test, and by those that it started."""
    mark = f"TEST_MARK={uuid.uuid4().hex}"
    monkeypatch.setenv(*mark.split("="))

    return lambda: alive_with(mark)


def specs(models: Path, *names: str) -> tuple[ArmSpec, ...]:
    options = SessionOptions(num_threads=1, optimization_level=99)
    return tuple(
        ArmSpec(
            name,
            "onnxruntime",
            models / f"{name}.onnx",
            options,
            () if name == "reference" else ("reference",),
        )
        for name in names
    )


def impatient(
    arms: Sequence[ArmSpec], conditions: Conditions, tell: Callable[[str], None]
) -> ArmProcesses:
    """Starts arms without haste, and then waits a second for each answer."""
    running = ArmStarter()(arms, conditions, tell)
    running.answer_limit_s = 1.0
    return running


def session(models: Path, *names: str) -> dict[str, Timing | TimingFailed]:
    with tempfile.TemporaryDirectory() as scratch:
        return time_cell(
            Comparison(CELL, specs(models, "reference", *names), "reference"),
            {"x": np.ones((1, 64), dtype=np.float32)},
            TimeBenchmarkArgs(duration=0.02, warmup_runs=2),
            None,
            0,
            lambda *_: None,
            scratch=Path(scratch),
            start=impatient,
        )


@pytest.fixture(scope="module")
def conditions(tmp_path_factory: pytest.TempPathFactory) -> Conditions:
    file = tmp_path_factory.mktemp("inputs") / "inputs.npz"
    np.savez(file, x=np.ones((1, 64), dtype=np.float32))
    return Conditions(file, None, 2, 2)


@pytest.fixture
def started(models: Path, conditions: Conditions) -> Iterator[ArmProcesses]:
    arms = specs(models, "reference", "stops-block")
    with contextlib.closing(impatient(arms, conditions, lambda _: None)) as running:
        yield running


def test_each_fault_fails_its_own_row_with_its_reason(
    models: Path, own_processes: Callable[[], list[int]]
) -> None:
    found = session(models, "good", *FAULTS)
    reasons: dict[str, str] = {}
    for name in FAULTS:
        failed = found[name]
        assert isinstance(failed, TimingFailed)
        assert failed.cell == CELL
        reasons[name] = failed.error
        if name not in ("memory-block", "limited-block"):
            assert f"the last words of {name.partition('-')[0]}" in failed.log
    assert "MemoryError: Unable to allocate 8.00 PiB" in reasons.pop("memory-block")
    assert "MemoryError: Unable to allocate 8.00 MiB" in reasons.pop("limited-block")
    assert reasons == {
        "hangs-block": "faulty_arm gave no answer in 1 s",
        "stops-block": "faulty_arm gave no answer in 1 s",
        "killed-open": "faulty_arm was killed by SIGKILL (out of memory?)",
        "dies-warm_up": "faulty_arm ended with 7",
    }
    for name in ("reference", "good"):
        timing = found[name]
        assert isinstance(timing, Timing)
        assert timing.blocks
    assert own_processes() == []


def test_a_reference_that_hangs_ends_the_session(
    models: Path, own_processes: Callable[[], list[int]], tmp_path: Path
) -> None:
    shutil.copy(models / "reference.onnx", tmp_path / "good.onnx")
    shutil.copy(models / "reference.onnx", tmp_path / "hangs-block.onnx")
    (reference,) = specs(tmp_path, "hangs-block")
    (good,) = specs(tmp_path, "good")
    arms = (
        ArmSpec("reference", "onnxruntime", reference.path, reference.options),
        ArmSpec("good", "onnxruntime", good.path, good.options, ("reference",)),
    )
    found = time_cell(
        Comparison(CELL, arms, "reference"),
        {"x": np.ones((1, 64), dtype=np.float32)},
        TimeBenchmarkArgs(duration=0.02, warmup_runs=2),
        None,
        0,
        lambda *_: None,
        scratch=tmp_path,
        start=impatient,
    )
    assert isinstance(found["reference"], TimingFailed)
    assert "no answer" in found["reference"].error
    assert own_processes() == []


def test_an_arm_that_ended_while_it_was_paused_fails_when_it_is_next_asked(
    started: ArmProcesses,
) -> None:
    os.kill(started.children["reference"]._process.pid, signal.SIGKILL)
    with pytest.raises(ArmFailedError, match="was killed by SIGKILL"):
        started.block("reference")


def test_an_arm_that_does_not_wake_up_is_ended(
    started: ArmProcesses, own_processes: Callable[[], list[int]]
) -> None:
    pid = started.children["stops-block"]._process.pid
    with pytest.raises(ArmFailedError, match=r"gave no answer in 1 s"):
        started.block("stops-block")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("forward_s", "limit_s"), [(0.001, 60.0), (1.0, 300.0), (100.0, ANSWER_LIMIT_SECONDS)]
)
def test_a_block_hangs_when_it_takes_a_hundred_times_as_long_as_it_should(
    forward_s: float, limit_s: float
) -> None:
    """It has 2 forwards, after one that is not counted."""
    assert block_limit_s(forward_s, ANSWER_LIMIT_SECONDS) == limit_s


@pytest.mark.parametrize(
    ("forward_s", "forwards"), [(0.5, 1), (0.02, 3), (0.01, 5), (0.001, 50), (1e-5, 100), (0, 100)]
)
def test_a_block_first_catches_up_for_some_hundredths_of_a_second(
    forward_s: float, forwards: int
) -> None:
    assert discarded_forwards(forward_s) == forwards


def test_how_long_a_forward_takes_is_known_once_an_arm_is_warm(started: ArmProcesses) -> None:
    assert 0 < started.forward_s["reference"] < 60


def test_an_interrupt_does_not_wait_for_arms_that_are_being_opened(
    models: Path,
    conditions: Conditions,
    own_processes: Callable[[], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    shutil.copy(models / "reference.onnx", tmp_path / "hangs-open.onnx")
    first, second = specs(models, "reference")[0], specs(tmp_path, "hangs-open")[0]
    opened = threading.Event()
    real = ArmStarter._open

    def interrupted(
        starter: ArmStarter, running: ArmProcesses, arm: ArmSpec, shared: Conditions
    ) -> None:
        if arm is first:
            # Once the other one is waiting for its answer, as when Ctrl-C is pressed.
            opened.wait()
            while not running.children[second.id]._log.seek(0, os.SEEK_END):
                time.sleep(0.01)
            raise KeyboardInterrupt
        opened.set()
        real(starter, running, arm, shared)

    monkeypatch.setattr(ArmStarter, "_open", interrupted)
    with contextlib.closing(ArmStarter()) as start, pytest.raises(KeyboardInterrupt):
        start([first, second], conditions, lambda _: None)
    assert own_processes() == []
