"""The smallest ONNX files that can be timed."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def one_matmul(path: Path, width: int = 64) -> Path:
    """Write a file with one MatMul: `x` [1, width] float32 in, `y` the same out."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    shape = [1, width]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.eye(width, dtype=np.float32), "w")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, path)
    return path
