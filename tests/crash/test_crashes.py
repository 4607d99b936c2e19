"""Nothing is lost, half written or wrong, wherever and whenever a run is killed."""

import random
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from crashing import Killed, check_like_undisturbed, facts, killed_at

RANDOM_KILLS = 40
# The stages that kills aim at in turn, each at a random moment after it began.
STAGES = ("export", "calibrate", "quantize", "evaluate", "time")
LONGEST_WAIT_S = 3.0


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody disturbs: what it finds, its events in their order, and its seconds."""

    facts: dict[str, Any]
    events: tuple[str, ...]
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    run = Killed(tmp_path_factory.mktemp("undisturbed"))
    log = run.folder / "events.txt"
    started = time.monotonic()
    process = run.start(CRASH_LOG=str(log))
    assert process.wait(300) == 0, run.output[-4000:]
    seconds = time.monotonic() - started
    assert run.leftovers() == []
    events = tuple(dict.fromkeys(log.read_text().splitlines()))
    return Undisturbed(facts(run.result()), events, seconds)


@pytest.mark.slow
def test_every_write_rename_lock_and_start_may_be_the_last(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """One run, killed at each event in turn and gone on with; then the events that it missed."""
    wanted, events = undisturbed.facts, undisturbed.events
    chain = Killed(tmp_path / "chain")
    hit = [event for event in events if killed_at(chain, event)]
    check_like_undisturbed(chain, wanted)
    for number, event in enumerate(event for event in events if event not in hit):
        alone = Killed(tmp_path / f"alone-{number}")
        assert killed_at(alone, event), event
        check_like_undisturbed(alone, wanted)
    assert len(events) >= 40, events


def last_stage(run: Killed) -> str:
    """The stage that the run's log names last; nothing before there is one."""
    log = run.folder / run.out / "log.txt"
    lines = log.read_text().splitlines() if log.exists() else []
    return lines[-1].split()[1].rstrip(":") if lines else ""


def wait_for_a_moment(
    run: Killed, process: subprocess.Popen[bytes], stage: str, moments: random.Random
) -> bool:
    """Wait until a stage began, and a random time after; false if the run ended before that."""
    log = run.folder / run.out / "log.txt"
    before = log.stat().st_size if log.exists() else 0
    while last_stage(run) != stage or log.stat().st_size == before:
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    try:
        process.wait(moments.uniform(0.0, LONGEST_WAIT_S))
    except subprocess.TimeoutExpired:
        return True
    return False


@pytest.mark.slow
def test_a_run_may_be_killed_at_any_moment(undisturbed: Undisturbed, tmp_path: Path) -> None:
    moments = random.Random(0)
    kills, campaign, hit = 0, 0, set[str]()
    while kills < RANDOM_KILLS:
        run = Killed(tmp_path / f"campaign-{campaign}")
        campaign += 1
        while True:
            process = run.start()
            if not wait_for_a_moment(run, process, STAGES[kills % len(STAGES)], moments):
                assert process.returncode == 0, run.output[-4000:]
                break
            run.kill(process)
            kills += 1
            assert run.wait_for_orphans() == []
            hit.add(last_stage(run))
        check_like_undisturbed(run, undisturbed.facts)
    assert hit >= set(STAGES)
