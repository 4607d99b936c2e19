"""Which module of the original model a node of the graph belongs to.

A *block* is the dotted name of a module as PyTorch has it, `distilbert.transformer.layer.0.ffn`;
the empty name is the whole model. The rules, the first that says anything wins:

1. Metadata of the dynamo exporter: the last module in `pkg.torch.onnx.name_scopes`, or in
   `namespace`.
2. The node's name, if it is a path, as the TorchScript exporter writes it:
   `/bert/encoder/layer.0/output/dense/MatMul` is in `bert.encoder.layer.0.output.dense`.
   Tools that rewrite graphs keep or extend these names.
3. The name of an output, if it is a path: a fused operator keeps the outputs of what it replaces.
4. A name as ONNX Runtime's optimizer writes it, `/…/layer.0/ffn/activation/Div/GeluFusion/`.
5. The weights it reads: the module that all of them are in (`bert.encoder.layer.0.output.bias`).
6. Its neighbours: the module that holds all nodes that use its outputs, or else all those that
   made its inputs. So a weight's `DequantizeLinear` is where the weight is used.

A *layer* is the outermost module in a list that repeats: `layer.N`, `layers.N`, `h.N`, `block.N`,
`blocks.N`, `stages.N` (in Swin, a stage). Modules within are named as blocks.

References: `torch.onnx.utils` (scoped names, since PyTorch 1.13), and
`torch.onnx._internal.exporter._core` (metadata of the dynamo exporter).
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx

from quantbench.graph.dataflow import in_topological_order

_SCOPES = "pkg.torch.onnx.name_scopes"
_NAMESPACE = "namespace"
_LAYER = re.compile(r"(layer|layers|h|block|blocks|stages)\.(\d+)(\.\d+)*")
_FUSION = re.compile(r"/[^/]+/[^/]*Fusion[^/]*/?$")
_PARAMETER = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*)\.[A-Za-z_]\w*")


@dataclass(frozen=True)
class Layer:
    """One of a list of layers: the block of the list's module, and the place in it, from 0."""

    stack: str
    index: int


@dataclass(frozen=True)
class Block:
    """A module: its dotted name, the modules in it, and the nodes that are in none of those.

    Nodes are given by name. Both are in the order of the nodes in the graph.
    """

    name: str
    children: tuple[Block, ...]
    nodes: tuple[str, ...]


def components(block: str) -> tuple[str, ...]:
    """The parts of a block's name, a number with the list it is of: `a`, `layer.0`, `ffn`."""
    parts: list[str] = []
    for part in block.split(".") if block else ():
        if part.isdecimal() and parts:
            parts[-1] += f".{part}"
        else:
            parts.append(part)
    return tuple(parts)


def layer_of(block: str) -> Layer | None:
    """The layer that a block is in, or is; None for embeddings, heads and other parts."""
    before: list[str] = []
    for part in components(block):
        found = _LAYER.fullmatch(part)
        if found is not None:
            return Layer(stack=".".join([*before, found[1]]), index=int(found[2]))
        before.append(part)
    return None


def layer_index(block: str) -> int | None:
    """The number of the layer that a block is in, from 0; None if it is in no layer."""
    found = layer_of(block)
    return None if found is None else found.index


def is_within(block: str, outer: str) -> bool:
    """Whether a block is `outer`, or a module in it; everything is in the empty block."""
    return not outer or block == outer or block.startswith(f"{outer}.")


def block_of(node: onnx.NodeProto) -> str | None:
    """The block that a node itself names, by rules 1 to 4; None if it names none."""
    said = {item.key: item.value for item in node.metadata_props}
    if _SCOPES in said:
        scopes = _listed(said[_SCOPES])
        if scopes is not None:
            return scopes[-2] if len(scopes) > 1 else ""
    if _NAMESPACE in said:
        modules = [part.split(":")[0].strip() for part in said[_NAMESPACE].split("/")]
        return modules[-2] if len(modules) > 1 else ""
    for name in (node.name, *node.output):
        if "/" in name and not name.endswith("/"):
            return _dotted(name.rsplit("/", 1)[0])
    if _FUSION.search(node.name):
        return _dotted(_FUSION.sub("", node.name))
    return None


def find_blocks(model: onnx.ModelProto) -> dict[str, str]:
    """The block of every node of the main graph, by all rules.

    Args:
        model: with unique node names, as `with_node_names` makes them.

    Returns:
        By node name, in the order of the graph; the empty block where nothing says more.
    """
    nodes = list(model.graph.node)
    weights = {item.name for item in model.graph.initializer}
    found: dict[str, str] = {}
    for node in nodes:
        block = block_of(node)
        if block is None:
            owners = [_owner(name) for name in node.input if name in weights]
            known = [owner for owner in owners if owner is not None]
            block = common_block(known) if known else None
        if block is not None:
            found[node.name] = block
    ordered = in_topological_order(nodes)
    _from_users(ordered, found)
    _from_makers(ordered, found)
    return {node.name: found.get(node.name, "") for node in nodes}


def block_tree(blocks: Mapping[str, str]) -> Block:
    """Arrange nodes as a tree of modules.

    Args:
        blocks: of `find_blocks`.

    Returns:
        The whole model, with the empty name.
    """
    return _tree((), [(components(block), name) for name, block in blocks.items()])


def common_block(blocks: Iterable[str]) -> str:
    """The innermost block that all of these are in."""
    paths = [components(block) for block in blocks]
    shared = 0
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    return ".".join(paths[0][:shared]) if paths else ""


def _tree(path: tuple[str, ...], items: list[tuple[tuple[str, ...], str]]) -> Block:
    depth = len(path)
    below: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
    for parts, name in items:
        if len(parts) > depth:
            below[parts[depth]].append((parts, name))
    return Block(
        name=".".join(path),
        children=tuple(_tree((*path, part), inner) for part, inner in below.items()),
        nodes=tuple(name for parts, name in items if len(parts) == depth),
    )


def _from_users(ordered: list[onnx.NodeProto], found: dict[str, str]) -> None:
    users: dict[str, list[str]] = defaultdict(list)
    for node in reversed(ordered):
        if node.name not in found:
            known = [found[user] for name in node.output for user in users[name] if user in found]
            if known:
                found[node.name] = common_block(known)
        for name in node.input:
            users[name].append(node.name)


def _from_makers(ordered: list[onnx.NodeProto], found: dict[str, str]) -> None:
    makers: dict[str, str] = {}
    for node in ordered:
        if node.name not in found:
            known = [found[makers[name]] for name in node.input if makers.get(name) in found]
            if known:
                found[node.name] = common_block(known)
        makers.update((name, node.name) for name in node.output if name)


def _dotted(path: str) -> str:
    return path.strip("/").replace("/", ".")


def _owner(weight: str) -> str | None:
    """The module of a parameter, by its name; None where exporters made the name up."""
    found = _PARAMETER.fullmatch(weight)
    return None if found is None else found[1]


def _listed(text: str) -> list[str] | None:
    """The list that a metadata entry spells as Python; None if it does not."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    is_list = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return value if is_list else None
