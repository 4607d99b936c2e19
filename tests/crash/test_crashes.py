"""Nothing is lost, half written or wrong, wherever and whenever a run is killed."""

import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from crashing import SMALL, Killed, check_like_undisturbed, facts, killed_at

RANDOM_KILLS = 40
MOST_STARTS = 4 * RANDOM_KILLS
STAGES = (
    "prepare", "export", "calibrate", "quantize", "evaluate", "time", "explain", "report",
)  # fmt: skip
POLL_S = 0.01


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody disturbs: what it finds, its events in order, seconds of each stage."""

    facts: dict[str, Any]
    events: tuple[str, ...]
    seconds: dict[str, float]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return undisturbed_run(Killed(tmp_path_factory.mktemp("undisturbed")))


def undisturbed_run(run: Killed) -> Undisturbed:
    log = run.folder / "events.txt"
    process = run.start(CRASH_LOG=str(log))
    seconds = seconds_of(process, run)
    assert process.returncode == 0, run.output[-4000:]
    assert run.leftovers() == []
    events = tuple(dict.fromkeys(log.read_text().splitlines()))
    return Undisturbed(facts(run), events, seconds)


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


def seconds_of(process: subprocess.Popen[bytes], run: Killed) -> dict[str, float]:
    """Watch a run to its end: how long each of its stages took."""
    found: Counter[str] = Counter()
    before = time.monotonic()
    while process.poll() is None:
        time.sleep(POLL_S)
        now = time.monotonic()
        found[run.stage()] += now - before
        before = now
    return dict(found)


def wait_for_a_moment(
    process: subprocess.Popen[bytes], run: Killed, stage: str | None, seconds: float
) -> bool:
    """Wait until a stage begins (None: not at all), then so many seconds; whether it still runs."""
    while stage is not None and run.stage() != stage and process.poll() is None:
        time.sleep(POLL_S)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


@pytest.mark.slow
def test_a_run_may_be_killed_at_any_moment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of the moments are anywhere in a run, half anywhere in the stage that was hit least."""
    random_numbers = random.Random(0)
    undisturbed = undisturbed_run(Killed(tmp_path / "undisturbed", SMALL))
    took = undisturbed.seconds
    hit = Counter(dict.fromkeys(STAGES, 0))  # and "": before the first stage
    runs, starts = 0, 0
    while hit.total() < RANDOM_KILLS or not all(hit[stage] for stage in STAGES):
        assert starts < MOST_STARTS, hit
        run = Killed(tmp_path / f"run-{runs}", SMALL)
        runs += 1
        while True:
            starts += 1
            aim = min(STAGES, key=lambda stage: hit[stage]) if starts % 2 else None
            seconds = random_numbers.uniform(0, took[aim] if aim else sum(took.values()))
            process = run.start()
            if not wait_for_a_moment(process, run, aim, seconds):
                break
            run.kill(process)
            if process.returncode == 0:  # it ended just before
                break
            assert process.returncode == -signal.SIGKILL, run.output[-4000:]
            hit[run.stage()] += 1
            assert run.wait_for_orphans() == []
        assert process.returncode == 0, run.output[-4000:]
        check_like_undisturbed(run, undisturbed.facts)
    with capsys.disabled():
        stages = ", ".join(f"{stage or 'starting'} {count}" for stage, count in hit.items())
        print(f"\n{hit.total()} kills in {starts} starts of {runs} runs: {stages}")
