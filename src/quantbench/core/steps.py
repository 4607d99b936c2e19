"""The steps of a sweep, with guesses of how long they take, for progress and `plan`."""

from __future__ import annotations

from dataclasses import dataclass

from quantbench.core.config import SweepConfig
from quantbench.core.plan import Plan
from quantbench.core.quantization import Calibration, Float32

# Seconds that a step takes for a small model. Only the proportions matter: whoever shows
# progress corrects them by what the steps before really took.
_GUESSED_SECONDS = {"prepare": 4.0, "export": 4.0, "calibrate": 6.0, "quantize": 1.5, "report": 3.0}
_EVALUATION_SECONDS_PER_SAMPLE = 0.005
_START_SECONDS_PER_ARM = 1.2


@dataclass(frozen=True)
class Step:
    """One unit of work: its stage, what tells it from others of the stage, and its likely length.

    For a timing step the length is the budget that it may use at most.
    """

    stage: str
    name: str
    seconds: float


def steps(plan: Plan, config: SweepConfig) -> tuple[Step, ...]:
    """All steps of a sweep, in their order."""
    samples = config.max_eval_samples or 500
    timed = len(plan.arms)
    cell_seconds = timed * (config.time_benchmark_args.duration + _START_SECONDS_PER_ARM)
    opsets = dict.fromkeys(variant.opset for variant in plan.variants)
    quantized = [item for item in plan.variants if not isinstance(item.quantization, Float32)]
    evaluation = samples * _EVALUATION_SECONDS_PER_SAMPLE
    return (
        _guessed("prepare", "model and data"),
        *(_guessed("export", f"opset {opset}") for opset in opsets),
        *(_guessed("calibrate", calibration_name(*item)) for item in plan.calibrations),
        *(_guessed("quantize", variant.id) for variant in quantized),
        *(Step("evaluate", arm.id, evaluation) for arm in plan.measured_arms),
        *(Step("time", cell.id, cell_seconds) for cell in plan.cells),
        _guessed("report", "card, table and pictures"),
    )


def calibration_name(opset: int, calibration: Calibration) -> str:
    """For example `opset 11, minmax, 100 samples`."""
    return f"opset {opset}, {calibration.method}, {calibration.num_calibration_samples} samples"


def _guessed(stage: str, name: str) -> Step:
    return Step(stage, name, _GUESSED_SECONDS[stage])
