"""An index of one ONNX graph: who makes a tensor, who uses it, what is constant.

Only the main graph is indexed (the quantizers touch nothing else); bodies of If and Loop are not
looked into. `Identity` and `Cast` are transparent: a tensor behind them counts as the same tensor,
since exporters put them in freely (shared weights, mixed precision).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

TRANSPARENT = frozenset({"Identity", "Cast"})
# Their output depends on the shape of the input, not on its values.
SHAPE_ONLY = frozenset({"Shape", "Size"})


@dataclass(frozen=True)
class Dataflow:
    """The main graph as dictionaries; tensors are named by what they are behind `Identity`/`Cast`.

    `nodes` are in topological order without the transparent ones. `constants` has every tensor
    that depends on no input of the graph; the value is None where it is computed by nodes.
    """

    nodes: tuple[onnx.NodeProto, ...]
    producers: Mapping[str, onnx.NodeProto]
    users: Mapping[str, tuple[onnx.NodeProto, ...]]
    constants: Mapping[str, onnx.TensorProto | None]
    aliases: Mapping[str, str]

    def inputs(self, node: onnx.NodeProto) -> list[str]:
        """The tensors a node reads; an empty name stands for an optional input left out."""
        return [self.aliases.get(name, name) for name in node.input]

    def producer(self, name: str) -> onnx.NodeProto | None:
        """The node that makes a tensor; None for graph inputs and initializers."""
        return self.producers.get(self.aliases.get(name, name))

    def consumers(self, name: str, op_type: str | None = None) -> tuple[onnx.NodeProto, ...]:
        """The nodes that read a tensor, all of them, or those of one type."""
        found = self.users.get(self.aliases.get(name, name), ())
        return tuple(node for node in found if op_type in (None, node.op_type))

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is the same whatever the model's inputs are."""
        return self.aliases.get(name, name) in self.constants

    def stored(self, name: str) -> onnx.TensorProto | None:
        """A stored constant, whose values may be in another file; None if it is not one."""
        return self.constants.get(self.aliases.get(name, name))

    def scalar(self, name: str) -> float | None:
        """The value of a stored constant with one element; None if the tensor is not one."""
        stored = self.constants.get(self.aliases.get(name, name))
        if stored is None or any(size != 1 for size in stored.dims):
            return None
        return float(numpy_helper.to_array(stored).astype(np.float64).reshape(()))

    def value_inputs(self, node: onnx.NodeProto) -> list[str]:
        """The inputs whose values reach the node's output, not only their shapes."""
        return [] if node.op_type in SHAPE_ONLY else [name for name in self.inputs(node) if name]


def dataflow(model: onnx.ModelProto) -> Dataflow:
    """Index the main graph of a model. The order of its nodes does not matter."""
    graph = model.graph
    constants: dict[str, onnx.TensorProto | None] = {init.name: init for init in graph.initializer}
    aliases: dict[str, str] = {}
    producers: dict[str, onnx.NodeProto] = {}
    users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    kept: list[onnx.NodeProto] = []
    for node in in_topological_order(graph.node):
        if node.op_type in TRANSPARENT:
            aliases[node.output[0]] = aliases.get(node.input[0], node.input[0])
            continue
        kept.append(node)
        inputs = [aliases.get(name, name) for name in node.input]
        for name in dict.fromkeys(inputs):
            users[name].append(node)
        producers.update((name, node) for name in node.output if name)
        if node.op_type == "Constant":
            constants[node.output[0]] = constant_value(node)
        elif inputs and all(not name or name in constants for name in inputs):
            constants.update((name, None) for name in node.output)
    return Dataflow(
        nodes=tuple(kept),
        producers=producers,
        users={name: tuple(nodes) for name, nodes in users.items()},
        constants=constants,
        aliases=aliases,
    )


def constant_value(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """The tensor that a `Constant` node holds; None for strings and sparse tensors."""
    for attribute in node.attribute:
        if attribute.name == "value":
            return attribute.t
        if attribute.name in ("value_float", "value_floats"):
            value = onnx.helper.get_attribute_value(attribute)
            return numpy_helper.from_array(np.asarray(value, dtype=np.float32))
        if attribute.name in ("value_int", "value_ints"):
            value = onnx.helper.get_attribute_value(attribute)
            return numpy_helper.from_array(np.asarray(value, dtype=np.int64))
    return None


def in_topological_order(nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes, each after those whose outputs it reads (also from inside its subgraphs).

    Raises:
        ValueError: the graph has a cycle.
    """
    listed = list(nodes)
    maker = {name: i for i, node in enumerate(listed) for name in node.output if name}
    waiting: list[int] = []
    dependents: dict[int, list[int]] = defaultdict(list)
    for i, node in enumerate(listed):
        sources = {maker[name] for name in used_names(node) if name in maker} - {i}
        waiting.append(len(sources))
        for source in sources:
            dependents[source].append(i)
    ready = [i for i in range(len(listed) - 1, -1, -1) if waiting[i] == 0]
    order: list[onnx.NodeProto] = []
    while ready:
        i = ready.pop()
        order.append(listed[i])
        for dependent in dependents[i]:
            waiting[dependent] -= 1
            if waiting[dependent] == 0:
                ready.append(dependent)
    if len(order) < len(listed):
        raise ValueError("the graph has a cycle")
    return order


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs held in a node's attributes (the branches of If, the body of Loop)."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def used_names(node: onnx.NodeProto) -> set[str]:
    """The tensors that a node reads from the graph it is in, by input or inside a subgraph."""
    names = {name for name in node.input if name}
    for graph in subgraphs(node):
        own = {value.name for value in graph.input} | {init.name for init in graph.initializer}
        own |= {name for inner in graph.node for name in inner.output}
        inside = {name for inner in graph.node for name in used_names(inner)}
        names |= (inside | {value.name for value in graph.output}) - own
    return names
