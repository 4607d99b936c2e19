"""What of a scheme can act, and what cannot: so that rows which are the same share one file.

Only what is certain without the graph is reduced here. What turns out to match nothing in the
graph is marked when the graph is known (`quantbench.analysis.idle`), and files that are equal are
found by their digest. Sources: the quantizers of ONNX Runtime 1.31 (`onnxruntime.quantization`);
tests compare each rule with the digests of the files that they write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from quantbench.core.quantization import (
    APPROACHES_OF,
    Dynamic,
    Float32,
    Inert,
    Scheme,
    Static,
    WeightOnly,
)
from quantbench.core.vocabulary import (
    DYNAMIC_OPERATORS,
    MASK_FREE_OPERATORS,
    PER_CHANNEL_OPERATORS,
    SMOOTHED_OPERATORS,
    WEIGHT_ONLY_OPERATORS,
    WEIGHT_OPERATORS,
    exclusion_operators,
)

# The value of a parameter that does nothing, where it is not its default.
_OFF: dict[str, Any] = {"clamp_mask": False}


def effective(asked: Float32 | Scheme) -> tuple[Float32 | Scheme, list[Inert]]:
    """Reduce what was asked for to what can act; name what cannot.

    Returns:
        The scheme with inert parts set to the value that does nothing (two rows with equal schemes
        share one file), and the parts that were.
    """
    if isinstance(asked, Float32):
        return asked, []
    operators = tuple(op for op in _sorted(asked.operators) if _why_idle(asked, op) is None)
    inert = [
        Inert(parameter="operators_to_quantize", value=op, reason=reason)
        for op in _sorted(asked.operators)
        if (reason := _why_idle(asked, op)) is not None
    ]
    acting: list[str] = []
    for name in _sorted(asked.node_exclusion):
        if exclusion_operators(name) & set(operators):
            acting.append(name)
        else:
            reason = f"none of its nodes is of a type that is quantized here ({_join(operators)})"
            if not operators:
                reason = NOTHING
            inert.append(Inert(parameter="node_exclusion", value=name, reason=reason))
    changed: dict[str, Any] = {"operators": operators, "node_exclusion": tuple(acting)}
    found = asked.model_copy(update=changed)
    for name, reason in _idle_fields(found):
        value, off = getattr(found, name), _OFF.get(name, type(found).model_fields[name].default)
        if value != off:
            inert.append(Inert(parameter=name, value=repr(value), reason=reason))
            found = found.model_copy(update={name: off})
    if isinstance(found, WeightOnly) and operators:
        found, level = _acting_level(found)
        inert += level
    return (found if operators else Float32()), inert


def _acting_level(scheme: WeightOnly) -> tuple[WeightOnly, list[Inert]]:
    """Levels 0, 2 and 3 are level 1 where activations are float32, as all are here.

    `MatMulNBits` of ONNX Runtime 1.31 on the CPU: 4 computes in int8, any other one in the
    activations' own type.
    """
    level = scheme.weight_only.accuracy_level
    if level in (1, 4):
        return scheme, []
    reason = "it computes what 1 does: activations are float32, and only 4 computes in another type"
    blocks = scheme.weight_only.model_copy(update={"accuracy_level": 1})
    inert = Inert(parameter="weight_only.accuracy_level", value=str(level), reason=reason)
    return scheme.model_copy(update={"weight_only": blocks}), [inert]


def of_other_approaches(approach: str) -> dict[str, str]:
    """The parameters that a row of an approach does not read, each with the reason."""
    return {
        name: f"{approach} quantization does not read it, only {_join(others)} does"
        for name, others in APPROACHES_OF.items()
        if approach not in others
    }


NOTHING = "no operator of this row can be quantized"


def _why_idle(asked: Scheme, operator: str) -> str | None:
    """Why an operator type cannot be quantized in a scheme; None if it can."""
    match asked:
        case Dynamic() if operator == "Gemm":
            return "dynamic quantization turns Gemm into MatMul: MatMul decides"
        case Dynamic() if operator not in DYNAMIC_OPERATORS:
            return f"dynamic quantization has no integer form of {operator}"
        case WeightOnly() if operator not in WEIGHT_ONLY_OPERATORS:
            return f"weight-only quantization has no form of {operator}"
        case _:
            return None


def _idle_fields(scheme: Scheme) -> Iterator[tuple[str, str]]:
    """Parameters that do nothing with these operators, and why; in order: one may idle the next."""
    operators = set(scheme.operators)
    if not operators:
        yield from ((name, NOTHING) for name in APPROACHES_OF if hasattr(scheme, name))
        return
    if isinstance(scheme, WeightOnly):
        return
    names = _join(scheme.operators)
    if not operators & PER_CHANNEL_OPERATORS:
        yield "per_channel", f"{names} has no weights with channels"
    if not operators & WEIGHT_OPERATORS:
        reason = f"{names} has no weights"
        yield from ((name, reason) for name in ("weight_type", "weight_symmetric"))
    if "MatMul" not in operators:
        yield "quantize_activation_matmul", f"MatMul is not quantized here ({names})"
    if not isinstance(scheme, Static):
        return
    if operators <= MASK_FREE_OPERATORS:
        yield "clamp_mask", f"{names} does not see the attention mask"
    if not operators & SMOOTHED_OPERATORS:
        yield "smooth_quant_alpha", f"{names} has no weights to smooth for"
    weighted = operators & WEIGHT_OPERATORS
    if scheme.per_channel and scheme.quant_format == "QDQ" and weighted <= PER_CHANNEL_OPERATORS:
        yield "weight_symmetric", "QDQ weights with one scale per channel are always symmetric"


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _join(names: Iterable[str]) -> str:
    return ", ".join(names)
