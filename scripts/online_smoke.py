"""Prove the two examples on the real hub: needs a network, about 1 GB and 20 minutes.

    python scripts/online_smoke.py [--out DIR]

Downloads the models and data of `examples/distilbert-squad.yaml` and `examples/vit-beans.yaml`,
runs a short copy of each (one row, one shape, but all samples), and checks that the original
models are as accurate as they are known to be. Exit code 0 if all is as expected, 1 if not.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from quantbench import registry
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import Artifact, Evaluation, SweepResult, Timing
from quantbench.run_dir import load_run

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@dataclass(frozen=True)
class Expected:
    """An example, and the least that its original must reach on `num_samples`."""

    example: str
    metric: str
    at_least: float
    num_samples: int


# The whole first thousand of SQuAD, and the whole validation split of beans.
EXPECTED = (
    Expected("distilbert-squad", "exact_match", 81.0, 1000),
    Expected("vit-beans", "accuracy", 0.95, 133),
)


def shortened(config: dict[str, Any]) -> dict[str, Any]:
    """A copy with one row and one shape. What decides the accuracy stays as it is."""
    # Of the operators the last list is the one with MatMul, which dynamic quantization covers.
    grid = {
        name: values[-1:] if name == "operators_to_quantize" else values[:1]
        for name, values in config["benchmarked"].items()
    }
    short = {"batch_sizes": [1], "input_lengths": [32], "time_benchmark_args": {"duration": 1}}
    return config | short | {"benchmarked": grid}


def problems(result: SweepResult, expected: Expected) -> list[str]:
    """What of a run is not as expected; nothing if all is."""
    found = []
    subject = result.subject
    if subject is None or result.plan is None:
        return ["the run has no results"]
    for what, revision in (
        ("model", subject.model_revision),
        ("dataset", subject.dataset_revision),
    ):
        if revision is None or not re.fullmatch(r"[0-9a-f]{40}", revision):
            found.append(f"the {what} is not pinned to a commit: {revision}")
    original = result.arm(ORIGINAL_ID).evaluation
    if not isinstance(original, Evaluation):
        found.append(f"the original was not evaluated: {original}")
    else:
        value = original.metrics.get(expected.metric)
        if value is None or value < expected.at_least:
            found.append(f"{expected.metric} of the original is {value}, not ≥ {expected.at_least}")
        if original.num_samples != expected.num_samples:
            found.append(f"{original.num_samples} samples, not {expected.num_samples}")
    for row in result.plan.rows:
        arm = None if row.arm_id is None else result.arm(row.arm_id)
        done = arm is not None and (
            isinstance(arm.artifact, Artifact)
            and isinstance(arm.evaluation, Evaluation)
            and all(isinstance(timing, Timing) for timing in arm.timings)
        )
        if not done:
            found.append(f"row {row.number} is not complete")
    return found


def main() -> int:
    """Run both examples; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, default=Path("runs/online-smoke"))
    out = parser.parse_args().out
    failed = False
    for expected in EXPECTED:
        config = yaml.safe_load((EXAMPLES / f"{expected.example}.yaml").read_text())
        folder = out / expected.example
        folder.parent.mkdir(parents=True, exist_ok=True)
        path = out / f"{expected.example}.yaml"
        path.write_text(yaml.safe_dump(shortened(config), sort_keys=False))
        command = [sys.executable, "-m", "quantbench", "run", str(path), "--out", str(folder)]
        code = subprocess.run(command, check=False).returncode
        if code == 0:
            found = problems(load_run(folder, registry.catalog()), expected)
        else:
            found = [f"quantbench run ended with {code}"]
        print(f"{expected.example}: {'; '.join(found) or 'as expected'}")
        failed = failed or bool(found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
