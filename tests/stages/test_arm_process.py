"""The process of an arm: bound to its processors, ended first, with no thread too many."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from onnx_files import one_matmul
from quantbench.core.errors import QuantbenchError
from quantbench.protocols import Inputs, SessionOptions
from quantbench.runtimes import ort
from quantbench.stages.arm import Arm
from quantbench.stages.arm_processes import ArmProcesses, ArmSpec, ArmStarter, Conditions
from quantbench.stages.thread_pools import INTEROP, check_thread_counts

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("arm")
    one_matmul(made / "model.onnx")
    np.savez(made / "inputs.npz", x=np.ones((1, 64), dtype=np.float32))
    return made


@pytest.fixture(scope="module")
def bound(folder: Path) -> Iterator[ArmProcesses]:
    """A real process on the last processor that may be used."""
    cpu = max(os.sched_getaffinity(0)) if sys.platform == "linux" else 0
    spec = ArmSpec("arm", "onnxruntime", folder / "model.onnx", SessionOptions(1, 99))
    with contextlib.closing(ArmStarter()) as start:
        conditions = Conditions(folder / "inputs.npz", [cpu], 2, 1)
        with contextlib.closing(start([spec], conditions, lambda _: None)) as running:
            yield running


@linux
def test_it_runs_on_the_processors_it_was_bound_to_and_says_so(bound: ArmProcesses) -> None:
    cpu = max(os.sched_getaffinity(0))
    assert bound.failed == {}
    assert bound.describe("arm")["affinity"] == [cpu]
    assert os.sched_getaffinity(bound.children["arm"]._process.pid) == {cpu}


@linux
def test_linux_ends_it_before_its_parent_when_memory_is_short(bound: ArmProcesses) -> None:
    def score(process: str) -> int:
        return int(Path(f"/proc/{process}/oom_score_adj").read_text())

    assert score(str(bound.children["arm"]._process.pid)) == 1000
    assert score("self") < 1000


@pytest.mark.parametrize(
    ("of_runtime", "pools", "told"),
    [
        (1, {}, "the runtime computes with 1 threads, not 2"),
        (2, {INTEROP: 2}, "PyTorch's pool for independent operators has 2 threads, not 1"),
        (2, {INTEROP: 1, "openblas (libopenblas.so)": 4}, "openblas .* has 4 threads, not 2"),
    ],
)
def test_another_number_of_threads_is_an_error(
    of_runtime: int, pools: dict[str, int], told: str
) -> None:
    with pytest.raises(QuantbenchError, match=told):
        check_thread_counts(2, of_runtime, pools)


def test_a_library_that_holds_itself_to_fewer_threads_is_fine() -> None:
    check_thread_counts(2, 2, {INTEROP: 1, "openblas (libopenblas.so)": 1})


class OneThreadMore:
    """A session that computes with a thread more than it was asked to."""

    def bind(self, inputs: Inputs) -> object:
        return lambda: dict(inputs)

    def verified_num_threads(self) -> int:
        return 3

    def close(self) -> None:
        """Nothing is open."""


def test_an_arm_whose_session_reports_another_number_does_not_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort.OnnxRuntime, "open", lambda *_: OneThreadMore())
    assert opened(folder) == {
        "error": "QuantbenchError: the runtime computes with 3 threads, not 2"
    }


def test_an_arm_in_which_a_library_has_another_number_does_not_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quantbench.stages.arm.thread_pools", lambda: {"openmp (libgomp.so)": 5})
    assert opened(folder) == {"error": "QuantbenchError: openmp (libgomp.so) has 5 threads, not 2"}


def opened(folder: Path) -> dict[str, object]:
    message = {
        "do": "open",
        "framework": "onnxruntime",
        "path": str(folder / "model.onnx"),
        "options": {"num_threads": 2, "optimization_level": 99},
        "inputs": str(folder / "inputs.npz"),
        "affinity": None,
    }
    return Arm().handle(message, lambda _: None)
