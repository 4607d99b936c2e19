"""An ONNX file as a tree of modules, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from quantbench.core.inspection import BlockFacts, Inspection, TensorFacts, WeightFacts
from quantbench.core.printable import printable, shortened
from quantbench.reports.cache import size

# Where nobody looks at a screen, lines are as long as they are.
_WIDE = 10_000
_MOST_ITEMS = 8
_SAME_SIZE = 0.02
# They move or shape data. Two layers may differ in them alone: what both need is made in the first.
_MOVING = frozenset(
    {"Cast", "Concat", "Constant", "ConstantOfShape", "Expand", "Flatten", "Gather", "Identity"}
    | {"Range", "Reshape", "Shape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
)


def print_inspection(found: Inspection, depth: int, stream: TextIO) -> None:
    """Print what is known of a file.

    Args:
        found: of `graph.inspect`.
        depth: how many levels of modules to show.
        stream: where to.
    """
    console = Console(file=stream, highlight=False, width=None if stream.isatty() else _WIDE)
    lines = [*_facts(found), *_lines(found.root)]
    tree = Tree("\n".join([_bold(found.path), *map(_plain, lines)]))
    _add_children(tree, found.root, depth)
    console.print(tree)


def _add_children(tree: Tree, block: BlockFacts, depth: int) -> None:
    if depth == 0:
        return
    for alike in _groups(block.children):
        first = alike[0]
        title = _title(alike, block.name)
        _add_children(tree.add(_label(title, first, len(alike))), first, depth - 1)


def _groups(blocks: Iterable[BlockFacts]) -> Iterator[list[BlockFacts]]:
    """Layers of one list that follow each other and hold the same, together; others alone."""
    group: list[BlockFacts] = []
    for block in blocks:
        if group and not _is_next(group[-1], block):
            yield group
            group = []
        group.append(block)
    if group:
        yield group


def _is_next(first: BlockFacts, second: BlockFacts) -> bool:
    (stack, _, number), (other, _, following) = (
        block.name.rpartition(".") for block in (first, second)
    )
    if stack != other or not (number.isdecimal() and following.isdecimal()):
        return False
    # Shapes that are stored with the weights are not the same in all layers.
    difference = abs(first.weight_bytes - second.weight_bytes)
    most = max(first.weight_bytes, second.weight_bytes)
    return difference <= _SAME_SIZE * most and _content(first) == _content(second)


def _content(block: BlockFacts) -> tuple[object, ...]:
    """What two layers must have alike to be shown as one."""
    return (
        _computing(block.operators),
        block.patterns,
        block.quantized,
        block.left,
        tuple((_last(child.name), _content(child)) for child in block.children if _shown(child)),
    )


def _shown(block: BlockFacts) -> bool:
    return bool(_computing(block.operators))


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _computing(operators: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in operators.items() if name not in _MOVING}


def _title(alike: list[BlockFacts], outer: str) -> str:
    names = [block.name.removeprefix(outer).lstrip(".") for block in alike]
    if len(names) == 1:
        return names[0]
    return f"{names[0]} … {names[-1]}: {len(names)} alike, each"


def _label(title: str, block: BlockFacts, count: int = 1) -> str:
    return "\n".join([_bold(title), *map(_plain, _lines(block, count))])


def _lines(block: BlockFacts, count: int = 1) -> Iterator[str]:
    """What a block holds, or each of `count` blocks."""
    computing = _computing(block.operators)
    parts = [_counts(computing)] if computing else []
    moving = block.num_nodes - sum(computing.values())
    if moving and count == 1:
        parts.append(f"{moving:,} that move or shape data")
    if block.weight_bytes:
        parts.append(f"weights {size(block.weight_bytes)}")
    if parts:
        yield " · ".join(parts)
    if block.patterns:
        yield f"patterns: {_counts(block.patterns)}"
    if block.quantized:
        left = f" · left in floating point: {_counts(block.left)}" if block.left else ""
        yield f"quantized: {_counts(block.quantized)}{left}"
    elif block.left:
        yield f"in floating point: {_counts(block.left)}"


def _facts(found: Inspection) -> Iterator[str]:
    opsets = ", ".join(f"{domain} {version}" for domain, version in found.opsets.items())
    made = f" · made by {found.producer}" if found.producer else ""
    yield f"opset {opsets} · IR version {found.ir_version}{made}"
    kinds = ", ".join(f"{size(n)} {name}" for name, n in found.weight_bytes.items())
    yield f"{size(found.num_bytes)} · weights: {kinds or 'none'}"
    if found.external_files:
        yield f"weights in other files: {_listed(found.external_files)}"
    yield f"inputs: {_listed(map(_tensor, found.inputs))}"
    yield f"outputs: {_listed(map(_tensor, found.outputs))}"
    if found.largest_weights:
        yield f"largest weights: {_listed(map(_weight, found.largest_weights))}"
    if not found.root.quantized:
        yield "nothing is quantized"
    if not found.root.children:
        yield "the nodes do not say which module they come from"
    if found.num_unnamed:
        yield f"{found.num_unnamed:,} nodes have no name of their own"
    if found.control_flow:
        nodes = [f"{item.op_type} {item.name}" for item in found.control_flow]
        inside = sum(item.num_nodes for item in found.control_flow)
        yield f"control flow, not looked into ({inside:,} nodes inside): {_listed(nodes)}"
    if found.num_functions:
        yield f"{found.num_functions:,} functions of its own, not looked into"


def _weight(weight: WeightFacts) -> str:
    shape = " × ".join(map(str, weight.shape)) or "one number"
    place = f" in {weight.block}" if weight.block else ""
    shared = f", used {weight.num_users} times" if weight.num_users > 1 else ""
    return f"{weight.name} ({weight.dtype}, {shape}, {size(weight.num_bytes)}{place}{shared})"


def _tensor(tensor: TensorFacts) -> str:
    if tensor.shape is None:
        return f"{tensor.name} {tensor.dtype}, shape unknown"
    sizes = ", ".join("?" if size is None else str(size) for size in tensor.shape)
    return f"{tensor.name} {tensor.dtype} [{sizes}]"


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return _listed(f"{name} {count:,}" for name, count in ordered)


def _listed(items: Iterable[str]) -> str:
    items = list(items)
    more = [f"{len(items) - _MOST_ITEMS:,} more"] if len(items) > _MOST_ITEMS else []
    return ", ".join([*(shortened(item) for item in items[:_MOST_ITEMS]), *more]) or "none"


def _plain(text: str) -> str:
    return escape(printable(text))


def _bold(text: str) -> str:
    return f"[bold]{_plain(text)}[/bold]"
