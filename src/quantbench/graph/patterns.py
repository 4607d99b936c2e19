"""Finding the nodes that a node exclusion names, by what they compute.

The rules, in any exporter's graph, whatever the order of nodes and operands and the names, seen
through `Identity` and `Cast`, with all consumers of a tensor looked at:

1. layernorm: `LayerNormalization`, `SkipLayerNormalization`, `EmbedLayerNormalization`, or all
   nodes of d = x - mean(x); d / sqrt(mean(d·d) + eps) · scale + bias, with the square as `Pow` or
   `Mul`, the quotient as `Div`, or `Reciprocal` (or 1 / root) and `Mul`; scale and bias may be
   missing. RMS normalization, which subtracts no mean, counts as well, spelled out or as
   `RMSNormalization`, `SimplifiedLayerNormalization`, `SkipSimplifiedLayerNormalization`.
2. gelu: `Gelu`, `FastGelu`, `BiasGelu`, or all nodes that compute x·(1 + erf(x/√2))/2 or its tanh
   approximation from x, in any arrangement: the arithmetic is evaluated and compared. So is
   x·sigmoid(1.702 x), also as `QuickGelu`; x·sigmoid(x) is another function (SiLU).
3. residual: an `Add` of two activations, one of which is computed from the other through weights
   (`MatMul`, `Gemm`, `Conv`, `Attention`): a skip connection. Adding a bias is not one, and what
   feeds a softmax is not: masks are computed once and also reach the scores of later layers.
   `SkipLayerNormalization` and `SkipSimplifiedLayerNormalization` hold one.
4. gather: an `Add` with an operand that is an embedding: looked up by `Gather` in a constant
   table of floats, possibly scaled, or a sum of such. A skip connection is not one, nor is
   arithmetic on shapes, nor a position table that is added without being looked up (ViT).
   `EmbedLayerNormalization` holds such sums.
5. softmax: `Softmax`, and each `Add` of a mask or of a position bias that feeds one, directly or
   through `Reshape` and other such `Add`s. A bias (a constant of rank 1) is not a mask.
6. attention_scores: the product of two activations (`MatMul`, `FusedMatMul`, `Einsum`) that feeds
   a softmax, with scale, mask and changes of shape between. A linear layer before a softmax is
   none: its weights are constant.
7. attention_context: the product of two activations, one of which is what a softmax made, with
   dropout, head masks and changes of shape between.
8. classifier: the last nodes with constant weights on each way to the graph's outputs, with the
   `Add` of their bias. Ways end at layers, skip connections and attention: a model that gives its
   hidden states has no classifier. Only the last linear layer counts, so a pooler is none where a
   classifier follows; without one, it is the last. (`block:bert.pooler` names it for sure.)
9. layer.N: all nodes in the N-th layer of every list of layers, as `layers` finds it; -1 is the
   last. block:NAME: all nodes in that module.

An operator that does all of attention (`Attention`, `MultiHeadAttention`, …) counts in 5, 6, and 7:
it cannot be left alone in part.

Not recognised: projection shortcuts (neither operand is computed from the other).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import onnx

from quantbench.core.vocabulary import NODE_EXCLUSIONS, NodeExclusion
from quantbench.graph.attention import context_nodes, score_nodes, softmax_nodes
from quantbench.graph.dataflow import dataflow
from quantbench.graph.gelu import gelu_nodes
from quantbench.graph.head import classifier_nodes
from quantbench.graph.layers import find_blocks
from quantbench.graph.named_parts import named_nodes
from quantbench.graph.norms import normalization_nodes
from quantbench.graph.sums import embedding_sum_nodes, residual_nodes


def with_node_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every node of the main graph has a name of its own.

    Names that are there and unique stay; the others become `<operator>_<position>`.
    """
    named = onnx.ModelProto()
    named.CopyFrom(model)
    taken = {node.name for node in model.graph.node if node.name}
    seen: set[str] = set()
    for position, node in enumerate(named.graph.node):
        if not node.name or node.name in seen:
            name = f"{node.op_type}_{position}"
            while name in taken:
                name += "_"
            taken.add(name)
            node.name = name
        seen.add(node.name)
    return named


def find_exclusions(
    model: onnx.ModelProto, wanted: Iterable[NodeExclusion] = NODE_EXCLUSIONS
) -> dict[NodeExclusion, frozenset[str]]:
    """Find the nodes of exclusions in the main graph of a model.

    Args:
        model: with unique node names, as `with_node_names` makes them.
        wanted: the exclusions to find; those that mean the same in every model by default.

    Returns:
        The names of the nodes that belong to each, empty where a known pattern is not there.

    Raises:
        ValueError: node names are missing or not unique.
        QuantbenchError: the model has no such layer or block; the message lists those it has.
    """
    names = [node.name for node in model.graph.node]
    if "" in names or len(set(names)) < len(names):
        raise ValueError("node names must be unique: use with_node_names first")
    flow = dataflow(model)
    blocks = find_blocks(model)
    outputs = [value.name for value in model.graph.output]
    rules: dict[str, Callable[[], Iterator[onnx.NodeProto]]] = {
        "layernorm": lambda: normalization_nodes(flow),
        "gelu": lambda: gelu_nodes(flow),
        "residual": lambda: residual_nodes(flow),
        "gather": lambda: embedding_sum_nodes(flow),
        "softmax": lambda: softmax_nodes(flow),
        "attention_scores": lambda: score_nodes(flow),
        "attention_context": lambda: context_nodes(flow),
        "classifier": lambda: classifier_nodes(flow, outputs, blocks),
    }
    return {
        name: frozenset(node.name for node in rules[name]())
        if name in rules
        else named_nodes(blocks, name)
        for name in wanted
    }


def matched_names(
    matches: Mapping[NodeExclusion, frozenset[str]], wanted: Iterable[NodeExclusion]
) -> frozenset[str]:
    """The nodes that any of the wanted exclusions describes."""
    return frozenset().union(*(matches[name] for name in wanted))
