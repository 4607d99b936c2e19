"""Start-up: `quantbench --help` and `quantbench plan` beside an empty Python.

Runs the three commands in turn, several times, and prints medians, ratios to an empty Python, and
whether the goal is met.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 11
GOAL_SECONDS = {"quantbench --help": 0.3, "quantbench plan distilbert-squad.yaml": 1.0}
CONFIG = Path(__file__).parents[1] / "examples" / "distilbert-squad.yaml"
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "quantbench --help": [str(Path(sys.executable).parent / "quantbench"), "--help"],
    f"quantbench plan {CONFIG.name}": [
        str(Path(sys.executable).parent / "quantbench"),
        "plan",
        str(CONFIG),
    ],
}


def main() -> None:
    """Measure and print."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - started)
    base = statistics.median(seconds["python -c pass"])
    print(f"{'command':40} {'median s':>9} {'min s':>7} {'max s':>7} {'× python':>9}  goal")
    for name, values in seconds.items():
        median, goal = statistics.median(values), GOAL_SECONDS.get(name)
        verdict = ""
        if goal is not None:
            verdict = f"< {goal:g} s: {'met' if median < goal else 'NOT met'}"
        row = f"{name:40} {median:9.3f} {min(values):7.3f} {max(values):7.3f} {median / base:9.1f}"
        print(f"{row}  {verdict}")


if __name__ == "__main__":
    main()
