"""The sweeps of `static_quality.py`: what is fixed in each, and what is swept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quantbench.core.calibration import METHOD_DEFAULTS, METHOD_FIELDS
from swept import EXCLUSIONS

COMMON: dict[str, Any] = {
    "task": "question-answering",
    "task_args": {"max_seq_length": 128, "doc_stride": 32},
    "quantization_approach": "static",
    "calibration": {"num_calibration_samples": 100},
    "batch_sizes": [1],
    "input_lengths": [32],
    "time_benchmark_args": {"duration": 0.2, "warmup_runs": 1},
}
QUICK = {"max_eval_samples": 40, "calibration": {"num_calibration_samples": 10}}
_BOTH = ["Add", "MatMul"]
# As the published rows were made, but for their optimization level 1, which is slow.
SEEDS: dict[str, Any] = {
    "framework_args": {"opset": 11, "optimization_level": 99},
    "activation_type": "int8",
    "clamp_mask": False,
    "per_channel": False,
    "quantize_activation_matmul": True,
    "benchmarked": {
        "operators_to_quantize": [["Add"], ["MatMul"], _BOTH],
        "node_exclusion": [[], EXCLUSIONS],
    },
}
# What docs/benchmarks.md found to be better; each sweep varies other parts of it.
BETTER: dict[str, Any] = {
    "framework_args": {"opset": 17, "optimization_level": 99},
    "activation_type": "uint8",
    "clamp_mask": True,
    "per_channel": True,
}
CANDIDATES: dict[str, dict[str, Any]] = {
    # Not `Add` alone, which saves neither time nor memory.
    "seeds": SEEDS
    | {"benchmarked": SEEDS["benchmarked"] | {"operators_to_quantize": [["MatMul"], _BOTH]}},
    "ranges": BETTER
    | {
        "node_exclusion": EXCLUSIONS,
        # 128 bins, the default, would make entropy find what minmax does.
        "calibration": {"num_calibration_samples": 100, "num_bins": 2048},
        "benchmarked": {
            "operators_to_quantize": [["MatMul"], _BOTH],
            "calibration.method": ["minmax", "moving_average", "percentile", "entropy"],
        },
    },
    "types": BETTER
    | {
        "benchmarked": {
            "activation_type": ["uint8", "int8"],
            "activation_symmetric": [False, True],
            "per_channel": [False, True],
        },
    },
    "parts": BETTER
    | {
        "benchmarked": {
            "node_exclusion": [["classifier"], ["layer.0"], ["layer.-1"]],
            "quantize_activation_matmul": [False, True],
        },
    },
    "everything": BETTER
    | {
        "operators_to_quantize": ["Add", "Gather", "MatMul", "Mul", "Softmax"],
        "benchmarked": {
            "node_exclusion": [[], EXCLUSIONS],
            "quantize_activation_matmul": [False, True],
        },
    },
    "smooth": BETTER
    | {
        "benchmarked": {
            "smooth_quant_alpha": [0.25, 0.5, 0.75],
            "calibration.method": ["minmax", "percentile"],
        },
    },
}
QUICK_CANDIDATES = ("types",)
DYNAMIC: dict[str, Any] = {
    "framework_args": BETTER["framework_args"],
    "benchmarked": {"quantization_approach": ["dynamic"], "per_channel": [False, True]},
}


def only(sweep: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """A sweep of one of its rows alone.

    Args:
        sweep: one of `CANDIDATES`.
        row: the row's parameters. What its calibration method does not read is left out: with no
            other method beside it, it would be refused.
    """
    method = row.get("calibration.method", "minmax")
    calibration = {
        name: value
        for name, value in sweep.get("calibration", COMMON["calibration"]).items()
        if name not in METHOD_FIELDS or name in METHOD_DEFAULTS[method]
    }
    benchmarked = {name: [value] for name, value in row.items()}
    return dict(sweep) | {"calibration": calibration, "benchmarked": benchmarked}
