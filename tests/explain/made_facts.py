"""Facts of an explanation made by hand: those of a file that is fine, to be changed one by one."""

from __future__ import annotations

from typing import Any

from quantbench.core.explanation import (
    ActivationFacts,
    Compared,
    Explanation,
    ModelTime,
    NodeFacts,
    OperatorTime,
    Profile,
    WeightFacts,
)
from quantbench.core.plan import Cell
from quantbench.core.quantization import Dynamic

DYNAMIC = Dynamic(operators=("MatMul",))


def compared(decibels: float) -> Compared:
    return Compared(signal=1.0, noise=float(10 ** (-decibels / 10)), num_values=100)


def activation(name: str = "a", **changes: Any) -> ActivationFacts:
    facts = {
        "name": name, "node": name, "op_type": "MatMul", "layer": None, "error": compared(40.0),
        "rounding": None, "scale": None, "max_abs": 2.0, "p999_abs": 1.0, "median_abs": 0.5,
        "feeds_softmax": False,
    }  # fmt: skip
    return ActivationFacts(**(facts | changes))


def weight(name: str = "w", **changes: Any) -> WeightFacts:
    facts = {
        "name": name, "node": name, "op_type": "MatMul", "layer": None, "error": compared(40.0),
        "num_channels": 16, "per_channel": False, "largest": 1.5, "median": 1.0, "num_coarse": 0,
    }  # fmt: skip
    return WeightFacts(**(facts | changes))


def node(name: str = "n", **changes: Any) -> NodeFacts:
    facts = {
        "name": name, "op_type": "MatMul", "layer": None, "quantized": True, "excluded_by": (),
        "patterns": (), "constant_operand": True,
    }  # fmt: skip
    return NodeFacts(**(facts | changes))


def model_time(microseconds: float, **operators: float) -> ModelTime:
    found = (OperatorTime(op_type=k, num_nodes=1, microseconds=v) for k, v in operators.items())
    return ModelTime(microseconds=microseconds, operators=tuple(found))


def profile(reference: ModelTime, row: ModelTime) -> Profile:
    return Profile(
        cell=Cell(batch_size=1, input_length=32),
        num_threads=2,
        num_forwards=32,
        num_blocks=4,
        warmup_runs=5,
        reference=reference,
        row=row,
    )


def facts(**changes: Any) -> Explanation:
    """A dynamic file of one quantized MatMul, close to the float model and faster."""
    fine = {
        "scheme": DYNAMIC, "optimization_level": 99, "opset": 17, "num_samples": 8,
        "is_x86": True, "instructions": ("avx2", "avx_vnni"), "outputs": (activation("logits"),),
        "activations": (activation(),), "num_missing_activations": 0, "weights": (weight(),),
        "num_missing_weights": 0, "nodes": (node(),), "idle_pairs": (),
        "executed_nodes": {"DynamicQuantizeMatMul": 1},
        "profile": profile(
            model_time(100.0, MatMul=90.0), model_time(50.0, DynamicQuantizeMatMul=45.0)
        ),
    }  # fmt: skip
    return Explanation(**(fine | changes))
