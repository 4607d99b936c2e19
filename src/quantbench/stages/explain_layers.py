"""The block of a model that a node belongs to, by the scoped names that exporters give."""

from __future__ import annotations

import re

import onnx

_BLOCK = re.compile(r"(?:^|[/.])(?:layers?|blocks?|h)[./](\d+)(?=[/.]|$)")


def layers_of(model: onnx.ModelProto) -> dict[str, str]:
    """`layer.N` for each node whose name says it; the others are in no layer."""
    found: dict[str, str] = {}
    for node in model.graph.node:
        scoped = _BLOCK.search(node.name)
        if scoped is not None:
            found[node.name] = f"layer.{scoped.group(1)}"
    return found
