"""A digest of what a model computes and how: equal whatever its nodes and tensors are called.

Two files have equal digests when the same operators with the same attributes and weights are
wired alike, under the same operator set versions and the same names of inputs and outputs. The
order of nodes, the names of nodes and inner tensors, `Constant` node or initializer, unused
initializers, nodes that reach no output, value infos and doc strings do not matter.
Attributes are compared as written: a default that is spelled out gives another digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import onnx
from onnx import AttributeProto, numpy_helper

from quantbench.graph.dataflow import constant_value, in_topological_order, used_names

_ABSENT = b"absent"


def graph_digest(model: onnx.ModelProto) -> str:
    """Digest a model: a Merkle tree over its dataflow, from inputs and weights to the outputs.

    Args:
        model: with external data loaded.

    Returns:
        64 hex digits (SHA-256).
    """
    root, used_domains = _graph(model.graph, {}, formal=False)
    opsets = sorted(
        f"{item.domain or 'ai.onnx'}={item.version}"
        for item in model.opset_import
        if (item.domain or "ai.onnx") in used_domains
    )
    functions = sorted(item.SerializeToString(deterministic=True) for item in model.functions)
    return _hash("model", root, *(text.encode() for text in opsets), *functions).hex()


def _graph(
    graph: onnx.GraphProto, outer: Mapping[str, bytes], *, formal: bool
) -> tuple[bytes, set[str]]:
    """Digest a graph and list the operator domains that it uses.

    `formal`: inputs count by position (a body's parameters), not by name (a model's inputs).
    """
    known = dict(outer)
    for i, value in enumerate(graph.input):
        name = str(i) if formal else value.name
        elem_type = value.type.tensor_type.elem_type
        known[value.name] = _hash("input", name.encode(), str(elem_type).encode())
    # An initializer that is also listed as an input is its default value.
    known.update((init.name, _tensor(init)) for init in graph.initializer)
    for sparse in graph.sparse_initializer:
        known[sparse.values.name] = _hash("sparse", sparse.SerializeToString(deterministic=True))

    domains: set[str] = set()
    live = _live_nodes(graph)
    nodes: list[bytes] = []
    for node in in_topological_order(live):
        constant = constant_value(node) if node.op_type == "Constant" else None
        if constant is not None:
            known[node.output[0]] = _tensor(constant)
            continue
        domain = node.domain or "ai.onnx"
        domains.add(domain)
        attributes: list[bytes] = []
        for attribute in sorted(node.attribute, key=lambda item: item.name):
            digest, inner = _attribute(attribute, known)
            attributes.append(digest)
            domains |= inner
        digest = _hash(
            "node",
            domain.encode(),
            node.op_type.encode(),
            _hash("attributes", *attributes),
            *(known[name] if name else _ABSENT for name in node.input),
        )
        nodes.append(digest)
        for i, name in enumerate(node.output):
            if name:
                known[name] = _hash("output", str(i).encode(), digest)
    outputs = (
        _hash("result", b"" if formal else value.name.encode(), known[value.name])
        for value in graph.output
    )
    # With the list of nodes, work done twice differs from work done once and shared.
    return _hash("graph", *outputs, _hash("nodes", *sorted(nodes))), domains


def _live_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    maker = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    pending = [value.name for value in graph.output]
    live: set[int] = set()
    while pending:
        i = maker.get(pending.pop())
        if i is not None and i not in live:
            live.add(i)
            pending.extend(used_names(graph.node[i]))
    return [node for i, node in enumerate(graph.node) if i in live]


def _attribute(attribute: AttributeProto, known: Mapping[str, bytes]) -> tuple[bytes, set[str]]:
    domains: set[str] = set()
    parts: list[bytes] = []
    kind = attribute.type
    if kind == AttributeProto.TENSOR:
        parts.append(_tensor(attribute.t))
    elif kind == AttributeProto.TENSORS:
        parts.extend(_tensor(tensor) for tensor in attribute.tensors)
    elif kind in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
        graphs = [attribute.g] if kind == AttributeProto.GRAPH else attribute.graphs
        for graph in graphs:
            digest, inner = _graph(graph, known, formal=True)
            parts.append(digest)
            domains |= inner
    else:
        bare = AttributeProto()
        bare.CopyFrom(attribute)
        bare.ClearField("doc_string")
        parts.append(bare.SerializeToString(deterministic=True))
    return _hash("attribute", attribute.name.encode(), *parts), domains


def _tensor(tensor: onnx.TensorProto) -> bytes:
    shape = ",".join(map(str, tensor.dims))
    if tensor.data_type == onnx.TensorProto.STRING:
        content = _hash("strings", *tensor.string_data)
    else:
        content = numpy_helper.to_array(tensor).tobytes()
    return _hash("tensor", str(tensor.data_type).encode(), shape.encode(), content)


def _hash(kind: str, *parts: bytes) -> bytes:
    return _digest((kind.encode(), *parts))


def _digest(parts: Iterable[bytes]) -> bytes:
    hashed = hashlib.sha256()
    for part in parts:
        # The length in front keeps ("ab", "c") and ("a", "bc") apart.
        hashed.update(len(part).to_bytes(8, "little"))
        hashed.update(part)
    return hashed.digest()
