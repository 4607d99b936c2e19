"""What a processor's flags mean for 8-bit arithmetic."""

import pytest

from quantbench.core.exporters import Export
from quantbench.core.instructions import instruction_sets, missing_instructions, saturation
from quantbench.core.plan import Arm, Variant
from quantbench.core.quantization import (
    Dynamic,
    Float32,
    IntegerType,
    QuantFormat,
    Quantization,
    Static,
    WeightOnly,
)
from quantbench.core.refusals import refusal

SKYLAKE = ("avx2", "avx512f", "avx512bw", "avx512vl")
CASCADE_LAKE = (*SKYLAKE, "avx512_vnni")
ALDER_LAKE = ("avx2", "avx_vnni")
SAPPHIRE_RAPIDS = (*CASCADE_LAKE, "avx_vnni", "amx_tile", "amx_int8", "amx_bf16")
GRAVITON_3 = ("asimd", "asimddp", "i8mm", "sve")


def arm(scheme: Quantization, level: int = 99) -> Arm:
    variant = Variant(export=Export(opset=17), quantization=scheme)
    return Arm(
        id="x", role="row", framework="onnxruntime", variant=variant, optimization_level=level
    )


@pytest.mark.parametrize(
    ("flags", "sets"),
    [
        ((), ()),
        (SKYLAKE, ("avx2", "avx512")),
        (CASCADE_LAKE, ("avx2", "avx512", "avx512_vnni")),
        (ALDER_LAKE, ("avx2", "avx_vnni")),
        (SAPPHIRE_RAPIDS, ("avx2", "avx512", "avx_vnni", "avx512_vnni", "amx")),
        (GRAVITON_3, ("dot", "i8mm")),
        (("avx2", "amx_tile"), ("avx2",)),
    ],
)
def test_flags_show_sets_of_instructions(flags: tuple[str, ...], sets: tuple[str, ...]) -> None:
    assert instruction_sets(flags) == sets


def test_avx_vnni_is_not_avx512_vnni() -> None:
    assert missing_instructions("avx512_vnni", CASCADE_LAKE) is None
    message = missing_instructions("avx512_vnni", ALDER_LAKE)
    assert message is not None
    assert "no avx512_vnni; it has avx2, avx_vnni" in message
    assert missing_instructions(None, ()) is None


@pytest.mark.parametrize("flags", [CASCADE_LAKE, ALDER_LAKE, SAPPHIRE_RAPIDS, GRAVITON_3, ()])
def test_nothing_saturates_with_vnni_on_arm_or_on_an_unknown_processor(
    flags: tuple[str, ...],
) -> None:
    assert saturation(arm(Dynamic(operators=("MatMul",))), flags) is None


@pytest.mark.parametrize(
    ("scheme", "level", "saturates"),
    [
        (Dynamic(operators=("MatMul",)), 0, True),
        (Dynamic(operators=("MatMul",), reduce_range=True), 99, False),
        (Dynamic(operators=("MatMul",), weight_type="uint8"), 99, False),
        (Static(operators=("MatMul",)), 99, True),
        (Static(operators=("MatMul",), activation_type="int8"), 99, True),
        (Static(operators=("MatMul",)), 1, False),
        (Static(operators=("MatMul",), quant_format="QOperator"), 1, True),
        (
            Static(operators=("MatMul",), quant_format="QOperator", activation_type="int8"),
            99,
            False,
        ),
        (WeightOnly(operators=("MatMul",)), 99, False),
        (Float32(), 99, False),
    ],
)
def test_uint8_by_int8_saturates_without_vnni_unless_weights_have_seven_bits(
    scheme: Quantization, level: int, saturates: bool
) -> None:
    for flags in (("avx2",), SKYLAKE):
        found = saturation(arm(scheme, level), flags)
        assert (found is not None) == saturates


@pytest.mark.parametrize("activation_type", ["int8", "uint8"])
@pytest.mark.parametrize("quant_format", ["QDQ", "QOperator"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_what_a_warning_advises_avoids_it_and_is_not_refused(
    activation_type: IntegerType, quant_format: QuantFormat, per_channel: bool
) -> None:
    static = Static(
        operators=("MatMul",),
        activation_type=activation_type,
        quant_format=quant_format,
        per_channel=per_channel,
    )
    changes: dict[str, dict[str, object]] = {
        "reduce_range: true": {"reduce_range": True},
        "weight_type: uint8": {"weight_type": "uint8"},
    }
    for scheme in (static, Dynamic(operators=("MatMul",), per_channel=per_channel)):
        warning = saturation(arm(scheme), SKYLAKE)
        if warning is None:
            assert (quant_format, activation_type) == ("QOperator", "int8")
            continue
        for advised, change in changes.items():
            changed = scheme.model_copy(update=change)
            works = refusal(changed, 17) is None and saturation(arm(changed), SKYLAKE) is None
            assert (advised in warning) == works


def test_what_pytorch_runs_does_not_saturate() -> None:
    pytorch = Arm(
        id="x", role="original", framework="pytorch", variant=None, optimization_level=None
    )
    assert saturation(pytorch, SKYLAKE) is None
