"""Whether local files changed, by names, sizes and time stamps: without reading them."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.core.config import DatasetConfig
from quantbench.core.frozen import content_key
from quantbench.data.bundled import PREFIX, bundled_directory

if TYPE_CHECKING:
    from quantbench.data.models import ModelSource


def local_files(source: ModelSource, dataset: DatasetConfig) -> tuple[str, ...]:
    """Patterns of the files that a model and a dataset are made of, where they are local.

    What is from the hub is pinned by its commit: of it the files in the hub's cache are named.
    """
    patterns = [f"{glob.escape(str(source.directory))}/*"]
    if source.onnx is not None:
        folder = source.onnx.path.parent
        names = (source.onnx.path.name, *source.onnx.external)
        patterns += [glob.escape(str(folder / name)) for name in names]
    if dataset.path.startswith(PREFIX):
        directory = bundled_directory(dataset.path, "dataset.path") / "data"
        return (*patterns, f"{glob.escape(str(directory))}/*")
    folder = Path(dataset.path).expanduser()
    if folder.is_dir():
        return (*patterns, f"{glob.escape(str(folder.resolve()))}/**")
    for files in (dataset.data_files or {}).values():
        for file in [files] if isinstance(files, str) else files:
            patterns.append(str(Path(file).expanduser().absolute()))
    return tuple(patterns)


def stamp(patterns: Iterable[str]) -> str:
    """A hash of the names, sizes and time stamps of all files that patterns match.

    A file that is gone, is new, or was written since gives another one.
    """
    found: list[tuple[str, int, int]] = []
    for pattern in patterns:
        for name in sorted(glob.glob(pattern, recursive=True, include_hidden=True)):  # noqa: PTH207
            path = Path(name)
            if path.is_file():
                status = path.stat()
                found.append((name, status.st_size, status.st_mtime_ns))
    return content_key(found, 64)
