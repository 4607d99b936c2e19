"""The nodes of a layer or module that an exclusion names; rule 9 of `patterns`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from quantbench.core.errors import QuantbenchError, nearest_name
from quantbench.core.vocabulary import NodeExclusion, block_name, layer_number
from quantbench.graph.layers import components, is_within, layer_of

_NO_MODULES = "The nodes of this graph do not say which module they come from: export it again."
# More names than that are no help.
_MOST_NAMES = 40


def named_nodes(blocks: Mapping[str, str], exclusion: NodeExclusion) -> frozenset[str]:
    """The nodes in the layer or block that an exclusion names.

    Args:
        blocks: the block of every node, of `layers.find_blocks`.
        exclusion: `layer.N` or `block:NAME`.

    Returns:
        Names of nodes, at least one.

    Raises:
        QuantbenchError: there is no such layer or block; the message lists those that are there.
        ValueError: the exclusion has another form.
    """
    number, block = layer_number(exclusion), block_name(exclusion)
    if number is not None:
        return _in_layer(blocks, number, exclusion)
    if block is None:
        raise ValueError(f"{exclusion} names neither a layer nor a block")
    found = frozenset(name for name, inner in blocks.items() if is_within(inner, block))
    if not found:
        raise _no_block(set(blocks.values()), block, exclusion)
    return found


def _in_layer(blocks: Mapping[str, str], number: int, exclusion: str) -> frozenset[str]:
    layers = {name: layer for name, inner in blocks.items() if (layer := layer_of(inner))}
    sizes: dict[str, int] = defaultdict(int)
    for layer in layers.values():
        sizes[layer.stack] = max(sizes[layer.stack], layer.index + 1)
    found = frozenset(
        name
        for name, layer in layers.items()
        if layer.index == (number if number >= 0 else sizes[layer.stack] + number)
    )
    if found:
        return found
    there = [f"layer.0 to layer.{size - 1} ({stack})" for stack, size in sizes.items()]
    raise QuantbenchError(
        f"node_exclusion {exclusion}: the model has no such layer",
        hint=f"It has {_listed(there)}." if there else _NO_MODULES,
    )


def _no_block(known: set[str], block: str, exclusion: str) -> QuantbenchError:
    parts = [components(name) for name in known]
    every = {".".join(path[:depth]) for path in parts for depth in range(1, len(path) + 1)}
    message = f"node_exclusion {exclusion}: the model has no such block"
    if not every:
        return QuantbenchError(message, hint=_NO_MODULES)
    # The names below what is right of the given one.
    wanted = components(block)
    right = max(n for n in range(len(wanted) + 1) if n == 0 or ".".join(wanted[:n]) in every)
    inside = {name for name in every if components(name)[:right] == wanted[:right]}
    next_ones = sorted(name for name in inside if len(components(name)) == right + 1)
    place = f"In {'.'.join(wanted[:right])} there are" if right else "There are"
    nearest = nearest_name(block, every)
    hint = f"{place} {_listed(next_ones)}." if next_ones else f"{block.rsplit('.', 1)[0]} is one."
    return QuantbenchError(
        message, hint=hint if nearest is None else f"Did you mean block:{nearest}? {hint}"
    )


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
