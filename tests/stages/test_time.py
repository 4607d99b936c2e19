"""Timing: arms are compared at the same time, each in a process of its own."""

import contextlib
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnx_files import one_matmul
from quantbench.core.config import TimeBenchmarkArgs
from quantbench.core.plan import Cell
from quantbench.core.results import Timing, TimingFailed
from quantbench.core.stats import LOOKS
from quantbench.protocols import SessionOptions
from quantbench.stages import arm, arm_processes
from quantbench.stages import time as timing
from quantbench.stages.arm import run_block, warm_up
from quantbench.stages.arm_processes import BLOCK_LEAST_FORWARDS, ArmSpec, ArmStarter
from quantbench.stages.time import Comparison, round_order, time_cell

CELL = Cell(batch_size=1, input_length=None)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with one MatMul: [1, 64] float32 in and out."""
    return one_matmul(tmp_path_factory.mktemp("model") / "model.onnx")


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm_processes, "BLOCK_LEAST_SECONDS", 0.001)


def arms(model: Path, *names: str) -> list[ArmSpec]:
    options = SessionOptions(num_threads=1, optimization_level=99)
    return [
        ArmSpec(name, "onnxruntime", model, options, () if name == "reference" else ("reference",))
        for name in names
    ]


def run(specs: list[ArmSpec], **changes: Any) -> dict[str, Timing | TimingFailed]:
    args = TimeBenchmarkArgs(**{"duration": 0.02, "warmup_runs": 2} | changes)
    inputs = {"x": np.ones((1, 64), dtype=np.float32)}
    comparison = Comparison(CELL, tuple(specs), "reference")
    with tempfile.TemporaryDirectory() as scratch, contextlib.closing(ArmStarter()) as start:
        return time_cell(
            comparison, inputs, args, None, 0, lambda *_: None, scratch=Path(scratch), start=start
        )


def test_the_reference_runs_first_and_last_and_the_others_in_changing_order() -> None:
    shuffle = random.Random(0)
    orders = [round_order(["a", "reference", "b", "c"], "reference", shuffle) for _ in range(20)]
    assert all(order[0] == order[-1] == "reference" for order in orders)
    assert all(sorted(order[1:-1]) == ["a", "b", "c"] for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_raw_times_of_every_arm_are_kept_by_round(model: Path) -> None:
    found = run(arms(model, "reference", "a"))
    reference, other = found["reference"], found["a"]
    assert isinstance(reference, Timing)
    assert isinstance(other, Timing)
    rounds = {block.round for block in other.blocks}
    assert rounds == set(range(len(other.blocks)))
    assert len(reference.blocks) == 2 * len(other.blocks)
    assert all(
        len(block.samples_ns) >= BLOCK_LEAST_FORWARDS
        for block in (*reference.blocks, *other.blocks)
    )


def test_the_process_reports_its_own_threads(model: Path) -> None:
    found = run(arms(model, "reference", "a"))["a"]
    assert isinstance(found, Timing)
    assert found.processes[0].num_threads == 1
    assert found.processes[0].warmup_runs >= 2


def test_an_arm_that_cannot_start_fails_alone(model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    options = SessionOptions(num_threads=1, optimization_level=99)
    specs = [
        *arms(model, "reference", "a"),
        ArmSpec("bad", "onnxruntime", broken, options, ("reference",)),
    ]
    found = run(specs)
    assert isinstance(found["a"], Timing)
    bad = found["bad"]
    assert isinstance(bad, TimingFailed)
    assert bad.stage == "time"
    assert bad.cell == CELL
    assert "broken.onnx" in bad.error


def test_without_a_reference_nothing_is_compared(model: Path, tmp_path: Path) -> None:
    options = SessionOptions(num_threads=1, optimization_level=99)
    missing = ArmSpec("reference", "onnxruntime", tmp_path / "none.onnx", options)
    found = run([missing, *arms(model, "a")])
    assert all(isinstance(result, TimingFailed) for result in found.values())


def test_timing_stops_when_every_arm_is_precise(model: Path) -> None:
    found = run(arms(model, "reference", "a"), duration=60.0, precision=0.99)["a"]
    assert isinstance(found, Timing)
    assert found.stopped == "precise"
    assert len(found.processes) in LOOKS
    assert {block.process_set for block in found.blocks} == set(range(len(found.processes)))


def test_timing_stops_when_the_budget_is_spent(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run(arms(model, "reference", "a"), duration=0.001, precision=0.0001)["a"]
    assert isinstance(found, Timing)
    assert found.stopped == "budget"
    assert len(found.blocks) == 1


def test_nothing_else_is_timed_on_the_machine_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    lock = tmp_path / "timing.lock"
    monkeypatch.setattr(timing, "LOCK", lock)
    with (
        timing.machine_lock(lambda *_: None),
        lock.open() as other,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with lock.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_block_has_the_least_number_of_forwards_and_discards_the_first() -> None:
    calls: list[int] = []

    def forward() -> dict[str, Any]:
        calls.append(1)
        return {}

    block = run_block(forward, discard=3, least_forwards=5, least_seconds=0.0)
    assert len(block["samples_ns"]) == 5
    assert len(calls) == 8


def runs_of_warm_up(monkeypatch: pytest.MonkeyPatch, *windows: list[int]) -> int:
    """The forwards that it takes, if they take so long, in nanoseconds, window by window."""
    given = iter(windows)
    monkeypatch.setattr(arm, "_timed", lambda *_: next(given))
    return warm_up(dict, least_runs=1)


def test_warm_up_goes_on_while_forwards_get_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    steady = [[nanoseconds] * 5 for nanoseconds in (200, 150, 120, 119, 90)]
    assert runs_of_warm_up(monkeypatch, *steady) == 4 * 5


def test_windows_that_differ_by_no_more_than_their_noise_agree(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noisy = [100, 140, 90, 150, 120], [130, 105, 160, 125, 145], [100, 100, 100, 100, 100]
    assert runs_of_warm_up(monkeypatch, *noisy) == 2 * 5


def test_little_is_known_from_windows_of_two_forwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The medians differ by 11 %, which is 2.7 of the errors that two and two forwards show."""
    assert runs_of_warm_up(monkeypatch, [100, 106], [112, 118], [90, 90]) == 2 * 2


def test_warm_up_runs_at_least_as_often_as_asked() -> None:
    assert warm_up(dict, least_runs=50) >= 50
