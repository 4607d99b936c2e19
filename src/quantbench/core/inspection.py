"""What `quantbench inspect` tells of an ONNX file: plain data."""

from __future__ import annotations

from quantbench.core.frozen import Frozen


class TensorFacts(Frozen):
    """An input or output. `shape` has numbers, names of dimensions, or None for unknown ones.

    `shape` itself is None where the file gives none.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None


class WeightFacts(Frozen):
    """One stored tensor. `block` holds all nodes that use it, `num_users` of them."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    num_bytes: int
    block: str
    num_users: int


class BlockFacts(Frozen):
    """A module with all that is in it, at any depth; the whole model has the empty name.

    `operators` counts nodes by type as in the file, `patterns` the nodes of each known pattern.
    `quantized` and `left` count by the floating-point operator that a node is or stands for:
    computed in integers or from packed weights, or in floating point. Only operators with
    weights, and those that are quantized anywhere in the file, are counted there.
    """

    name: str
    num_nodes: int
    operators: dict[str, int]
    patterns: dict[str, int]
    quantized: dict[str, int]
    left: dict[str, int]
    weight_bytes: int
    children: tuple[BlockFacts, ...] = ()


class ControlFlow(Frozen):
    """A node with graphs inside, which are not looked into: `num_nodes` are in them."""

    name: str
    op_type: str
    num_nodes: int


class Inspection(Frozen):
    """An ONNX file: what it says of itself, and its graph as a tree of modules.

    `opsets` by domain, of those that nodes are of. `weight_bytes` by element type.
    `external_files` are names beside the file. `num_unnamed` nodes had no name of their own.
    `num_functions` are not looked into.
    """

    path: str
    num_bytes: int
    ir_version: int
    producer: str
    opsets: dict[str, int]
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    external_files: tuple[str, ...]
    weight_bytes: dict[str, int]
    largest_weights: tuple[WeightFacts, ...]
    num_unnamed: int
    num_functions: int
    control_flow: tuple[ControlFlow, ...]
    root: BlockFacts
