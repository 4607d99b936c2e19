"""Counters of the machine, read before and after a block."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from quantbench.stages import covariates

STAT = """cpu  {0} 0 0 0 0 0 0 0 0 0
cpu0 {0} 1 2 100 5 1 1 3 50 0
cpu1 {1} 1 2 200 5 1 1 4 0 0
intr 12345 0 0
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with two processors, of which the process may use the second."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text(STAT.format(10, 20))
    monkeypatch.setattr(covariates, "_processors", lambda: [1])
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_time_of_the_processors_that_may_be_used_is_read(machine: Path) -> None:
    found = covariates.read(machine)
    assert found.processor_ticks == 20 + 1 + 2 + 200 + 5 + 1 + 1 + 4
    assert found.busy_ticks == 20 + 1 + 2 + 1 + 1
    assert found.steal_ticks == 4


def test_what_happened_between_two_readings_is_their_difference(machine: Path) -> None:
    before = covariates.read(machine)
    write(machine / "proc/stat", STAT.format(1000, 27))
    found = covariates.between(before, covariates.read(machine))
    assert (found["processor_ticks"], found["busy_ticks"], found["steal_ticks"]) == (7, 7, 0)


def test_what_the_system_does_not_tell_is_none(tmp_path: Path) -> None:
    empty = covariates.read(tmp_path)
    assert empty.processor_ticks is None
    assert empty.thermal_throttles is None
    assert empty.quota_throttles is None
    assert covariates.between(empty, empty)["busy_ticks"] is None
    assert covariates.frequency_mhz(tmp_path) is None


def test_a_processor_that_is_not_listed_makes_the_whole_unknown(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(covariates, "_processors", lambda: [1, 2])
    assert covariates.read(machine).busy_ticks is None


def test_throttling_for_heat_and_by_the_containers_quota_is_counted(machine: Path) -> None:
    for number, count in enumerate((7, 9)):
        folder = machine / f"sys/devices/system/cpu/cpu{number}"
        write(folder / "thermal_throttle/core_throttle_count", f"{count}\n")
        write(folder / "cpufreq/scaling_cur_freq", f"{count}00000\n")
    write(machine / "sys/fs/cgroup/cpu.stat", "usage_usec 5\nnr_periods 8\nnr_throttled 3\n")
    found = covariates.read(machine)
    assert (found.thermal_throttles, found.quota_throttles) == (9, 3)
    assert covariates.frequency_mhz(machine) == 900.0


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the system has no /proc/stat")
def test_the_own_time_is_that_of_all_threads_of_this_process_alone() -> None:
    before = covariates.read()
    enough = before.own_ticks + 0.3 * os.sysconf("SC_CLK_TCK")

    def work() -> None:
        while covariates.read().own_ticks < enough:
            pass

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = covariates.between(before, covariates.read())
    own, busy = found["own_ticks"], found["busy_ticks"]
    assert own is not None
    assert busy is not None
    assert own >= 30
    # A tick or two are lost to rounding for each processor and each thread.
    assert busy >= own - 10
