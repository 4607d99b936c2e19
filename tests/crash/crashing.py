"""Runs of a small sweep that are killed, and what is left of them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from processes import alive_with
from quantbench import registry, run_dir, store
from quantbench.core.results import Artifact, Evaluation, SweepResult, Timing

HOOK = Path(__file__).with_name("hook")
# Where the output is no terminal, a run tells each step on a line when it begins.
_STAGE = re.compile(rb"^sweep: step \d+ of \d+: (\w+) ", re.MULTILINE)
# All stages, in a few seconds: two exports, a calibration, three schemes, two shapes.
CONFIG: dict[str, Any] = {
    "task": "question-answering",
    "model_name_or_path": "bundled:questions",
    "dataset": {
        "path": "bundled:questions",
        "data_keys": {"question": "question", "context": "context"},
        "ref_keys": ["answers"],
        "calibration_split": "train",
    },
    "calibration": {"num_calibration_samples": 4},
    "max_eval_samples": 8,
    "batch_sizes": [1, 2],
    "input_lengths": [16],
    "time_benchmark_args": {"duration": 0.05, "warmup_runs": 1},
    "benchmarked": {
        "quantization_approach": ["dynamic", "static"],
        "framework_args.opset": [13, 17],
    },
}
# One export, one calibration, two schemes, one shape: enough to see what a fault does.
SMALL: dict[str, Any] = CONFIG | {
    "batch_sizes": [1],
    "framework_args": {"opset": 13},
    "benchmarked": {"quantization_approach": ["dynamic", "static"]},
}


@dataclass
class Killed:
    """A sweep in a folder of its own, which may be run, and killed, as often as one likes."""

    folder: Path
    config: dict[str, Any] = field(default_factory=lambda: CONFIG)
    out: str = "run"
    _begin: int = 0

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "sweep.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))
        log = (self.folder / "output.txt").open("ab")
        path = os.pathsep.join([str(HOOK), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._begin = log.tell()
        with log:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "quantbench"),
                    *("run", "sweep.yaml", "--out", self.out, *arguments),
                ],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={
                    **os.environ,
                    "PYTHONPATH": path,
                    "QUANTBENCH_STORE": str(self.store),
                    "CRASH_ROOT": str(self.folder),
                    "CRASH_RUN": str(self.folder),
                    **variables,
                },
            )

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text(errors="replace")

    def stage(self) -> str:
        """The stage that the run that was started last has come to; nothing before the first."""
        with (self.folder / "output.txt").open("rb") as file:
            file.seek(self._begin)
            said = _STAGE.findall(file.read())
        return said[-1].decode() if said else ""

    def finish(self, limit_s: float = 300.0) -> SweepResult:
        """Run to the end; fails if that does not succeed."""
        process = self.start()
        assert process.wait(limit_s) == 0, self.output[-4000:]
        return self.result()

    def result(self) -> SweepResult:
        return run_dir.load_run(self.folder / self.out, registry.catalog())

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill the process group of a run at once; the kernel ends what it started elsewhere."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def processes(self) -> list[int]:
        """All processes that any run in this folder started and that are alive."""
        return alive_with(f"CRASH_RUN={self.folder}")

    def wait_for_orphans(self, limit_s: float = 20.0) -> list[str]:
        """Processes and locks that are still there when the kernel had time to end them."""
        end = time.monotonic() + limit_s
        while (self.processes() or self.locks()) and time.monotonic() < end:
            time.sleep(0.02)
        return [*(f"process {pid}" for pid in self.processes()), *self.locks()]

    def locks(self) -> list[str]:
        """Files and folders of the run and the store that anybody holds a lock of."""
        locked = {line.split()[5] for line in Path("/proc/locks").read_text().splitlines()}
        found = []
        for path in (self.folder, *self.folder.rglob("*")):
            status = path.lstat()
            major, minor = os.major(status.st_dev), os.minor(status.st_dev)
            if f"{major:02x}:{minor:02x}:{status.st_ino}" in locked:
                found.append(str(path))
        return found

    def leftovers(self) -> list[str]:
        """Temporary files and folders below the run and the store."""
        found = [str(path) for path in (self.store / "tmp").iterdir()]
        for root in (self.folder / self.out, self.store):
            hidden = (path for path in root.rglob(".*") if path.name not in (".", ".."))
            found += [str(path) for path in hidden]
        return found


def facts(run: Killed) -> dict[str, Any]:
    """What must be the same however often a run was killed: rows, files and predictions."""
    result = run.result()
    assert result.plan is not None
    found: dict[str, Any] = {"rows": [row.model_dump() for row in result.plan.rows]}
    found["artifacts"] = {
        f"{path.parent.name}/{path.name}": store.file_sha256(path)
        for path in (run.store / "artifacts").glob("??/*/*")
        if path.name != store.FACTS_FILE  # it has the time that the making took
    }
    for arm in result.arms:
        found[arm.arm.id] = {
            "same_as": arm.same_as,
            "file": arm.artifact.sha256 if isinstance(arm.artifact, Artifact) else None,
            "answers": (
                [item.model_dump() for item in arm.evaluation.predictions]
                if isinstance(arm.evaluation, Evaluation)
                else None
            ),
            "timed": sorted(item.cell.id for item in arm.timings if isinstance(item, Timing)),
        }
    return found


def damaged(root: Path) -> list[str]:
    """Keys of artifacts that are not what was written."""
    keys = [path.name for path in (root / "artifacts").glob("??/*")]
    return [key for key in keys if store.find(root, key) is None]


def results_on_disk(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "results").iterdir())]


def killed_at(run: Killed, event: str) -> bool:
    """Run until the first event of that name; whether there was one."""
    process = run.start(CRASH_AT=event)
    return process.wait(300) == -9


def check_like_undisturbed(run: Killed, wanted: dict[str, Any]) -> None:
    assert run.wait_for_orphans() == []
    run.finish()
    assert facts(run) == wanted
    assert run.leftovers() == []
    assert damaged(run.store) == []
    assert run.wait_for_orphans() == []
    assert len(results_on_disk(run.folder / run.out)) == len(wanted["rows"])
