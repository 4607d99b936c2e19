"""Attention masks that are added to scores as huge numbers: finding and clamping them.

A mask adds -3.4e38 or minus infinity to the scores of padding. A tensor that holds such values
cannot be quantized to 8 bits: with one scale for all of them every score becomes the same integer,
and with the range of samples without padding the mask is cut off at the smallest score.

The rules. A constant is a mask if its values of `MASK_FLOOR` and more in size reach a softmax, or
the mask of an operator that does all of attention, through sums, choices and moves of data alone:

1. a value below -`MASK_LIMIT`, stored, in a `Constant` or the filling of a `ConstantOfShape`,
   becomes -`MASK_LIMIT`; behind a `Neg`, or as what a `Sub` subtracts, so does a large one;
2. both hold of a factor, if what it multiplies is no score: (1 - mask) · min. A factor or divisor
   of scores is their scale, and stays;
3. what a mask is compared with (`Equal`) is clamped like the mask.

A row of which every key is masked gets a softmax over its scores, not the NaN of minus infinity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper

from quantbench.graph.attention import FUSED_ATTENTION, PRODUCTS
from quantbench.graph.dataflow import Dataflow, dataflow
from quantbench.graph.free_names import FreeNames

# What BERT was published with (google-research/bert, modeling.py): low enough for any scores, also
# if they are divided by their scale after it, and a number in float16.
MASK_LIMIT = 10_000.0
# No score bias is as large; Swin's masks of shifted windows are -100.
MASK_FLOOR = 100.0

_ANY_INPUT = frozenset({"Add", "Concat", "Max", "Min"})
_FIRST_INPUT = frozenset(
    {"Expand", "Reshape", "Unsqueeze", "Squeeze", "Slice", "Transpose", "Gather", "Tile"}
    | {"Trilu", "Split", "Flatten", "Clip", "Div", "Dropout"}
)
_DATA_INPUTS = {"Where": (1, 2), "ScatterND": (0, 2)}
# Where a mask enters an operator that does all of attention, by domain.
_MASK_INPUT = {("", "Attention"): 3} | {
    ("com.microsoft", name): 5 for name in ("Attention", "MultiHeadAttention")
}
_NEGATIVE, _BOTH = frozenset({-1}), frozenset({-1, 1})


@dataclass(frozen=True)
class _Origin:
    """An input of a node that is a mask constant; `place` is None for the node's own filling.

    `signs` are those of the values that mask.
    """

    node: onnx.NodeProto
    place: int | None
    signs: frozenset[int]


def masked_nodes(model: onnx.ModelProto) -> frozenset[str]:
    """The nodes that make or read a tensor with the values of a mask, up to the softmax.

    Args:
        model: its nodes have unique names.
    """
    return frozenset(_Masks(dataflow(model)).nodes)


def clamp_masks(model: onnx.ModelProto, limit: float = MASK_LIMIT) -> tuple[onnx.ModelProto, int]:
    """Clamp the constants of attention masks to `limit`; see the rules above.

    Args:
        model: float32 or float16; it is not changed. Other uses of the same constants stay as
            they are.
        limit: the largest magnitude that a mask may have.

    Returns:
        The model with clamped masks, and how many constants were clamped; the model as it was
        if none was.
    """
    clamped = onnx.ModelProto()
    clamped.CopyFrom(model)
    flow = dataflow(clamped)
    masks = _Masks(flow)
    new = _Constants(clamped, flow, limit)
    for origin in masks.origins:
        new.clamp(origin)
    for node in flow.nodes:
        if node.op_type == "Equal" and masks.tensors & set(flow.inputs(node)):
            for place in (0, 1):
                new.clamp(_Origin(node, place, _BOTH))
    clamped.graph.initializer.extend(new.made.values())
    count = len(new.made) + new.num_fillings
    return (clamped, count) if count else (model, 0)


class _Masks:
    """The mask constants of a graph, and the tensors and nodes on their way to a softmax."""

    def __init__(self, flow: Dataflow) -> None:
        self.origins: list[_Origin] = []
        self.nodes: set[str] = set()
        self.tensors: set[str] = set()
        self._flow = flow
        self._looked_at: dict[tuple[str, frozenset[int]], bool] = {}
        for node in flow.nodes:
            is_softmax = node.op_type == "Softmax"
            domain = "" if node.domain == "ai.onnx" else node.domain
            place = 0 if is_softmax else _MASK_INPUT.get((domain, node.op_type))
            if place is None or place >= len(node.input):
                continue
            if self._enters(node, place, _NEGATIVE) and is_softmax:
                self.nodes.add(node.name)

    def _enters(self, node: onnx.NodeProto, place: int, signs: frozenset[int]) -> bool:
        """Whether an input of a node holds a mask."""
        name = self._flow.inputs(node)[place]
        stored = self._flow.stored(name)
        if stored is not None:
            found = _masks(numpy_helper.to_array(stored), signs)
            if found:
                self.origins.append(_Origin(node, place, signs))
        else:
            found = self._holds(name, signs)
        if found:
            self.tensors.add(name)
        return found

    def _holds(self, name: str, signs: frozenset[int]) -> bool:
        """Whether a tensor that is computed holds a mask of one of these signs."""
        if (name, signs) in self._looked_at:
            return self._looked_at[name, signs]
        self._looked_at[name, signs] = False
        node = self._flow.producer(name)
        if node is None:
            return False
        found = False
        if node.op_type == "ConstantOfShape":
            found = any(_masks(numpy_helper.to_array(item.t), signs) for item in node.attribute)
            if found:
                self.origins.append(_Origin(node, None, signs))
        for place, carried in _carried(self._flow, node, signs):
            found |= self._enters(node, place, carried)
        if found:
            self.nodes.add(node.name)
        self._looked_at[name, signs] = found
        return found


def _carried(
    flow: Dataflow, node: onnx.NodeProto, signs: frozenset[int]
) -> Iterator[tuple[int, frozenset[int]]]:
    """The inputs whose values reach the output, each with the signs that a mask has there."""
    places = range(len(node.input))
    flipped = frozenset(-sign for sign in signs)
    if node.op_type in _ANY_INPUT:
        yield from ((place, signs) for place in places)
    elif node.op_type in _FIRST_INPUT:
        yield 0, signs
    elif node.op_type in _DATA_INPUTS:
        yield from ((place, signs) for place in _DATA_INPUTS[node.op_type])
    elif node.op_type == "Neg":
        yield 0, flipped
    elif node.op_type == "Sub":
        yield from ((0, signs), (1, flipped))
    elif node.op_type == "Mul":
        scores = [place for place in places if _are_scores(flow, flow.inputs(node)[place])]
        if scores:
            yield from ((place, signs) for place in scores)
        else:
            yield from ((place, _BOTH) for place in places)


def _are_scores(flow: Dataflow, name: str) -> bool:
    """Whether a product of matrices, and nothing but sums and moves after it, makes a tensor."""
    pending, seen = [name], set[str]()
    while pending:
        name = pending.pop()
        node = flow.producer(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type in PRODUCTS or node.op_type == "Gemm" or node.op_type in FUSED_ATTENTION:
            return True
        inputs = flow.inputs(node)
        if node.op_type == "Mul":
            pending += inputs
        else:
            pending += [inputs[place] for place, _ in _carried(flow, node, _NEGATIVE)]
    return False


def _masks(values: np.ndarray, signs: frozenset[int]) -> bool:
    if not np.issubdtype(values.dtype, np.floating):
        return False
    return any(bool((sign * values >= MASK_FLOOR).any()) for sign in signs)


@dataclass
class _Constants:
    """The clamped copies of constants, by what each replaces, and how many fillings changed."""

    model: onnx.ModelProto
    flow: Dataflow
    limit: float
    made: dict[tuple[str, frozenset[int]], onnx.TensorProto] = field(
        default_factory=dict[tuple[str, frozenset[int]], onnx.TensorProto]
    )
    num_fillings: int = 0

    def __post_init__(self) -> None:
        nodes = self.model.graph.node
        self._casts = {node.output[0]: node for node in nodes if node.op_type == "Cast"}
        self._names = FreeNames(self.model)

    def clamp(self, origin: _Origin) -> None:
        """Let a node read, or fill with, a clamped constant, where there is something to clamp."""
        if origin.place is None:
            self._clamp_filling(origin)
            return
        name = origin.node.input[origin.place]
        stored = self.flow.stored(name)
        array = None if stored is None else self._clamped(numpy_helper.to_array(stored), origin)
        if array is None:
            return
        key = (name, origin.signs)
        if key not in self.made:
            if name in self._casts:
                array = array.astype(_target(self._casts[name]))
            made = self._names.free(f"{name}_clamped")
            self.made[key] = numpy_helper.from_array(array, made)
        origin.node.input[origin.place] = self.made[key].name

    def _clamp_filling(self, origin: _Origin) -> None:
        for attribute in origin.node.attribute:
            array = self._clamped(numpy_helper.to_array(attribute.t), origin)
            if array is not None:
                attribute.t.CopyFrom(numpy_helper.from_array(array))
                self.num_fillings += 1

    def _clamped(self, values: np.ndarray, origin: _Origin) -> np.ndarray | None:
        """The values within the limit; None if they are, or are no numbers with a point."""
        if not np.issubdtype(values.dtype, np.floating):
            return None
        lowest = -self.limit if -1 in origin.signs else -np.inf
        highest = self.limit if 1 in origin.signs else np.inf
        if not ((values < lowest) | (values > highest)).any():
            return None
        clipped: np.ndarray = np.clip(values, lowest, highest).astype(values.dtype)
        return clipped


def _target(cast: onnx.NodeProto) -> np.dtype:
    to = next(attribute.i for attribute in cast.attribute if attribute.name == "to")
    found: np.dtype = helper.tensor_dtype_to_np_dtype(to)
    return found
