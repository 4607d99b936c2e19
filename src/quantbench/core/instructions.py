"""Which vector instructions a processor has, and what that means for sums of 8-bit products."""

from __future__ import annotations

from collections.abc import Sequence

from quantbench.core.plan import Arm
from quantbench.core.quantization import Dynamic, Float32, Scheme, Static

# The flags that show a set of instructions: those of Linux (/proc/cpuinfo), x86 then Arm.
INSTRUCTION_FLAGS: dict[str, frozenset[str]] = {
    "avx2": frozenset({"avx2"}),
    "avx512": frozenset({"avx512f"}),
    "avx_vnni": frozenset({"avx_vnni"}),
    "avx512_vnni": frozenset({"avx512_vnni"}),
    "amx": frozenset({"amx_tile", "amx_int8"}),
    "dot": frozenset({"asimddp"}),
    "i8mm": frozenset({"i8mm"}),
}
# Those that multiply uint8 by int8 and add four products in 32 bits, without saturation.
_EXACT = frozenset({"avx_vnni", "avx512_vnni", "amx"})
# Optimization levels at which QDQ pairs are not fused with what is between them.
_FLOAT_LEVELS = (0, 1)


def instruction_sets(flags: tuple[str, ...]) -> tuple[str, ...]:
    """The known sets of instructions among a processor's flags."""
    return tuple(name for name, needed in INSTRUCTION_FLAGS.items() if needed <= set(flags))


def missing_instructions(wanted: str | None, flags: tuple[str, ...]) -> str | None:
    """Why a processor does not have the instructions that were asked for; None if it has."""
    if wanted is None:
        return None
    missing = INSTRUCTION_FLAGS[wanted] - set(flags)
    if not missing:
        return None
    found = instruction_sets(flags)
    return (
        f"backend_args.supported_instructions asks for {wanted}, but this processor has no "
        f"{', '.join(sorted(missing))}; it has {', '.join(found) or 'none of those known here'}"
    )


def saturation(arm: Arm, flags: tuple[str, ...]) -> str | None:
    """A warning if sums of an arm's products can be cut off on a processor; None if they cannot."""
    if arm.variant is None:
        return None
    scheme = arm.variant.quantization
    if not saturates(scheme, arm.optimization_level, instruction_sets(flags)):
        return None
    return (
        "sums of uint8 × int8 products can saturate on this processor, which has no VNNI: answers "
        f"may be worse here than on others. {' or '.join(unsaturated(scheme))} avoids it"
    )


def saturates(scheme: Float32 | Scheme, level: int | None, instructions: Sequence[str]) -> bool:
    """Whether sums of products can be cut off on a processor with these sets of instructions.

    Without VNNI, AVX2 and AVX-512 add two products of uint8 and int8 in 16 bits (VPMADDUBSW):
    2 · 255 · 127 does not fit. Weights of 7 bits do (2 · 255 · 64 < 2^15), and so do uint8 weights,
    which take another way. Static int8 activations count too, in QDQ form: ONNX Runtime turns them
    into uint8 when it loads the file, from optimization level 2 on; below, it computes in float.
    Source: "Quantize ONNX Models", section "When and why do I
    need to try U8U8?", of ONNX Runtime's documentation.
    """
    match scheme:
        case Dynamic():
            is_unsigned = True
        case Static(quant_format="QDQ"):
            is_unsigned = level not in _FLOAT_LEVELS
        case Static():
            is_unsigned = scheme.activation_type == "uint8"
        case _:
            return False
    if not is_unsigned or scheme.weight_type != "int8" or scheme.reduce_range:
        return False
    return "avx2" in instructions and _EXACT.isdisjoint(instructions)


def unsaturated(scheme: Float32 | Scheme) -> tuple[str, ...]:
    """The changes of a scheme that saturates, each of which avoids it and can be made.

    The plan refuses uint8 weights with int8 activations (`core.refusals`).
    """
    if isinstance(scheme, Static) and scheme.activation_type == "int8":
        return ("reduce_range: true",)
    return ("reduce_range: true", "weight_type: uint8")
