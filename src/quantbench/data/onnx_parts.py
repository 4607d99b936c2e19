"""The parts of an ONNX model: nodes and tensors at any depth, and weights in other files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from quantbench.core.errors import UsageError
from quantbench.data.names import local_path

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Part:
    """Where in another file a tensor's values are: from `offset` on, so many bytes.

    `file` is a name below the folder of the ONNX file.
    """

    file: str
    offset: int
    num_bytes: int


def load(path: Path) -> onnx.ModelProto:
    """An ONNX file without what is in other files.

    Raises:
        UsageError: it is not an ONNX file, or only a part of one, or it has no nodes.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError:
        model = onnx.ModelProto()
    if model.HasField("graph") and model.opset_import and not model.graph.node:
        raise UsageError(f"{path} is an ONNX file, but its graph has no nodes")
    if not model.graph.node or not model.opset_import:
        raise UsageError(f"{path} is not an ONNX file, or only a part of one")
    return model


def nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """All nodes: of the graph, of graphs inside of nodes, and of functions."""
    yield from _below(model.graph.node)
    for function in model.functions:
        yield from _below(function.node)


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All tensors with values: initializers and constants, at any depth."""
    yield from _initializers(model.graph)
    for node in nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for graph in _graphs(attribute):
                yield from _initializers(graph)


def part(tensor: onnx.TensorProto) -> Part | None:
    """Where in another file a tensor's values are; None if they are in the ONNX file itself.

    Raises:
        UsageError: the place leads out of the file's folder, or is no place.
    """
    import onnx

    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return None
    said = {entry.key: entry.value for entry in tensor.external_data}
    file = said.get("location", "")
    place = PurePosixPath(file)
    if place.is_absolute() or ".." in place.parts:
        raise UsageError(f"the ONNX file names weights outside its folder: {file!r:.120}")
    if not place.parts:
        raise UsageError(f"the ONNX file does not say in which file its weight {tensor.name} is")
    return Part(file, _count(tensor, said, "offset") or 0, _length(tensor, said))


def external_files(model: onnx.ModelProto) -> tuple[str, ...]:
    """The names of the other files that hold weights, each once, sorted.

    Raises:
        UsageError: as `part`.
    """
    return tuple(sorted({found.file for tensor in tensors(model) if (found := part(tensor))}))


def check_files(path: Path, model: onnx.ModelProto) -> int:
    """Check that all parts are there, as long as they must be.

    Args:
        path: of the ONNX file.
        model: what is in it.

    Returns:
        The bytes that the model has as one file.

    Raises:
        UsageError: a part is missing or cut off, or as `part`.
    """
    ends: dict[str, int] = {}
    total = path.stat().st_size
    for tensor in tensors(model):
        found = part(tensor)
        if found is not None:
            ends[found.file] = max(ends.get(found.file, 0), found.offset + found.num_bytes)
            total += found.num_bytes
    for file, end in ends.items():
        other = local_path(str(path), str(path.parent / file))
        if other is None or not other.is_file() or other.stat().st_size < end:
            gone = other is None or not other.is_file()
            state = "missing" if gone else "only a part of what it was"
            raise UsageError(
                f"{path}: its weights in {PurePosixPath(file).name} are {state}",
                hint="Copy or download the ONNX file and the files beside it again.",
            )
    return total


def load_whole(path: Path) -> onnx.ModelProto:
    """An ONNX file with what is in other files, which may be links, as in the hub's cache.

    `onnx.load` takes no links; names that lead out of the folder are refused here as there.

    Raises:
        UsageError: as `load` and `check_files`.
    """
    model = load(path)
    check_files(path, model)
    for tensor in tensors(model):
        _take_in(path, tensor)
    return model


def take_in_numbers(path: Path, model: onnx.ModelProto) -> None:
    """Read the tensors of one element that are in other files into the model; it is changed.

    For looking at a graph without its weights. The parts are there, as `check_files` says.
    """
    for tensor in tensors(model):
        if all(size == 1 for size in tensor.dims):
            _take_in(path, tensor)


def _take_in(path: Path, tensor: onnx.TensorProto) -> None:
    import onnx

    found = part(tensor)
    if found is None:
        return
    with (path.parent / found.file).open("rb") as file:
        file.seek(found.offset)
        tensor.raw_data = file.read(found.num_bytes)
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def _below(found: Sequence[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in found:
        yield node
        for attribute in node.attribute:
            for graph in _graphs(attribute):
                yield from _below(graph.node)


def _graphs(attribute: onnx.AttributeProto) -> Iterator[onnx.GraphProto]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _initializers(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)


def _length(tensor: onnx.TensorProto, said: dict[str, str]) -> int:
    """The bytes of a tensor in another file: as it says, or as its shape and type say."""
    from onnx.helper import tensor_dtype_to_np_dtype

    length = _count(tensor, said, "length")
    if length is not None:
        return length
    try:
        item_bytes = int(tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except KeyError:
        raise UsageError(
            f"the ONNX file's weight {tensor.name} has no type that is known"
        ) from None
    count: int = math.prod(tensor.dims)
    return count * item_bytes


def _count(tensor: onnx.TensorProto, said: dict[str, str], key: str) -> int | None:
    text = said.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise UsageError(
            f"the ONNX file is damaged: the {key} of its weight {tensor.name} is {text!r:.40}"
        )
    return int(text)
