"""Names for new tensors and nodes that nothing in a graph has yet."""

from __future__ import annotations

import onnx

from quantbench.graph.dataflow import subgraphs


class FreeNames:
    """Gives each asked-for name once, with `_` added where a model or an earlier answer has it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._taken = _names(model.graph)

    def free(self, wanted: str) -> str:
        """A name that nothing has, the wanted one if possible."""
        while wanted in self._taken:
            wanted += "_"
        self._taken.add(wanted)
        return wanted


def _names(graph: onnx.GraphProto) -> set[str]:
    """All names of tensors and nodes of a graph and its subgraphs."""
    found = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    for node in graph.node:
        found |= {node.name, *node.input, *node.output}
        for inner in subgraphs(node):
            found |= _names(inner)
    return found
