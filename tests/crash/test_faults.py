"""Kills and faults are told, cost what they hit, and are made good by running again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from crashing import SMALL, Killed, check_like_undisturbed, damaged, facts, killed_at

from quantbench.core.results import Artifact, Timing

# Events that may be the last of a run, in their order: one of each kind, in each kind of process.
BEFORE_EVALUATION = (
    "start child.start_process",
    "rename store._keep for worker.access.Access.make",
    "rename store.write_atomically for run_dir.RunDir.write_arm",
)
TIMING = "write stages.time.time_cell"


def small(folder: Path, out: str = "run") -> Killed:
    return Killed(folder, SMALL, out)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """A run that nothing disturbed."""
    run = small(tmp_path_factory.mktemp("finished") / "run")
    run.finish()
    return run


def wait_for_log(run: Killed, process: subprocess.Popen[bytes], text: str) -> None:
    """Until the log of a run has a text."""
    log = run.folder / run.out / "log.txt"
    while not (log.exists() and text in log.read_text()):
        assert process.poll() is None, run.output[-4000:]
        time.sleep(0.02)


def kill_workers(run: Killed, process: subprocess.Popen[bytes]) -> None:
    """Kill all workers of a run once there are any, as the system does when memory is short."""
    workers: list[int] = []
    while not workers:
        assert process.poll() is None, run.output[-4000:]
        time.sleep(0.02)
        workers = [pid for pid in run.processes() if b"quantbench.worker" in command_line(pid)]
    for pid in workers:
        os.kill(pid, signal.SIGKILL)


def command_line(pid: int) -> bytes:
    """The command of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_if_nothing_had_been(
    finished: Killed, tmp_path: Path
) -> None:
    run = small(tmp_path / "run")
    for event in BEFORE_EVALUATION:
        assert killed_at(run, event)
    process = run.start(CRASH_AT=TIMING)
    wait_for_log(run, process, "evaluate: original")
    kill_workers(run, process)  # which does not end the run
    assert process.wait(300) == -9, run.output[-4000:]
    assert "killed by SIGKILL (out of memory?): trying again in 1 s" in " ".join(run.output.split())
    check_like_undisturbed(run, facts(finished))
    assert 2 in {unit.attempts for unit in run.result().spent if unit.stage == "evaluate"}


@pytest.mark.slow
def test_a_full_disk_is_told_and_made_good(finished: Killed, tmp_path: Path) -> None:
    run = small(tmp_path / "run")
    process = run.start(CRASH_MAX_FILE_BYTES=str(2**20))  # the exported model has 7 MB
    assert process.wait(300) == 1
    assert "failed export opset 13" in run.output
    assert "Traceback" not in run.output
    assert run.leftovers() == []
    assert damaged(run.store) == []
    run.finish()
    assert facts(run) == facts(finished)


@pytest.mark.slow
def test_a_disk_that_is_full_for_results_too_ends_the_run_with_a_message(
    finished: Killed, tmp_path: Path
) -> None:
    run = small(tmp_path / "run")
    process = run.start(CRASH_MAX_FILE_BYTES="2000")
    assert process.wait(300) in (1, 2)
    assert "Traceback" not in run.output
    assert "cannot be written" in run.output or "cannot write" in run.output
    run.finish()
    assert facts(run) == facts(finished)


@pytest.mark.slow
def test_sigterm_ends_a_run_in_order_and_it_can_go_on(finished: Killed, tmp_path: Path) -> None:
    run = small(tmp_path / "run")
    process = run.start()
    wait_for_log(run, process, "evaluate: original")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert "interrupted; run the same command again to go on" in run.output
    assert run.wait_for_orphans() == []
    run.finish()
    assert facts(run) == facts(finished)


@pytest.mark.slow
def test_two_runs_of_one_sweep_at_once_do_the_work_once(finished: Killed, tmp_path: Path) -> None:
    runs = [small(tmp_path / "runs", out) for out in ("one", "two")]
    processes = [run.start() for run in runs]
    assert [process.wait(300) for process in processes] == [0, 0], runs[0].output[-4000:]
    one, two = (run.result() for run in runs)
    assert facts(runs[0]) == facts(runs[1]) == facts(finished)
    for left, right in zip(one.arms, two.arms, strict=True):
        # Equal to the second that making and measuring took: nothing was done twice.
        assert left.artifact == right.artifact
        assert left.evaluation == right.evaluation
        assert left.timings == right.timings


@pytest.mark.slow
def test_a_second_process_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    run = small(tmp_path / "run")
    first = run.start()
    wait_for_log(run, first, "export: opset 13")
    assert run.start().wait(60) == 2
    assert "another quantbench is running in run" in run.output
    run.kill(first)


@pytest.mark.slow
def test_damaged_artifacts_are_made_again(finished: Killed, tmp_path: Path) -> None:
    run = small(tmp_path / "run")
    run.finish()
    before = facts(run)
    for number, file in enumerate(sorted(run.store.rglob("artifacts/*/*/*"))):
        content = bytearray(file.read_bytes())
        if number % 2:
            content[len(content) // 2] ^= 4
        else:
            del content[len(content) // 2 :]
        file.write_bytes(content)
    run.out = "again"
    run.finish()
    assert facts(run) == before
    assert damaged(run.store) == []


@pytest.mark.slow
def test_a_clock_that_went_back_changes_nothing(tmp_path: Path) -> None:
    """All that is on disk seems to come from the future."""
    run = small(tmp_path / "run")
    before = run.finish()
    future = time.time() + 1e8
    for path in run.folder.rglob("*"):
        os.utime(path, (future, future))
    assert run.finish().arms == before.arms
    run.out = "again"
    again = run.finish()
    assert all(unit.reused for unit in again.spent)
    assert again.arms == before.arms


@pytest.mark.slow
def test_a_changed_input_is_noticed(tmp_path: Path) -> None:
    """The data of a run are another file now: its results are not mixed with new ones."""
    run = small(tmp_path / "run")
    data = tmp_path / "run" / "rows.jsonl"
    data.parent.mkdir()
    line = '{"question": "Who?", "context": "Ann Lee lives here.", "answers": ["Ann Lee"]}\n'
    data.write_text(line * 10)
    config = yaml.safe_load(yaml.safe_dump(SMALL))
    config["dataset"] |= {"path": "json", "data_files": {"validation": "rows.jsonl"}}
    del config["dataset"]["calibration_split"]
    config["benchmarked"] = {"quantization_approach": ["dynamic"]}
    run.config = config
    run.finish()
    data.write_text(line * 11)
    assert run.start().wait(100) == 2
    assert "the model or the data differs" in run.output
    assert "--fresh" in run.output


@pytest.mark.slow
def test_fresh_makes_and_measures_everything_again(tmp_path: Path) -> None:
    run = small(tmp_path / "run")
    before, known = run.finish(), facts(run)
    process = run.start("--fresh")
    assert process.wait(300) == 0, run.output[-4000:]
    after = run.result()
    assert not any(unit.reused for unit in after.spent)
    assert facts(run) == known
    old = {item.session for arm in before.arms for item in arm.timings if isinstance(item, Timing)}
    new = {item.session for arm in after.arms for item in arm.timings if isinstance(item, Timing)}
    assert not old & new
    made = [arm.artifact.seconds for arm in after.arms if isinstance(arm.artifact, Artifact)]
    assert made != [a.artifact.seconds for a in before.arms if isinstance(a.artifact, Artifact)]


needs_capabilities = pytest.mark.skipif(
    sys.platform != "linux", reason="root's rights can be taken away on Linux only"
)


@needs_capabilities
@pytest.mark.slow
def test_a_store_that_is_read_only_is_refused_before_any_work(tmp_path: Path) -> None:
    run = small(tmp_path / "run")
    run.store.mkdir(parents=True)
    run.store.chmod(0o555)
    assert run.start(CRASH_ORDINARY_USER="1").wait(100) == 2
    assert "cannot be written: Permission denied" in run.output
    assert "Set QUANTBENCH_STORE" in run.output
    assert not (run.folder / "run").exists()


@needs_capabilities
@pytest.mark.slow
def test_permission_that_is_lost_midway_ends_with_a_message_and_the_run_can_go_on(
    finished: Killed, tmp_path: Path
) -> None:
    run = small(tmp_path / "run")
    process = run.start(CRASH_ORDINARY_USER="1")
    wait_for_log(run, process, "evaluate: original")
    lost = [run.store / "tmp", run.store / "artifacts", run.folder / "run" / "arms"]
    for folder in lost:
        folder.chmod(0o555)
    assert process.wait(300) in (1, 4), run.output[-4000:]
    assert "Permission denied" in run.output
    assert "Traceback" not in run.output
    for folder in lost:
        folder.chmod(0o755)
    run.finish()
    assert facts(run) == facts(finished)
