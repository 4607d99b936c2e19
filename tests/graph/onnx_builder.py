"""Writing small ONNX graphs by hand."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """A graph in the making: each call adds a node and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, value: object, dtype: str = "float32") -> str:
        name = f"const{len(self.initializers)}"
        array = np.asarray(value, dtype=dtype)
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, *shape: int) -> str:
        size = int(np.prod(shape))
        return self.constant(np.arange(size, dtype=np.float32).reshape(shape) / size)

    def add(self, op_type: str, *inputs: str, name: str | None = None, **attributes: object) -> str:
        output = f"t{len(self.nodes)}"
        node = helper.make_node(
            op_type, inputs, [output], name=name or f"n{len(self.nodes)}", **attributes
        )
        self.nodes.append(node)
        return output

    def name_of(self, output: str) -> str:
        return next(node.name for node in self.nodes if node.output[0] == output)

    def model(self, *outputs: str, opset: int = 17) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [
                helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4]),
                helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"]),
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.initializers,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
