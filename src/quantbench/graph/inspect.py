"""Looking at a whole ONNX file: what it says of itself, and its nodes by module."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from quantbench.core.inspection import (
    BlockFacts,
    ControlFlow,
    Inspection,
    TensorFacts,
    WeightFacts,
)
from quantbench.graph.dataflow import subgraphs
from quantbench.graph.integer_forms import in_floating_point, quantized_nodes
from quantbench.graph.layers import Block, block_tree, common_block, find_blocks
from quantbench.graph.patterns import find_exclusions, with_node_names
from quantbench.graph.sums import WEIGHTED

_BITS = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}


@dataclass(frozen=True)
class _Known:
    """What is known of nodes, by their names."""

    op_types: Mapping[str, str]
    patterns: Mapping[str, tuple[str, ...]]
    quantized: Mapping[str, str]
    counted: frozenset[str]
    weight_bytes: Mapping[str, int]


def inspect_model(
    model: onnx.ModelProto,
    path: str,
    num_bytes: int,
    external_files: tuple[str, ...],
    num_largest: int = 5,
) -> Inspection:
    """Look at a model; values of weights are not read, but for single numbers.

    Args:
        model: values of large weights may still be in other files.
        path: of the file, to be told.
        num_bytes: of the file and its weights in other files.
        external_files: names of those files.
        num_largest: how many of the largest weights to list.

    Raises:
        ValueError: the graph has a cycle, or a stored number is damaged.
    """
    names = Counter(node.name for node in model.graph.node)
    named = with_node_names(model)
    blocks = find_blocks(named)
    weights = _weights(named, blocks)
    bytes_by_block: Counter[str] = Counter()
    bytes_by_dtype: Counter[str] = Counter()
    for weight in weights:
        bytes_by_block[weight.block] += weight.num_bytes
        bytes_by_dtype[weight.dtype] += weight.num_bytes
    patterns: dict[str, list[str]] = defaultdict(list)
    for pattern, found in find_exclusions(in_floating_point(named)).items():
        for name in found:
            patterns[name].append(pattern)
    quantized = quantized_nodes(named)
    domains = {"ai.onnx", *(node.domain or "ai.onnx" for node in model.graph.node)}
    known = _Known(
        op_types={node.name: node.op_type for node in named.graph.node},
        patterns={name: tuple(found) for name, found in patterns.items()},
        quantized=quantized,
        counted=WEIGHTED | set(quantized.values()),
        weight_bytes=bytes_by_block,
    )
    return Inspection(
        path=path,
        num_bytes=num_bytes,
        ir_version=model.ir_version,
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        opsets={
            item.domain or "ai.onnx": item.version
            for item in model.opset_import
            if (item.domain or "ai.onnx") in domains
        },
        inputs=_tensors(model.graph.input, {item.name for item in model.graph.initializer}),
        outputs=_tensors(model.graph.output, set()),
        external_files=external_files,
        weight_bytes=dict(bytes_by_dtype.most_common()),
        largest_weights=tuple(sorted(weights, key=lambda item: -item.num_bytes)[:num_largest]),
        num_unnamed=names[""] + sum(count - 1 for name, count in names.items() if name),
        num_functions=len(model.functions),
        control_flow=tuple(_control_flow(named)),
        root=_facts(block_tree(blocks), known),
    )


def _facts(block: Block, known: _Known) -> BlockFacts:
    """A block with its children, and the sums over all in it."""
    children = tuple(_facts(child, known) for child in block.children)
    operators: Counter[str] = Counter()
    patterns: Counter[str] = Counter()
    quantized: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for name in block.nodes:
        op_type = known.op_types[name]
        operators[op_type] += 1
        patterns.update(known.patterns.get(name, ()))
        if name in known.quantized:
            quantized[known.quantized[name]] += 1
        elif op_type in known.counted:
            left[op_type] += 1
    for child in children:
        operators.update(child.operators)
        patterns.update(child.patterns)
        quantized.update(child.quantized)
        left.update(child.left)
    own = known.weight_bytes.get(block.name, 0)
    return BlockFacts(
        name=block.name,
        num_nodes=operators.total(),
        operators=dict(operators.most_common()),
        patterns=dict(sorted(patterns.items())),
        quantized=dict(sorted(quantized.items())),
        left=dict(sorted(left.items())),
        weight_bytes=own + sum(child.weight_bytes for child in children),
        children=children,
    )


def _weights(model: onnx.ModelProto, blocks: Mapping[str, str]) -> list[WeightFacts]:
    """Initializers and the tensors of `Constant` nodes, each once, where all of their users are."""
    users: dict[str, list[str]] = defaultdict(list)
    for node in model.graph.node:
        for name in dict.fromkeys(node.input):
            users[name].append(node.name)
    stored = [(item.name, item) for item in model.graph.initializer]
    stored += [(item.values.name, item.values) for item in model.graph.sparse_initializer]
    stored += [
        (node.output[0], attribute.t)
        for node in model.graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.HasField("t")
    ]
    existing = set(blocks.values())
    return [
        WeightFacts(
            name=name,
            dtype=_dtype(item.data_type),
            shape=tuple(item.dims),
            num_bytes=_num_bytes(item),
            block=_existing(common_block(blocks[user] for user in users[name]), existing),
            num_users=len(users[name]),
        )
        for name, item in stored
    ]


def _existing(block: str, existing: set[str]) -> str:
    """A block that is in the tree: all parents of the blocks of nodes are."""
    inside = any(name == block or name.startswith(f"{block}.") for name in existing)
    return block if inside else ""


def _num_bytes(tensor: onnx.TensorProto) -> int:
    """The size of the values, by their type: in a file or in memory."""
    if tensor.data_type == TensorProto.STRING:
        return sum(len(item) for item in tensor.string_data)
    name = _dtype(tensor.data_type).upper()
    count: int = math.prod(tensor.dims)
    if name in _BITS:
        return math.ceil(count * _BITS[name] / 8)
    try:
        return count * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except KeyError:
        raise ValueError(f"weight {tensor.name} has no type that is known") from None


def _dtype(data_type: int) -> str:
    known: Iterable[int] = TensorProto.DataType.values()
    if data_type not in known:
        return f"type {data_type}"
    return str(TensorProto.DataType.Name(data_type)).lower()


def _tensors(
    values: Iterable[onnx.ValueInfoProto], initializers: set[str]
) -> tuple[TensorFacts, ...]:
    return tuple(
        TensorFacts(name=value.name, dtype=_value_type(value), shape=_shape(value))
        for value in values
        if value.name not in initializers
    )


def _value_type(value: onnx.ValueInfoProto) -> str:
    if value.type.HasField("tensor_type"):
        return _dtype(value.type.tensor_type.elem_type)
    kind = value.type.WhichOneof("value")
    return str(kind).removesuffix("_type") if kind else "undefined"


def _shape(value: onnx.ValueInfoProto) -> tuple[int | str | None, ...] | None:
    if not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(
        int(item.dim_value) if item.HasField("dim_value") else item.dim_param or None
        for item in value.type.tensor_type.shape.dim
    )


def _control_flow(model: onnx.ModelProto) -> Iterable[ControlFlow]:
    for node in model.graph.node:
        inner = sum(_num_inner(graph) for graph in subgraphs(node))
        if any(True for _ in subgraphs(node)):
            yield ControlFlow(name=node.name, op_type=node.op_type, num_nodes=inner)


def _num_inner(graph: onnx.GraphProto) -> int:
    return len(graph.node) + sum(
        _num_inner(inner) for node in graph.node for inner in subgraphs(node)
    )
