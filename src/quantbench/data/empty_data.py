"""Data without rows, which the datasets library meets with errors that say something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.core.config import DatasetConfig
from quantbench.data.dataset_errors import refuse

if TYPE_CHECKING:
    from datasets import Dataset, DatasetBuilder

_SMALL = 65_536
_NO_ROWS = "the split has no rows"


def refuse_empty_files(dataset: DatasetConfig, builder: DatasetBuilder) -> None:
    """Look at the local files that a builder found, before it reads them.

    Folders of images are passed over: there a file is a row, and is checked as one.

    Raises:
        ConfigError: a split has no files, a file has no bytes, or a split has no rows.
    """
    from datasets.packaged_modules.folder_based_builder.folder_based_builder import (
        FolderBasedBuilder,
    )

    if isinstance(builder, FolderBasedBuilder):
        return
    found: Mapping[str, Sequence[str]] = builder.config.data_files or {}
    for split, files in found.items():
        parameter = f"data_files.{split}" if dataset.data_files else "path"
        given = None if dataset.data_files else dataset.path
        if not files:
            refuse(dataset, parameter, f"no file of that name is here for the split {split}")
        paths = [Path(file) for file in files if Path(file).is_file()]
        for path in paths:
            if path.stat().st_size == 0:
                message = f"{path} is empty (0 bytes): write it again, or leave it out"
                refuse(dataset, parameter, message, given=given)
        if paths and len(paths) == len(files) and all(map(_is_rowless, paths)):
            refuse(dataset, parameter, f"{_NO_ROWS}: {split} in {paths[0]}", given=given)


def read_split(dataset: DatasetConfig, builder: DatasetBuilder, split: str) -> Dataset:
    """Read one split of data that was prepared.

    Raises:
        ConfigError: it has no rows.
    """
    described = (builder.info.splits or {}).get(split)
    if described is not None and described.num_examples == 0:
        parameter = "eval_split" if split == dataset.eval_split else "calibration_split"
        refuse(dataset, parameter, _NO_ROWS, given=split)
    rows: Dataset = builder.as_dataset(split=split)
    return rows


def _is_rowless(path: Path) -> bool:
    import pyarrow
    import pyarrow.parquet

    if path.suffix == ".parquet":
        try:
            return bool(pyarrow.parquet.read_metadata(path).num_rows == 0)
        except pyarrow.ArrowInvalid:
            return False  # what is wrong with it is said by who reads it
    if path.stat().st_size > _SMALL:
        return False
    text = path.read_text(encoding="utf-8", errors="replace").strip()
    return text in ("", "[]") or (path.suffix in (".csv", ".tsv") and "\n" not in text)
