"""Each rule finds its fault in the facts, and nothing in those of a file that is fine."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from made_facts import activation, compared, facts, model_time, node, profile, weight

from quantbench.analysis.explain import advice, find
from quantbench.analysis.explain_facts import (
    layer_summaries,
    left_in_floats,
    sqnr_db,
    time_changes,
)
from quantbench.analysis.explain_rules import RULES
from quantbench.core.explanation import Compared, Explanation, IdlePairs
from quantbench.core.exporters import Export
from quantbench.core.instructions import instruction_sets, saturation
from quantbench.core.plan import Arm, Variant
from quantbench.core.quantization import (
    Dynamic,
    IntegerType,
    QuantFormat,
    Scheme,
    Static,
    WeightOnly,
)

STATIC = Static(operators=("Add", "MatMul"))
INT8 = Static(operators=("Add", "MatMul"), activation_type="int8")

FAULTS: dict[str, Explanation] = {
    "R1": facts(
        scheme=STATIC,
        activations=(activation("scores", feeds_softmax=True, scale=1e36, median_abs=1.0),),
    ),
    "R2": facts(scheme=STATIC, nodes=(node("n", op_type="Add", patterns=("layernorm",)),)),
    "R3": facts(
        scheme=STATIC, idle_pairs=(IdlePairs(made_by="Add", read_by="Sqrt", count=9),)
    ),
    "R4": facts(scheme=INT8, idle_pairs=(IdlePairs(made_by="MatMul", read_by="Add", count=9),)),
    "R5": facts(
        outputs=(activation("logits", error=compared(5.0)),),
        activations=(
            activation("a0", layer="layer.0", error=compared(40.0)),
            activation("a1", layer="layer.1", error=compared(6.0)),
            activation("a2", layer="layer.2", error=compared(5.9)),
        ),
    ),
    "R6": facts(weights=(weight(largest=100.0, median=1.0, num_coarse=15),)),
    "R7": facts(
        scheme=STATIC,
        activations=(
            activation(scale=0.4, range_abs=100.0, p999_abs=1.0, rounding=compared(5.0)),
        ),
    ),
    "R8": facts(nodes=(node(quantized=False),)),
    "R9": facts(optimization_level=1, executed_nodes={"MatMulInteger": 3}),
    "R10": facts(instructions=("avx2", "avx512")),
    "R11": facts(outputs=(activation("logits", error=compared(35.0)),)),
    "R12": facts(
        scheme=STATIC,
        profile=profile(
            model_time(100.0, Add=90.0), model_time(200.0, Add=90.0, QuantizeLinear=80.0)
        ),
    ),
}  # fmt: skip


def found(of: Explanation) -> list[str]:
    return [finding.rule for finding in find(of)]


def test_every_rule_has_a_fault_here_and_is_listed_in_the_docs() -> None:
    from pathlib import Path

    docs = (Path(__file__).parents[2] / "docs" / "explain.md").read_text()
    numbers = {rule.__name__.split("_")[0].upper() for rule in RULES}
    assert numbers == set(FAULTS)
    for number in numbers:
        assert f"**{number}**" in docs


@pytest.mark.parametrize("rule", FAULTS)
def test_a_rule_fires_on_its_fault_with_numbers(rule: str) -> None:
    findings = {finding.rule: finding for finding in find(FAULTS[rule])}
    assert rule in findings
    assert any(letter.isdigit() for letter in findings[rule].evidence)


@pytest.mark.parametrize("rule", [rule for rule in FAULTS if rule != "R11"])
def test_a_rule_finds_nothing_in_a_file_that_is_fine(rule: str) -> None:
    assert found(facts()) == ["R11"]


def test_a_file_with_a_large_error_is_not_called_fine() -> None:
    assert found(facts(outputs=(activation("logits", error=compared(12.0)),))) == []


def test_int8_pairs_are_a_matter_of_the_type_on_x86_only() -> None:
    pairs = (IdlePairs(made_by="MatMul", read_by="Add", count=1),)
    assert found(facts(scheme=INT8, idle_pairs=pairs, is_x86=False)) == ["R11", "R3"]
    assert found(facts(scheme=STATIC, idle_pairs=pairs)) == ["R11", "R3"]


def test_without_fusing_pairs_are_put_down_to_the_level() -> None:
    pairs = (IdlePairs(made_by="MatMul", read_by="Add", count=1),)
    executed = {"QuantizeLinear": 1}
    unfused = facts(scheme=INT8, idle_pairs=pairs, optimization_level=1, executed_nodes=executed)
    assert found(unfused) == ["R11", "R9"]


def test_what_is_one_node_cannot_be_kept_from_fusing() -> None:
    norm = node("n", op_type="LayerNormalization", patterns=("layernorm",))
    gelu = node("g", op_type="Gelu", patterns=("gelu",))
    assert found(facts(scheme=STATIC, nodes=(norm, gelu))) == ["R11"]


def test_outliers_are_those_of_the_range_that_the_integers_stand_for() -> None:
    def of(range_abs: float, **changes: Any) -> list[str]:
        rough = {"scale": 0.05, "p999_abs": 1.0, "rounding": compared(5.0)}
        item = activation(range_abs=range_abs, **(rough | changes))
        return found(facts(scheme=STATIC, activations=(item,)))

    assert of(255 * 0.05) == ["R7", "R11"]  # uint8 from 0 on
    assert of(128 * 0.05) == ["R11"]  # uint8 or int8 around 0
    assert of(255 * 0.05, feeds_softmax=True) == ["R11"]
    assert of(255 * 0.05, rounding=compared(25.0)) == ["R11"]


def test_reduced_ranges_do_not_saturate() -> None:
    reduced = Dynamic(operators=("MatMul",), reduce_range=True)
    assert found(facts(scheme=reduced, instructions=("avx2",))) == ["R11"]


@pytest.mark.parametrize(
    "flags",
    [(), ("avx2",), ("avx2", "avx512f"), ("avx2", "avx_vnni"), ("avx2", "avx512_vnni"),
     ("avx2", "amx_tile", "amx_int8"), ("asimddp",), ("asimddp", "i8mm")],
    ids="+".join,
)  # fmt: skip
def test_rows_are_said_to_saturate_exactly_where_the_plan_and_the_card_warn(
    flags: tuple[str, ...],
) -> None:
    told: set[bool] = set()
    for scheme, level in itertools.product(every_scheme(), (0, 1, 2, 99)):
        variant = Variant(export=Export(opset=17), quantization=scheme)
        arm = Arm(
            id="x", role="row", framework="onnxruntime", variant=variant, optimization_level=level
        )
        warning = saturation(arm, flags)
        known = instruction_sets(flags)
        findings = find(facts(scheme=scheme, optimization_level=level, instructions=known))
        changes = [finding.change for finding in findings if finding.rule == "R10"]
        assert len(changes) == (warning is not None), (scheme, level)
        for change in (str(change) for change in changes):
            assert change.replace(", or ", " or ") + " avoids it" in str(warning)
        told.add(warning is not None)
    assert told == ({True, False} if flags in (("avx2",), ("avx2", "avx512f")) else {False})


def every_scheme() -> Iterator[Scheme]:
    """Of each approach, and of each value of what saturation can depend on."""
    types: tuple[IntegerType, ...] = ("int8", "uint8")
    formats: tuple[QuantFormat, ...] = ("QDQ", "QOperator")
    yield WeightOnly(operators=("MatMul",))
    for weight_type, reduce_range in itertools.product(types, (False, True)):
        yield Dynamic(operators=("MatMul",), weight_type=weight_type, reduce_range=reduce_range)
        for quant_format, activation_type in itertools.product(formats, types):
            yield Static(
                operators=("MatMul",),
                quant_format=quant_format,
                activation_type=activation_type,
                weight_type=weight_type,
                reduce_range=reduce_range,
            )


def test_weights_with_a_scale_per_channel_may_differ() -> None:
    uneven = weight(largest=100.0, median=1.0, num_coarse=15, per_channel=True)
    assert found(facts(weights=(uneven,))) == ["R11"]


def test_static_per_channel_needs_a_newer_opset() -> None:
    changes = {finding.rule: finding.change for finding in find(FAULTS["R6"])}
    assert changes["R6"] == "per_channel: true"
    old = FAULTS["R6"].model_copy(update={"scheme": STATIC, "opset": 11})
    assert {f.rule: f.change for f in find(old)}["R6"] == (
        "per_channel: true, framework_args.opset: 13"
    )


def test_per_channel_works_at_any_opset_with_integer_operators() -> None:
    whole = Static(operators=("MatMul",), quant_format="QOperator")
    for scheme in (whole, Dynamic(operators=("MatMul",))):
        old = FAULTS["R6"].model_copy(update={"scheme": scheme, "opset": 11})
        assert {f.rule: f.change for f in find(old)}["R6"] == "per_channel: true"


def test_advice_names_error_time_rules_and_changes() -> None:
    text = advice(FAULTS["R4"], find(FAULTS["R4"]))
    assert "40.0 dB" in text
    assert "0.50 times" in text
    assert "(R4)" in text
    assert "activation_type: uint8" in text


# What follows from the facts


def test_decibels_are_ten_times_the_logarithm_of_signal_over_noise() -> None:
    assert sqnr_db(Compared(signal=100.0, noise=1.0, num_values=1)) == pytest.approx(20.0)
    assert sqnr_db(Compared(signal=1.0, noise=0.0, num_values=1)) is None
    assert sqnr_db(Compared(signal=0.0, noise=1.0, num_values=1)) == -300.0


def test_a_layer_adds_what_its_output_has_more_than_the_one_before() -> None:
    layers = layer_summaries(FAULTS["R5"])
    assert [layer.name for layer in layers] == ["layer.0", "layer.1", "layer.2"]
    assert layers[1].added == pytest.approx(10**-0.6 - 10**-4)
    assert layers[1].worst == "a1"


def test_each_node_left_in_floats_has_a_reason() -> None:
    nodes = (
        node("a", op_type="Sqrt", quantized=False),
        node("b", op_type="Mul", quantized=False),
        node("c", op_type="Add", quantized=False, excluded_by=("layernorm",)),
        node("d", quantized=False, constant_operand=False),
        node("e", quantized=False),
        node("f"),
    )
    reasons = {left.op_type + str(n): left.reason for n, left in enumerate(
        sorted(left_in_floats(facts(scheme=STATIC, nodes=nodes)), key=lambda item: item.reason)
    )}  # fmt: skip
    assert sorted(reasons.values()) == [
        "both operands are activations (quantize_activation_matmul is false)",
        "excluded by layernorm",
        "no integer kernel (static)",
        "operators_to_quantize does not name it",
        "the quantizer left it: an operand is no float tensor, or has no range",
    ]


def test_a_gemm_is_asked_for_as_matmul_by_dynamic_quantization_alone() -> None:
    def reason(scheme: Dynamic | Static) -> str:
        gemm = node("g", op_type="Gemm", quantized=False)
        (left,) = left_in_floats(facts(scheme=scheme, nodes=(gemm,)))
        return left.reason

    assert reason(Static(operators=("MatMul",))) == "operators_to_quantize does not name it"
    assert reason(Dynamic(operators=("Gather",))) == "operators_to_quantize does not name it"
    assert reason(Dynamic(operators=("MatMul",))).startswith("the quantizer left it")
    assert reason(Static(operators=("Gemm",))).startswith("the quantizer left it")


def test_weight_only_files_compute_in_floats_between_their_weights() -> None:
    nodes = (node("a", op_type="Add", quantized=False), node("b"))
    scheme = WeightOnly(operators=("MatMul",))
    assert [left.reason for left in left_in_floats(facts(scheme=scheme, nodes=nodes))] == [
        "no integer kernel (weight_only)"
    ]


def test_times_are_sorted_by_how_much_they_changed() -> None:
    changes = time_changes(FAULTS["R12"])
    assert [(item.op_type, item.after_us - item.before_us) for item in changes] == [
        ("QuantizeLinear", 80.0),
        ("Add", 0.0),
    ]
