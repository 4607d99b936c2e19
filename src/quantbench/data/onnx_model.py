"""A model that is given as an ONNX file with its `config.json`: finding and reading it."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from quantbench.core.errors import UsageError
from quantbench.data import model_files, onnx_parts
from quantbench.data.hub_model import download_onnx
from quantbench.data.names import is_explicit_path, local_path

if TYPE_CHECKING:
    import onnx

PARAMETER = "model_name_or_path"
_INTEGER_OPERATORS = (
    "Quantize",
    "Dequantize",
    "Integer",
    "QLinear",
    "QGemm",
    "QAttention",
    "NBits",
    "BlockQuantized",
    "Bnb4",
)
# Where in a node's inputs the token ids are, and the table that they are looked up in.
_LOOKUPS = {"Gather": (1, 0), "EmbedLayerNormalization": (0, 2)}


@dataclass(frozen=True)
class GivenFile:
    """An ONNX file on this disk.

    `directory` holds `config.json` and the tokenizer or processor: the folder of the file, or the
    one above it. `name`, `commit` and `notes` are as in `ModelSource`.
    """

    name: str
    path: Path
    directory: Path
    commit: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class OnnxFile:
    """What an ONNX file says of itself.

    `external` names the other files that hold weights, below the file's folder; `num_bytes` is the
    size of all of it as one file. `num_parameters` counts the floating-point values of its weights.
    `widths` has the last dimension of each output and `num_tokens` the rows of the table that token
    ids are looked up in, where the graph says them. `unfit` says why it cannot be quantized, None
    if it can.
    """

    path: Path
    opset: int
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    external: tuple[str, ...]
    num_bytes: int
    num_parameters: int
    widths: Mapping[str, int | None]
    num_tokens: int | None
    unfit: str | None


def find_onnx(name_or_path: str, revision: str | None) -> GivenFile:
    """Find an ONNX file and, if it is on the hub, download it with what belongs to it.

    Args:
        name_or_path: a path, or `owner/name/onnx/model.onnx` on the hub. A file that exists goes
            before a hub name.
        revision: branch, tag or commit on the hub; None for the default branch.

    Raises:
        UsageError: there is no such file, or it cannot be reached; the message says what to do.
    """
    local = local_path(PARAMETER, name_or_path)
    if local is not None and local.is_file():
        if revision is not None:
            raise UsageError(
                f"model_revision = {revision} means nothing for {name_or_path}, a local file",
                hint="Leave model_revision out: the file is used as it is.",
            )
        # Links are not followed: what belongs to the file is where it was given.
        path = Path(os.path.abspath(local))  # noqa: PTH100
        return GivenFile(name_or_path, path, _directory(path, path.parent.parent), None, ())
    parts = name_or_path.split("/")
    if is_explicit_path(name_or_path) or len(parts) < 3:
        raise UsageError(
            f"{PARAMETER} = {name_or_path}: there is no such file",
            hint="Give the path of an ONNX file, or owner/name/onnx/model.onnx on the hub.",
        )
    repository, file = "/".join(parts[:2]), "/".join(parts[2:])
    if ".." in PurePosixPath(file).parts:
        raise UsageError(f"{PARAMETER} = {name_or_path}: a name on the hub must not hold ..")
    found = download_onnx(repository, file, revision)
    path = found.directory / file
    return GivenFile(
        name=f"{found.name}/{file}",
        path=path,
        directory=_directory(path, found.directory),
        commit=found.commit,
        notes=found.notes,
    )


def read_onnx(path: Path) -> OnnxFile:
    """Read an ONNX file without its weights' values.

    Raises:
        UsageError: it is not an ONNX file, only a part of one, or its weights in other files are
            not beside it.
    """
    model = onnx_parts.load(path)
    num_bytes = onnx_parts.check_files(path, model)
    graph = model.graph
    weights = {item.name for item in graph.initializer}
    opsets = [item.version for item in model.opset_import if item.domain in ("", "ai.onnx")]
    return OnnxFile(
        path=path,
        opset=int(opsets[0]) if opsets else 0,
        input_names=tuple(item.name for item in graph.input if item.name not in weights),
        output_names=tuple(item.name for item in graph.output),
        external=onnx_parts.external_files(model),
        num_bytes=num_bytes,
        num_parameters=sum(
            math.prod(item.dims)
            for item in onnx_parts.tensors(model)
            if item.data_type in _floats()
        ),
        widths={item.name: _width(item) for item in graph.output},
        num_tokens=_num_tokens(model),
        unfit=_unfit(model),
    )


def digest(file: OnnxFile, directory: Path) -> str:
    """SHA-256 over the file, its weights in other files, the config and the processor's files.

    Returns:
        64 hex digits.
    """
    names = model_files.select(model_files.file_names(directory), model_files.COMMON_PATTERNS)
    external = (file.path.parent / name for name in file.external)
    total = hashlib.sha256()
    for path in [file.path, *external, *(directory / name for name in names)]:
        with path.open("rb") as opened:
            content = hashlib.file_digest(opened, "sha256").hexdigest()
        total.update(f"{path.name} {content}\n".encode())
    return total.hexdigest()


def _directory(path: Path, above: Path) -> Path:
    """Where the config is: beside the file, or else above it."""
    beside = (path.parent / model_files.CONFIG_FILE).is_file()
    return path.parent if beside else above


def _width(output: onnx.ValueInfoProto) -> int | None:
    """The last dimension, if it is a fixed number."""
    dimensions = output.type.tensor_type.shape.dim
    return int(dimensions[-1].dim_value) or None if dimensions else None


def _num_tokens(model: onnx.ModelProto) -> int | None:
    """How many token ids the table of word embeddings has, where the ids go right into it."""
    rows = {item.name: item.dims[0] for item in model.graph.initializer if len(item.dims) == 2}
    ids = {"input_ids"}
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in ids:
            ids.update(node.output)
        at = _LOOKUPS.get(node.op_type)
        if at is not None and len(node.input) > max(at):
            given, table = (node.input[place] for place in at)
            if given in ids and table in rows:
                return int(rows[table])
    return None


def _unfit(model: onnx.ModelProto) -> str | None:
    from onnx import TensorProto

    types = {node.op_type for node in onnx_parts.nodes(model)}
    integer = sorted(name for name in types if any(mark in name for mark in _INTEGER_OPERATORS))
    if integer:
        return f"it is quantized already: it holds {', '.join(integer)}"
    found = {
        item.data_type
        for item in onnx_parts.tensors(model)
        # Exporters write single numbers, such as a root, as doubles between casts.
        if item.data_type != TensorProto.DOUBLE or math.prod(item.dims) > 1
    }
    other = [TensorProto.DataType.Name(kind) for kind in found & {*_floats()[1:]}]
    if other:
        return f"its weights are {', '.join(sorted(other)).lower()}, not float32"
    return None


def _floats() -> tuple[int, ...]:
    from onnx import TensorProto

    return (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
