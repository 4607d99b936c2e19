"""Finding GELU by evaluating the arithmetic around every `Erf`, `Tanh` and `Sigmoid`.

Exporters arrange the same formula in a dozen ways (x·0.5·(1 + erf), x·(0.5·(1 + erf)), x³ as `Pow`
or as products, multiplied constants); instead of listing them, the small expression is computed
for a few x and compared with the function.

Reference: D. Hendrycks, K. Gimpel, Gaussian Error Linear Units, arXiv:1606.08415.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from quantbench.graph.dataflow import Dataflow

Values = npt.NDArray[np.float64]

_FUSED = frozenset({"Gelu", "FastGelu", "BiasGelu"})
_BINARY: dict[str, Callable[[Values, Values], Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
}
_UNARY: dict[str, Callable[[Values], Any]] = {
    "Erf": np.vectorize(math.erf),
    "Tanh": np.tanh,
    "Sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "Neg": np.negative,
}
_CURVES = frozenset({"Erf", "Tanh", "Sigmoid"})
# Steps from x to the curve (tanh with x³ as products has 5), and from the curve to the result.
_BEFORE = 6
_AFTER = 4
_X: Values = np.array([-3.0, -1.7, -0.8, -0.3, 0.4, 1.1, 1.9, 2.6])
_GELU: Values = np.array([x * 0.5 * (1.0 + math.erf(x / math.sqrt(2.0))) for x in _X])
# The sigmoid form is up to 2e-2 away; the tanh approximation is within 5e-4.
_QUICK_FACTOR = 1.702
_QUICK_GELU: Values = _X / (1.0 + np.exp(-_QUICK_FACTOR * _X))
_TOLERANCE = 2e-3


def gelu_nodes(flow: Dataflow) -> Iterator[onnx.NodeProto]:
    """The nodes of every GELU in the graph, fused or spelled out; rule 2 of `patterns`."""
    for node in flow.nodes:
        if node.op_type in _FUSED or _is_quick_gelu(node):
            yield node
        elif node.op_type in _CURVES:
            yield from _around(flow, node)


def _is_quick_gelu(node: onnx.NodeProto) -> bool:
    """ONNX Runtime's QuickGelu is x·sigmoid(alpha·x): with alpha 1 it is SiLU, another function."""
    alphas = [item.f for item in node.attribute if item.name == "alpha"] or [_QUICK_FACTOR]
    return node.op_type == "QuickGelu" and math.isclose(alphas[0], _QUICK_FACTOR, rel_tol=1e-3)


def _around(flow: Dataflow, curve: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """The nodes of the GELUs that use this curve."""
    outputs = [node.output[0] for node in _forward(flow, curve)]
    for x in _backward(flow, curve):
        found: dict[str, onnx.NodeProto] = {}
        for output in outputs:
            nodes: dict[str, onnx.NodeProto] = {}
            value = _evaluate(flow, output, x, nodes, _BEFORE + _AFTER)
            if value is not None and curve.name in nodes and _is_gelu(value):
                found.update(nodes)
        if found:
            yield from found.values()
            return


def _is_gelu(value: Values) -> bool:
    found = np.broadcast_to(value, _X.shape)
    return any(
        np.allclose(found, wanted, rtol=0.0, atol=_TOLERANCE) for wanted in (_GELU, _QUICK_GELU)
    )


def _forward(flow: Dataflow, curve: onnx.NodeProto) -> list[onnx.NodeProto]:
    """What arithmetic makes of the curve, near it first."""
    reached: dict[str, onnx.NodeProto] = {}
    front = [curve]
    for _ in range(_AFTER):
        front = [
            user
            for node in front
            for user in flow.consumers(node.output[0])
            if user.op_type in _BINARY and user.name not in reached
        ]
        reached.update((node.name, node) for node in front)
    return list(reached.values())


def _backward(flow: Dataflow, curve: onnx.NodeProto) -> list[str]:
    """The tensors that could be x: what the curve's argument is computed from, far ones last."""
    names: dict[str, None] = {}
    front = [flow.inputs(curve)[0]]
    for _ in range(_BEFORE):
        names.update((name, None) for name in front)
        front = [
            name
            for output in front
            if (node := flow.producer(output)) is not None
            and (node.op_type in _BINARY or node.op_type in _UNARY)
            for name in flow.inputs(node)
            if not flow.is_constant(name) and name not in names
        ]
    return list(names)


def _evaluate(
    flow: Dataflow, name: str, x: str, nodes: dict[str, onnx.NodeProto], depth: int
) -> Values | None:
    """The tensor as a function of `x`, at the sample points; None if it depends on anything else.

    The nodes that take part are added to `nodes`.
    """
    if name == x:
        return _X
    constant = flow.scalar(name)
    if constant is not None:
        return np.float64(constant) * np.ones_like(_X)
    node = flow.producer(name)
    if node is None or depth == 0 or not (node.op_type in _BINARY or node.op_type in _UNARY):
        return None
    arguments: list[Values] = []
    for argument in flow.inputs(node):
        value = _evaluate(flow, argument, x, nodes, depth - 1)
        if value is None:
            return None
        arguments.append(value)
    nodes[node.name] = node
    with np.errstate(all="ignore"):
        if len(arguments) == 1:
            return np.asarray(_UNARY[node.op_type](arguments[0]), dtype=np.float64)
        return np.asarray(_BINARY[node.op_type](*arguments), dtype=np.float64)
