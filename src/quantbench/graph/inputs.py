"""The inputs that a graph declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantbench.core.errors import UsageError
from quantbench.core.input_shapes import DeclaredInput

if TYPE_CHECKING:
    import onnx

_DTYPES = frozenset(
    {"bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64"}
    | {"uint8", "uint16", "uint32", "uint64"}
)


def declared_inputs(model: onnx.ModelProto) -> tuple[DeclaredInput, ...]:
    """The inputs that have to be given: those without an initializer.

    Raises:
        UsageError: there are none, or one is no tensor of numbers.
    """
    initialized = {tensor.name for tensor in model.graph.initializer}
    found = tuple(_declared(value) for value in model.graph.input if value.name not in initialized)
    if not found:
        raise UsageError("the graph has no inputs")
    return found


def _declared(value: onnx.ValueInfoProto) -> DeclaredInput:
    from onnx.helper import tensor_dtype_to_np_dtype

    kind = value.type.WhichOneof("value")
    tensor = value.type.tensor_type
    try:
        dtype = str(tensor_dtype_to_np_dtype(tensor.elem_type)) if kind == "tensor_type" else kind
    except KeyError:
        dtype = f"type {tensor.elem_type}"
    if dtype not in _DTYPES:
        raise UsageError(
            f"the graph's input {value.name} is of {dtype or 'no type'}: only tensors of numbers "
            "can be made up"
        )
    if not tensor.HasField("shape"):
        return DeclaredInput(value.name, dtype, None)
    sizes = (
        size.dim_value if size.HasField("dim_value") else size.dim_param or None
        for size in tensor.shape.dim
    )
    return DeclaredInput(value.name, dtype, tuple(sizes))
