"""A model that is given as an ONNX file with its `config.json`: finding and reading it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from quantbench.core.errors import UsageError
from quantbench.data import model_files
from quantbench.data.hub_model import download_onnx
from quantbench.data.names import is_explicit_path

if TYPE_CHECKING:
    import onnx

PARAMETER = "model_name_or_path"
_INTEGER_OPERATORS = ("Quantize", "Integer", "QLinear", "QGemm", "QAttention", "NBits", "Bnb4")


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

    `num_parameters` counts the floating-point values of its weights. `unfit` says why it cannot
    be quantized, None if it can.
    """

    path: Path
    opset: int
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    num_parameters: int
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
    local = Path(name_or_path).expanduser()
    if local.is_file():
        if revision is not None:
            raise UsageError(
                f"model_revision = {revision} means nothing for {name_or_path}, a local file",
                hint="Leave model_revision out: the file is used as it is.",
            )
        path = local.resolve()
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
    model = _load(path)
    graph = model.graph
    weights = {item.name for item in graph.initializer}
    for name, end in _external_files(model):
        other = path.parent / name
        if not other.is_file() or other.stat().st_size < end:
            state = "missing" if not other.is_file() else "only a part of what it was"
            raise UsageError(
                f"{path}: its weights in {other.name} are {state}",
                hint="Copy or download the ONNX file and the files beside it again.",
            )
    opsets = [item.version for item in model.opset_import if item.domain in ("", "ai.onnx")]
    return OnnxFile(
        path=path,
        opset=int(opsets[0]) if opsets else 0,
        input_names=tuple(item.name for item in graph.input if item.name not in weights),
        output_names=tuple(item.name for item in graph.output),
        num_parameters=sum(
            math.prod(item.dims) for item in graph.initializer if item.data_type in _floats()
        ),
        unfit=_unfit(model),
    )


def digest(path: Path, directory: Path) -> str:
    """SHA-256 over the file, its weights in other files, the config and the processor's files.

    Returns:
        64 hex digits.
    """
    external = {path.parent / name for name, _ in _external_files(_load(path))}
    names = model_files.select(model_files.file_names(directory), model_files.COMMON_PATTERNS)
    total = hashlib.sha256()
    for file in [path, *sorted(external), *(directory / name for name in names)]:
        with file.open("rb") as opened:
            content = hashlib.file_digest(opened, "sha256").hexdigest()
        total.update(f"{file.name} {content}\n".encode())
    return total.hexdigest()


def _directory(path: Path, above: Path) -> Path:
    """Where the config is: beside the file, or else above it."""
    beside = (path.parent / model_files.CONFIG_FILE).is_file()
    return path.parent if beside else above


def _load(path: Path) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError:
        model = onnx.ModelProto()
    if not model.graph.node or not model.opset_import:
        raise UsageError(f"{path} is not an ONNX file, or only a part of one")
    return model


def _external_files(model: onnx.ModelProto) -> Iterator[tuple[str, int]]:
    """The names of files with weights, and how long each must be at least for one weight.

    Raises:
        UsageError: a name leads out of the file's folder.
    """
    import onnx
    from onnx.external_data_helper import uses_external_data

    for tensor in model.graph.initializer:
        if uses_external_data(tensor):
            info = onnx.external_data_helper.ExternalDataInfo(tensor)
            place = PurePosixPath(info.location)
            if place.is_absolute() or ".." in place.parts:
                raise UsageError(
                    f"the ONNX file names weights outside its folder: {info.location!r:.120}"
                )
            yield info.location, (info.offset or 0) + (info.length or 0)


def _unfit(model: onnx.ModelProto) -> str | None:
    import onnx

    types = {node.op_type for node in model.graph.node}
    integer = sorted(name for name in types if any(mark in name for mark in _INTEGER_OPERATORS))
    if integer:
        return f"it is quantized already: it holds {', '.join(integer)}"
    found = {item.data_type for item in model.graph.initializer} & set(_floats())
    other = [onnx.TensorProto.DataType.Name(kind) for kind in found - {onnx.TensorProto.FLOAT}]
    if other:
        return f"its weights are {', '.join(sorted(other)).lower()}, not float32"
    return None


def _floats() -> tuple[int, ...]:
    from onnx import TensorProto

    return (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
