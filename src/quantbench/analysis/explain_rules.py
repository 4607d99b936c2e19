"""The rules that turn the facts of an explanation into advice. docs/explain.md lists them.

Each is one function from facts to at most one finding. A finding names the evidence in numbers and
the line of the config to change.
"""

from __future__ import annotations

from collections.abc import Callable

from quantbench.analysis.explain_facts import (
    STATIC_KERNELS,
    asked_operators,
    conversion_us,
    is_layer,
    kernels_us,
    layer_summaries,
    noise_part,
    output_error,
    sqnr_db,
    time_changes,
)
from quantbench.core.explanation import Explanation, IdlePairs, WeightFacts
from quantbench.core.frozen import Frozen
from quantbench.core.instructions import saturates, unsaturated
from quantbench.core.quantization import Dynamic, Static
from quantbench.core.refusals import PER_CHANNEL_OPSET, refusal
from quantbench.core.vocabulary import FUSED_OPERATORS

# Below this an error is worth a search for its cause: noise is 1 % of the signal, a tenth of the
# amplitude.
GOOD_DB = 20.0
# A channel or tensor whose extremes are this many times the ordinary is an outlier.
OUTLIER = 8.0
# A part of a whole that is called most of it.
MOST = 0.5
# From here on the runtime fuses quantize/dequantize pairs into integer kernels.
FUSING_LEVEL = 2
# Conversions that take more than this part of a forward are worth a word.
NOTABLE_TIME = 0.1


class Finding(Frozen):
    """What a rule found: the rule's number, what is so, the numbers, and what to change."""

    rule: str
    what: str
    evidence: str
    change: str | None = None


def r1_scores_swallowed(facts: Explanation) -> Finding | None:
    """R1: the step of a tensor that a softmax reads is larger than most of its values."""
    swallowed = [
        item
        for item in facts.activations
        if item.feeds_softmax
        and item.scale is not None
        and item.median_abs > 0.0
        and item.scale > item.median_abs
    ]
    if not swallowed:
        return None
    worst = max(swallowed, key=lambda item: (item.scale or 0.0) / item.median_abs)
    return Finding(
        rule="R1",
        what="the range of attention scores is so wide that the scores vanish in one step of it",
        evidence=(
            f"{len(swallowed)} score tensors, the worst {worst.name}: half of its values are below "
            f"{worst.median_abs:.3g}, one step is {worst.scale:.3g}"
        ),
        change="clamp_mask: true, or node_exclusion: add softmax",
    )


def r2_inside_of_patterns(facts: Explanation) -> Finding | None:
    """R2: nodes inside of a layer normalization or GELU are quantized, so that it cannot fuse.

    One that is a single node is fused already: what quantizing that costs is told by R3.
    """
    inside = {
        name: sum(
            node.quantized and name in node.patterns and node.op_type not in FUSED_OPERATORS
            for node in facts.nodes
        )
        for name in ("layernorm", "gelu")
    }
    found = {name: count for name, count in inside.items() if count}
    if not found:
        return None
    counts = " and ".join(f"{count} in {name}" for name, count in found.items())
    return Finding(
        rule="R2",
        what="nodes inside of layer normalization or GELU are quantized, which keeps the runtime "
        "from fusing them",
        evidence=f"quantized nodes: {counts}",
        change=f"node_exclusion: add {', '.join(found)}",
    )


def r3_no_integer_kernel(facts: Explanation) -> Finding | None:
    """R3: quantize/dequantize pairs stay around operators that have no integer kernel."""
    pairs = [pair for pair in facts.idle_pairs if not _is_held_up(pair, facts)]
    if not pairs or facts.optimization_level < FUSING_LEVEL:
        return None
    makers = sorted({pair.made_by for pair in pairs})
    asked = sorted(set(makers) & asked_operators(facts))
    return Finding(
        rule="R3",
        what="values are rounded and then computed with as floats, by operators that have no "
        "integer kernel",
        evidence=f"{_count(pairs)} pairs: {_listed(pairs)}; {_conversion_text(facts)}",
        change=(
            f"operators_to_quantize: leave out {', '.join(asked)}, or exclude the nodes that make "
            "these values"
            if asked
            else "node_exclusion: add what makes these values"
        ),
    )


def r4_int8_not_fused(facts: Explanation) -> Finding | None:
    """R4: on x86, int8 activations keep operators from fusing into their integer kernels."""
    pairs = [pair for pair in facts.idle_pairs if _is_held_up(pair, facts)]
    if not pairs or facts.optimization_level < FUSING_LEVEL:
        return None
    return Finding(
        rule="R4",
        what="operators that have an integer kernel run in floats between a dequantization and a "
        "quantization: on x86 the runtime fuses them for uint8 activations only",
        evidence=f"{_count(pairs)} pairs: {_listed(pairs)}; {_conversion_text(facts)}",
        change="activation_type: uint8",
    )


def r5_one_carries_most(facts: Explanation) -> Finding | None:
    """R5: one block adds most of the error."""
    blocks = [item for item in layer_summaries(facts) if is_layer(item.name)]
    added = sum(item.added for item in blocks)
    if len(blocks) < 3 or not added or _is_good(facts):
        return None
    most = max(blocks, key=lambda item: item.added)
    if most.added <= MOST * added:
        return None
    output = "exact" if most.output_db is None else f"{most.output_db:.1f} dB"
    return Finding(
        rule="R5",
        what="one block adds most of the error",
        evidence=f"{most.name} adds {most.added / added:.0%} of it: {output} at its output, the "
        f"worst tensor is {most.worst}",
        change=f"node_exclusion: add {most.name}",
    )


def r6_channels_differ(facts: Explanation) -> Finding | None:
    """R6: with one scale per tensor, weights whose channels differ in range lose bits."""
    scheme = facts.scheme
    if not isinstance(scheme, Dynamic | Static) or scheme.per_channel:
        return None
    uneven = [item for item in facts.weights if not item.per_channel and _is_uneven(item)]
    if not uneven:
        return None
    worst = max(uneven, key=lambda item: item.num_coarse / item.num_channels)
    is_refused = refusal(scheme.model_copy(update={"per_channel": True}), facts.opset) is not None
    needs = f", framework_args.opset: {PER_CHANNEL_OPSET}" if is_refused else ""
    return Finding(
        rule="R6",
        what="the channels of some weights differ so much in range that one scale is too coarse "
        "for most of them",
        evidence=(
            f"{len(uneven)} of {len(facts.weights)} weights, the worst {worst.name}: its largest "
            f"value is {worst.largest / worst.median:.3g} times that of the median channel, "
            f"{worst.num_coarse} of {worst.num_channels} channels lose 3 bits or more, "
            f"{_db(sqnr_db(worst.error))}"
        ),
        change=f"per_channel: true{needs}",
    )


def r7_outlier_activations(facts: Explanation) -> Finding | None:
    """R7: a few extreme values take up the range of activations, and the rest are coarse."""
    rough = [
        item
        for item in facts.activations
        if item.rounding is not None
        and not item.feeds_softmax
        and item.p999_abs > 0.0
        and item.range_abs is not None
        and item.range_abs > OUTLIER * item.p999_abs
        and noise_part(item.rounding) > 10 ** (-GOOD_DB / 10)
    ]
    if not rough:
        return None
    worst = max(rough, key=lambda item: (item.range_abs or 0.0) / item.p999_abs)
    return Finding(
        rule="R7",
        what="a few extreme values take up the range of some activations, so that the others are "
        "rounded coarsely",
        evidence=(
            f"{len(rough)} tensors, the worst {worst.name}: 99.9 % of its values are below "
            f"{worst.p999_abs:.3g}, its range reaches {worst.range_abs:.3g}"
        ),
        change="calibration.method: percentile, or smooth_quant_alpha: 0.5",
    )


def r8_nothing_quantized(facts: Explanation) -> Finding | None:
    """R8: the file computes as the float model does."""
    if any(node.quantized for node in facts.nodes):
        return None
    asked = ", ".join(sorted(asked_operators(facts))) or "nothing"
    return Finding(
        rule="R8",
        what="nothing that computes was quantized",
        evidence=f"none of {len(facts.nodes)} nodes; asked for: {asked}",
        change="operators_to_quantize: [MatMul], with fewer exclusions",
    )


def r9_level_too_low(facts: Explanation) -> Finding | None:
    """R9: at optimization level 0 or 1 the integer operators are not fused."""
    if facts.optimization_level >= FUSING_LEVEL:
        return None
    unfused = {
        name: facts.executed_nodes[name]
        for name in ("MatMulInteger", "DynamicQuantizeLinear", "QuantizeLinear", "DequantizeLinear")
        if name in facts.executed_nodes
    }
    if not unfused:
        return None
    counts = ", ".join(f"{count} {name}" for name, count in unfused.items())
    return Finding(
        rule="R9",
        what=f"at optimization level {facts.optimization_level} integer operators and their "
        "scalings run one by one",
        evidence=counts,
        change="framework_args.optimization_level: 99",
    )


def r10_saturates(facts: Explanation) -> Finding | None:
    """R10: without VNNI, sums of uint8 × int8 products saturate."""
    if not saturates(facts.scheme, facts.optimization_level, facts.instructions):
        return None
    return Finding(
        rule="R10",
        what="this processor has no VNNI: sums of uint8 × int8 products can saturate at 16 bits",
        evidence=f"the worst output has {_db(sqnr_db(output_error(facts)))} as deployed",
        change=", or ".join(unsaturated(facts.scheme)),
    )


def r11_error_is_small(facts: Explanation) -> Finding | None:
    """R11: the outputs are close to those in floats; what is lost, rounding explains."""
    if not _is_good(facts) or not any(node.quantized for node in facts.nodes):
        return None
    return Finding(
        rule="R11",
        what="the error is small: the outputs differ from those in floats as rounding to 8 bits "
        "makes them differ",
        evidence=f"the worst output has {_db(sqnr_db(output_error(facts)))}; {GOOD_DB:g} dB are "
        "enough for most tasks",
    )


def r12_where_time_goes(facts: Explanation) -> Finding | None:
    """R12: the row is slower than floats, or conversions take a notable part of it."""
    before, after = facts.profile.reference.microseconds, facts.profile.row.microseconds
    conversions = conversion_us(facts.profile.row)
    if after <= before and conversions <= NOTABLE_TIME * kernels_us(facts.profile.row):
        return None
    grown = [item for item in time_changes(facts) if item.after_us > item.before_us][:3]
    shrunk = [item for item in time_changes(facts) if item.after_us < item.before_us][:3]
    gains = ", ".join(
        f"{item.op_type} {item.after_us - item.before_us:+.0f} µs" for item in [*grown, *shrunk]
    )
    slower = f"slower than floats ({after:.0f} against {before:.0f} µs)"
    faster = f"{after:.0f} µs, in floats {before:.0f} µs"
    return Finding(
        rule="R12",
        what=(
            "what quantization adds takes longer than what it saves"
            if after > before
            else "conversions between floats and integers take a notable part of the time"
        ),
        evidence=(
            f"{slower if after > before else faster}; {_conversion_text(facts)}; per forward: "
            f"{gains}"
        ),
        change=(
            "quantization_approach: dynamic, with operators_to_quantize: [MatMul]"
            if after > before and isinstance(facts.scheme, Static)
            else None
        ),
    )


Rule = Callable[[Explanation], Finding | None]

# What is wrong with values first, then with time; in the order of what to try.
RULES: tuple[Rule, ...] = (
    r8_nothing_quantized,
    r1_scores_swallowed,
    r10_saturates,
    r5_one_carries_most,
    r6_channels_differ,
    r7_outlier_activations,
    r11_error_is_small,
    r9_level_too_low,
    r4_int8_not_fused,
    r2_inside_of_patterns,
    r3_no_integer_kernel,
    r12_where_time_goes,
)


def _is_held_up(pair: IdlePairs, facts: Explanation) -> bool:
    """Whether a pair would go into an integer kernel if activations were uint8."""
    is_int8 = isinstance(facts.scheme, Static) and facts.scheme.activation_type == "int8"
    ends = {pair.made_by, *pair.read_by.split(", ")}
    return is_int8 and facts.is_x86 and bool(ends & STATIC_KERNELS)


def _is_uneven(weight: WeightFacts) -> bool:
    if weight.num_channels < 2 or not weight.median:
        return False
    return weight.largest > OUTLIER * weight.median


def _is_good(facts: Explanation) -> bool:
    decibels = sqnr_db(output_error(facts))
    return decibels is None or decibels >= GOOD_DB


def _count(pairs: list[IdlePairs]) -> int:
    return sum(pair.count for pair in pairs)


def _listed(pairs: list[IdlePairs]) -> str:
    most = sorted(pairs, key=lambda pair: -pair.count)[:3]
    text = ", ".join(f"{pair.count} from {pair.made_by} to {pair.read_by}" for pair in most)
    return text + (", …" if len(pairs) > len(most) else "")


def _conversion_text(facts: Explanation) -> str:
    row = facts.profile.row
    whole = kernels_us(row)
    share = conversion_us(row) / whole if whole else 0.0
    spent = f"{conversion_us(row):.0f} of the {whole:.0f} µs in operators"
    return f"conversions take {spent} ({share:.0%})"


def _db(decibels: float | None) -> str:
    return "exact" if decibels is None else f"{decibels:.1f} dB"
