"""PyTorch's arms are forked from a process that has imported it, and are like any other arm."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from quantbench.core.errors import QuantbenchError
from quantbench.protocols import SessionOptions
from quantbench.stages import arm_processes
from quantbench.stages.arm_processes import (
    BLOCK_LEAST_FORWARDS,
    ArmFailedError,
    ArmSpec,
    ArmStarter,
    Conditions,
)
from quantbench.template import IS_SUPPORTED, Template
from tiny_models import AUTO_CLASS, Models

pytestmark = pytest.mark.skipif(not IS_SUPPORTED, reason="forks are used on Linux only")


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm_processes, "BLOCK_LEAST_SECONDS", 0.001)


@pytest.fixture(scope="module")
def starter() -> Iterator[ArmStarter]:
    with contextlib.closing(ArmStarter()) as starter:
        yield starter


@pytest.fixture(scope="module")
def arm(models: Models) -> ArmSpec:
    options = SessionOptions(2, None, AUTO_CLASS["distilbert"])
    return ArmSpec("original", "pytorch", models.directory("distilbert"), options)


@pytest.fixture
def conditions(tmp_path: Path) -> Conditions:
    file = tmp_path / "inputs.npz"
    np.savez(file, input_ids=np.ones((1, 8), dtype=np.int64))
    return Conditions(file, None, 2, 2)


def started(
    starter: ArmStarter, arms: Sequence[ArmSpec], conditions: Conditions
) -> contextlib.closing[arm_processes.ArmProcesses]:
    return contextlib.closing(starter(arms, conditions, lambda _: None))


def pid_of(running: arm_processes.ArmProcesses) -> int:
    return running.children["original"]._process.pid


def test_each_set_has_a_process_of_its_own_and_one_template_for_all(
    starter: ArmStarter, arm: ArmSpec, conditions: Conditions
) -> None:
    pids = set[int]()
    for _ in range(2):
        with started(starter, [arm], conditions) as running:
            assert running.failed == {}
            pids.add(pid_of(running))
            assert len(running.block("original")["samples_ns"]) >= BLOCK_LEAST_FORWARDS
            assert running.describe("original")["num_threads"] == 2
    assert len(pids) == 2
    assert len(starter.templates) == 1


def test_a_closed_set_leaves_no_process(
    starter: ArmStarter, arm: ArmSpec, conditions: Conditions
) -> None:
    with started(starter, [arm], conditions) as running:
        pid = pid_of(running)
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_kills_a_forked_arm_is_told(
    starter: ArmStarter, arm: ArmSpec, conditions: Conditions
) -> None:
    with started(starter, [arm], conditions) as running:
        os.kill(pid_of(running), signal.SIGKILL)
        with pytest.raises(ArmFailedError, match="was killed by SIGKILL"):
            running.block("original")


def test_a_model_that_cannot_be_imported_fails_its_arm_alone(
    starter: ArmStarter, tmp_path: Path, conditions: Conditions
) -> None:
    options = SessionOptions(1, None, AUTO_CLASS["distilbert"])
    with started(
        starter, [ArmSpec("original", "pytorch", tmp_path, options)], conditions
    ) as running:
        assert f"transformers cannot open {tmp_path}" in str(running.failed["original"])


def test_what_was_forked_ends_with_its_template(arm: ArmSpec, conditions: Conditions) -> None:
    with contextlib.closing(ArmStarter()) as own:
        running = own([arm], conditions, lambda _: None)
        for template in own.templates.values():
            os.kill(template._process.pid, signal.SIGKILL)
            template._process.wait()
        with pytest.raises(ArmFailedError, match="was killed by SIGKILL"):
            running.block("original")
        running.close()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("time.sleep(1000)", "gave no answer in 0.5 s: looking for the library"),
        ("os.kill(os.getpid(), 9)", "was killed by SIGKILL (out of memory?): looking for"),
        ("sys.exit(3)", "ended with 3: looking for the library"),
    ],
)
def test_a_template_that_does_not_come_up_is_told(
    fault: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        "import os, sys, time",
        "print('looking for the library', flush=True)",
        fault,
    ]
    (tmp_path / "slow_template.py").write_text("\n".join(lines))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    template = Template("slow_template", [], {}, answer_limit_s=0.5)
    with contextlib.closing(template), tempfile.TemporaryFile() as log:
        while template._log.seek(0, os.SEEK_END) == 0:  # until it has begun
            time.sleep(0.01)
        with pytest.raises(QuantbenchError) as caught:
            template.fork("", {}, log)
    assert f"the process to fork from {reason}" in str(caught.value)
    assert template._process.returncode is not None
