"""Ctrl-C while a cell is timed: every process ends, and what was measured before is kept."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from crashing import CONFIG, Killed

from onnx_files import one_matmul
from processes import alive_with
from quantbench.core.results import SweepResult, Timing

# How long a run may take to end all of its processes.
LIMIT_S = 5.0
# The second of these shapes takes long enough to be interrupted.
TWO_SHAPES = CONFIG | {
    "framework_args": {"opset": 13},
    "benchmarked": {"quantization_approach": ["dynamic"]},
    "time_benchmark_args": {"duration": 0.3, "warmup_runs": 1, "precision": 0.0001},
}


def sessions(result: SweepResult, batch_size: int) -> set[str]:
    """The measuring sessions of a shape, as far as they were kept."""
    return {
        item.session
        for arm in result.arms
        for item in arm.timings
        if isinstance(item, Timing) and item.cell.batch_size == batch_size
    }


def wait_until_timing(run: Killed, process: subprocess.Popen[bytes], cell: str) -> None:
    """Until all arms of a cell have been started, and so some are paused."""
    log = run.folder / "run" / "log.txt"
    while not (
        log.exists() and f"time: {cell}" in log.read_text() and len(arms(run.processes())) >= 3
    ):
        assert process.poll() is None, run.output[-4000:]
        time.sleep(0.02)


def arms(processes: list[int]) -> list[int]:
    """Those that hold a model, or are to be forked into some."""
    found: list[int] = []
    for pid in processes:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if b"quantbench.stages.arm" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


@pytest.mark.slow
def test_an_interrupt_ends_every_process_and_keeps_the_shapes_that_are_done(
    tmp_path: Path,
) -> None:
    run = Killed(tmp_path / "run", TWO_SHAPES)
    process = run.start()
    wait_until_timing(run, process, "b2-l16")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT_S) == 130, run.output[-4000:]
    assert run.wait_for_orphans(LIMIT_S - (time.monotonic() - began)) == []
    assert "interrupted; run the same command again to go on" in run.output
    assert "Traceback" not in run.output
    kept = run.result()
    assert sessions(kept, 1)
    assert not sessions(kept, 2)
    after = run.finish()
    assert sessions(after, 1) == sessions(kept, 1)
    assert sessions(after, 2)


def test_an_interrupt_ends_every_process_of_files_that_are_timed(tmp_path: Path) -> None:
    model, mark = one_matmul(tmp_path / "model.onnx"), f"TEST_MARK={tmp_path}"
    command = [sys.executable, "-m", "quantbench", "time", str(model), str(model)]
    process = subprocess.Popen(
        [*command, "--duration", "600", "--precision", "0.00001"],
        env={**os.environ, "TEST_MARK": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(arms(alive_with(mark))) < 3:  # two files, and a copy of the first
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert alive_with(mark) == []
