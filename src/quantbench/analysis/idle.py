"""What a row asked for that turned out to do nothing, now that its graph is known."""

from __future__ import annotations

from collections.abc import Mapping

from quantbench.core.quantization import Dynamic, Float32, Inert, Scheme, Static
from quantbench.core.results import ArmResult, Artifact, NodeCounts


def idle_in_graph(result: ArmResult | None) -> list[Inert]:
    """Operators and exclusions of an arm's scheme that did nothing in its own graph.

    Args:
        result: of the row's arm, not of one that was measured in its place; None if it was not
            run.
    """
    if result is None or result.arm.variant is None or not isinstance(result.artifact, Artifact):
        return []
    scheme, artifact = result.arm.variant.quantization, result.artifact
    if isinstance(scheme, Float32):
        return []
    found = [(name, _idle_operator(scheme, name, artifact.nodes)) for name in scheme.operators]
    inert = [
        Inert(parameter="operators_to_quantize", value=name, reason=reason)
        for name, reason in found
        if reason is not None
    ]
    clamps = isinstance(scheme, Static) and scheme.clamp_mask
    if clamps and artifact.num_masked_nodes == 0:
        reason = "no attention mask is in this graph"
        inert.append(Inert(parameter="clamp_mask", value=repr(True), reason=reason))
    for exclusion in scheme.node_exclusion:
        if artifact.exclusion_matches.get(exclusion) == 0:
            reason = "matches no node of this model"
        elif artifact.exclusion_effects.get(exclusion) == 0:
            reason = "none of its nodes in this model is of a type that is quantized here"
            if clamps and artifact.num_masked_nodes:
                reason += ", or clamp_mask keeps it in floats"
        else:
            continue
        inert.append(Inert(parameter="node_exclusion", value=exclusion, reason=reason))
    return inert


def _idle_operator(scheme: Scheme, operator: str, nodes: Mapping[str, NodeCounts]) -> str | None:
    """Why no node of a type was quantized; None if one was."""
    # The dynamic quantizer turns Gemm into MatMul: asking for the one means both.
    both = isinstance(scheme, Dynamic) and operator == "MatMul"
    names = (operator, "Gemm") if both else (operator,)
    counts = [nodes[name] for name in names if name in nodes]
    if any(item.quantized for item in counts):
        return None
    total = sum(item.total for item in counts)
    if total == 0:
        return f"the model has no {operator} node"
    if sum(item.excluded for item in counts) == total:
        return f"every {operator} node is excluded"
    return f"no {operator} node could be quantized"
