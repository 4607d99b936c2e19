"""Weight-only quantization: MatMulNBits, with weights in blocks and activations in float.

Written here because ONNX Runtime's `MatMulNBitsQuantizer` needs packages that inference does not;
the packing itself is ONNX Runtime's own. The operator is described in its ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from quantbench.core.quantization import Blocks, WeightOnly
from quantbench.graph.dataflow import used_names
from quantbench.stages.quantizers.files import Files

_DOMAIN = "com.microsoft"


def quantize(files: Files, scheme: WeightOnly, excluded: Sequence[str]) -> None:
    """Write a file in which each MatMul by a constant matrix is a MatMulNBits.

    `excluded` nodes stay as they are, and so do MatMuls whose second input is no stored float32
    matrix.
    """
    model = onnx.load(files.source)
    graph = model.graph
    matrices = {
        item.name: item
        for item in graph.initializer
        if item.data_type == onnx.TensorProto.FLOAT and len(item.dims) == 2
    }
    packed: dict[str, list[onnx.TensorProto]] = {}
    for node in graph.node:
        is_asked = node.op_type in scheme.operators and node.name not in excluded
        if node.op_type != "MatMul" or not is_asked or node.input[1] not in matrices:
            continue
        weights = matrices[node.input[1]]
        if weights.name not in packed:
            packed[weights.name] = _packed(weights, scheme.weight_only)
        rows, columns = weights.dims
        names = [tensor.name for tensor in packed[weights.name]]
        node.CopyFrom(_in_blocks(node, names, rows, columns, scheme.weight_only))
    for tensors in packed.values():
        graph.initializer.extend(tensors)
    used = {name for node in graph.node for name in used_names(node)}
    used |= {output.name for output in graph.output}
    kept = [item for item in graph.initializer if item.name not in packed or item.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    if packed and not any(item.domain == _DOMAIN for item in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    onnx.save(model, files.target)


def _in_blocks(
    node: onnx.NodeProto, weights: list[str], rows: int, columns: int, blocks: Blocks
) -> onnx.NodeProto:
    attributes = {"K": rows, "N": columns, "bits": blocks.bits, "block_size": blocks.block_size}
    if blocks.accuracy_level:
        attributes["accuracy_level"] = blocks.accuracy_level
    name = f"{node.name}_Q{blocks.bits}"
    inputs = [node.input[0], *weights]
    return helper.make_node(
        "MatMulNBits", inputs, list(node.output), name, domain=_DOMAIN, **attributes
    )


def _packed(weights: onnx.TensorProto, blocks: Blocks) -> list[onnx.TensorProto]:
    """The weights, their scales and, unless symmetric, their zero points, as MatMulNBits has them.

    Of a K × N matrix: uint8 (N, ceil(K / block), block · bits / 8), float32 (N, ceil(K / block)),
    and uint8 (N, ceil(ceil(K / block) · bits / 8)).
    """
    from onnxruntime.capi import _pybind_state

    pack = {4: _pybind_state.quantize_matmul_4bits, 8: _pybind_state.quantize_matmul_8bits}
    array = numpy_helper.to_array(weights)
    rows, columns = array.shape
    count = -(-rows // blocks.block_size)
    padded = np.pad(array, ((0, count * blocks.block_size - rows), (0, 0)))
    per_byte = 8 // blocks.bits
    data = np.zeros((columns, count, blocks.block_size // per_byte), np.uint8)
    scales = np.zeros((columns, count), np.float32)
    zeros = np.zeros((columns, -(-count // per_byte)), np.uint8)
    pack[blocks.bits](
        data, padded, scales, zeros, blocks.block_size, columns, rows, blocks.symmetric
    )
    parts = {f"Q{blocks.bits}": data, "scales": scales}
    if not blocks.symmetric:
        parts["zero_points"] = zeros
    return [numpy_helper.from_array(part, f"{weights.name}_{name}") for name, part in parts.items()]
