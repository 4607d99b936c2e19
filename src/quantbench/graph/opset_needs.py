"""Which opset a graph needs: what its nodes use that their operators have only later.

ONNX itself says it: an operator's schema lists, for each version, its attributes and the types of
its inputs (`onnx.defs`, all versions that the installed package knows).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from quantbench.graph.counts import default_opset
from quantbench.graph.dataflow import subgraphs

_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class Need:
    """An operator that the graph's opset lacks, or lacks in this form.

    `what` is the operator with what of it is missing; `opset` the first that has it, None if none
    of those that onnx knows does.
    """

    what: str
    node: str
    opset: int | None


def unmet_needs(model: onnx.ModelProto) -> tuple[Need, ...]:
    """What the nodes of a graph use that its opset does not have, in the order of the nodes.

    Args:
        model: any ONNX model; types are inferred as far as they can be.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except onnx.shape_inference.InferenceError:  # it contradicts itself: take what it says
        inferred = model
    return tuple(_of_graph(inferred.graph, default_opset(model), {}))


def lowest_opset(needs: Sequence[Need]) -> int | None:
    """The first opset that meets all needs; None if there are none, or one that none meets."""
    known = [need.opset for need in needs if need.opset is not None]
    return max(known) if known and len(known) == len(needs) else None


def in_words(needs: Sequence[Need]) -> str:
    """For example `Min of int64 exists from opset 12 on (node /encoder/Min)`; each form once."""
    first: dict[str, Need] = {}
    for need in needs:
        first.setdefault(need.what, need)
    return ", ".join(
        f"{need.what} exists "
        + ("in no opset" if need.opset is None else f"from opset {need.opset} on")
        + (f" (node {need.node})" if need.node else "")
        for need in first.values()
    )


def _of_graph(graph: onnx.GraphProto, opset: int, outer: Mapping[str, str]) -> Iterator[Need]:
    types = dict(outer)
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.elem_type:
            types[value.name] = _type(value.type.tensor_type.elem_type)
    types.update((tensor.name, _type(tensor.data_type)) for tensor in graph.initializer)
    for node in graph.node:
        if node.domain in _DOMAINS:
            need = _of_node(node, opset, [types.get(name) for name in node.input])
            if need is not None:
                yield need
        for inner in subgraphs(node):
            yield from _of_graph(inner, opset, types)


def _of_node(node: onnx.NodeProto, opset: int, types: list[str | None]) -> Need | None:
    """What a node needs; None if its operator is there in this form, or is not ONNX's at all."""
    history = _histories().get(node.op_type, ())
    current = [schema for schema in history if schema.since_version <= opset]
    missing = _missing(node, current[-1], types) if current else node.op_type
    if not history or missing is None:
        return None
    later = (
        schema.since_version
        for schema in history
        if schema.since_version > opset and _missing(node, schema, types) is None
    )
    return Need(missing, node.name, next(later, None))


def _missing(
    node: onnx.NodeProto, schema: onnx.defs.OpSchema, types: list[str | None]
) -> str | None:
    """The operator with the first attribute or type that this version of it does not take."""
    for attribute in node.attribute:
        if attribute.name not in schema.attributes:
            return f"{node.op_type} with {attribute.name}"
    for place, found in enumerate(types):
        if place >= len(schema.inputs) and not _is_variadic(schema):
            return f"{node.op_type} with {len(types)} inputs"
        taken = schema.inputs[min(place, len(schema.inputs) - 1)].types
        if found is not None and found not in taken:
            return f"{node.op_type} of {found.removeprefix('tensor(').removesuffix(')')}"
    return None


@functools.cache
def _histories() -> dict[str, tuple[onnx.defs.OpSchema, ...]]:
    """All versions of each operator of ONNX, oldest first."""
    found: dict[str, list[onnx.defs.OpSchema]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain in _DOMAINS:
            found.setdefault(schema.name, []).append(schema)
    return {
        name: tuple(sorted(versions, key=lambda schema: schema.since_version))
        for name, versions in found.items()
    }


def _is_variadic(schema: onnx.defs.OpSchema) -> bool:
    variadic = onnx.defs.OpSchema.FormalParameterOption.Variadic
    return bool(schema.inputs) and schema.inputs[-1].option == variadic


def _type(elem_type: int) -> str:
    """As schemas write it, for example `tensor(int64)`."""
    return f"tensor({TensorProto.DataType.Name(elem_type).lower()})"
