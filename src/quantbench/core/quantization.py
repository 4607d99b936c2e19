"""What a row asks for, as a tagged union, and what of it can act.

Each scheme has only the fields that mean something for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from quantbench.core.calibration import Calibration
from quantbench.core.frozen import Frozen
from quantbench.core.vocabulary import (
    DYNAMIC_OPERATORS,
    PER_CHANNEL_OPERATORS,
    NodeExclusion,
    Operator,
    exclusion_operators,
)


class Float32(Frozen):
    """The exported model as it is."""

    approach: Literal["float32"] = "float32"


class Dynamic(Frozen):
    """QOperator form: int8 weights, uint8 activations whose scale is found at run time."""

    approach: Literal["dynamic"] = "dynamic"
    operators: tuple[Operator, ...]
    node_exclusion: tuple[NodeExclusion, ...] = ()
    per_channel: bool = False


class Static(Frozen):
    """QDQ form: int8 weights, int8 activations with ranges from calibration."""

    approach: Literal["static"] = "static"
    operators: tuple[Operator, ...]
    node_exclusion: tuple[NodeExclusion, ...] = ()
    per_channel: bool = False
    calibration: Calibration = Calibration()


Quantization = Annotated[Float32 | Dynamic | Static, Field(discriminator="approach")]


class Inert(Frozen):
    """A parameter, or one value of it, that changes nothing in this row, and why."""

    parameter: str
    value: str
    reason: str


def effective(asked: Float32 | Dynamic | Static) -> tuple[Float32 | Dynamic | Static, list[Inert]]:
    """Reduce what was asked for to what can act; name what cannot.

    Only what is certain without seeing the graph is reduced here. What turns out to match
    nothing in the graph is marked when the graph is known.

    Returns:
        The scheme with inert parts removed (two rows with equal schemes share one file), and the
        parts that were removed.
    """
    if isinstance(asked, Float32):
        return asked, []
    inert: list[Inert] = []
    operators = _sorted(asked.operators)
    if isinstance(asked, Dynamic):
        idle = [op for op in operators if op not in DYNAMIC_OPERATORS]
        operators = tuple(op for op in operators if op in DYNAMIC_OPERATORS)
        inert += [
            Inert(
                parameter="operators_to_quantize",
                value=op,
                reason=(
                    "dynamic quantization turns Gemm into MatMul: MatMul decides"
                    if op == "Gemm"
                    else f"dynamic quantization has no integer form of {op}"
                ),
            )
            for op in idle
        ]
    if not operators:
        nothing = "no operator of this row can be quantized"
        inert += [
            Inert(parameter="node_exclusion", value=name, reason=nothing)
            for name in asked.node_exclusion
        ]
        if asked.per_channel:
            inert.append(Inert(parameter="per_channel", value="True", reason=nothing))
        return Float32(), inert
    acting: list[str] = []
    for name in _sorted(asked.node_exclusion):
        if exclusion_operators(name) & set(operators):
            acting.append(name)
        else:
            reason = f"none of its nodes is of a type that is quantized here ({_join(operators)})"
            inert.append(Inert(parameter="node_exclusion", value=name, reason=reason))
    per_channel = asked.per_channel
    if per_channel and not PER_CHANNEL_OPERATORS & set(operators):
        reason = f"{_join(operators)} has no weights with channels"
        inert.append(Inert(parameter="per_channel", value="True", reason=reason))
        per_channel = False
    changed = {
        "operators": operators,
        "node_exclusion": tuple(acting),
        "per_channel": per_channel,
    }
    return asked.model_copy(update=changed), inert


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _join(names: Iterable[str]) -> str:
    return ", ".join(names)
