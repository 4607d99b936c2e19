"""Finding a dataset: bundled, files with a builder, a local folder, or (`hub_dataset`) the hub.

A local folder and a hub name are never confused. The datasets library, when it is offline,
answers the hub name `squad` with whatever folder called `squad` it loaded before, and any revision
with the commit that it prepared last; so folders are read with a cache of their own here, and
what comes for a hub name must be the very commit that the revision means.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.core.config import DatasetConfig
from quantbench.core.errors import ConfigError, Problem
from quantbench.data.builders import Origin, Source, open_builder, split_names
from quantbench.data.bundled import PREFIX, bundled_directory
from quantbench.data.dataset_errors import explained, refuse
from quantbench.data.empty_data import read_split, refuse_empty_files
from quantbench.data.hub_dataset import find_on_hub, refuse_addresses
from quantbench.data.names import is_explicit_path, local_path

if TYPE_CHECKING:
    from datasets import Dataset

BUILDERS = ("json", "csv", "parquet", "imagefolder")
BUNDLED_FORMATS = {"jsonl": "json", "parquet": "parquet"}
BUNDLED_SPLITS = ("train", "validation")


def find_source(dataset: DatasetConfig) -> Source:
    """Find what `dataset.path` names; a folder that exists goes before the hub.

    Raises:
        ConfigError: it is nowhere, or cannot be reached or opened; the message says what was
            tried and how to get it.
    """
    if dataset.path.startswith(PREFIX):
        return _bundled(dataset)
    if dataset.path in BUILDERS:
        return _files(dataset)
    folder = local_path("dataset.path", dataset.path)
    if folder is not None and folder.is_dir():
        return _folder(dataset, folder.resolve())
    if is_explicit_path(dataset.path):
        what = "does not exist" if folder is None else "is a file"
        refuse(
            dataset,
            "path",
            f"{what}: a path must name a folder with data files or one written by save_to_disk; "
            "for single files use path: json, csv, parquet or imagefolder with data_files",
            given=dataset.path,
        )
    return find_on_hub(dataset)


def _bundled(dataset: DatasetConfig) -> Source:
    _refuse_unused(dataset, ("name", "revision", "data_files"), "for bundled data")
    directory = bundled_directory(dataset.path, "dataset.path") / "data"
    for suffix, builder in BUNDLED_FORMATS.items():
        paths = {split: directory / f"{split}.{suffix}" for split in BUNDLED_SPLITS}
        files = {split: str(path) for split, path in paths.items() if path.is_file()}
        if files:
            return _local(dataset, "bundled", dataset.path, builder, data_files=files)
    refuse(
        dataset,
        "path",
        f"the package's files are missing from {directory}: install quantbench again",
        given=dataset.path,
    )


def _files(dataset: DatasetConfig) -> Source:
    _refuse_unused(dataset, ("name", "revision"), f"for local files ({dataset.path})")
    if not dataset.data_files:
        refuse(
            dataset,
            "data_files",
            f"required by the builder {dataset.path}: map each split to its files",
            allowed="for example {validation: data/validation.json}",
        )
    files = _file_lists(dataset, dataset.data_files)
    location = ", ".join(f"{split}: {' '.join(paths)}" for split, paths in files.items())
    return _local(dataset, "files", location, dataset.path, data_files=files)


def _file_lists(
    dataset: DatasetConfig, data_files: Mapping[str, str | tuple[str, ...]]
) -> dict[str, list[str]]:
    refuse_addresses(dataset, "data files must be local: download them first")
    return {k: [v] if isinstance(v, str) else list(v) for k, v in data_files.items()}


def _folder(dataset: DatasetConfig, folder: Path) -> Source:
    from datasets import Dataset, DatasetDict, config

    _refuse_unused(dataset, ("revision",), "for a local folder")
    saved = (folder / "dataset_dict.json").is_file(), (folder / "state.json").is_file()
    if any(saved):
        _refuse_unused(dataset, ("name", "data_files"), "for a folder written by save_to_disk")
        if saved[0]:
            with explained(dataset, None):
                splits: dict[str, Dataset] = dict(DatasetDict.load_from_disk(str(folder)))
        else:
            with explained(dataset, None):
                rows = Dataset.load_from_disk(str(folder))
            # A single split may have been saved without its name; `train` is what the datasets
            # library calls data without one.
            splits = {str(rows.split or "train"): rows}
        return Source("folder", str(folder), None, tuple(splits), splits.__getitem__)
    extra: dict[str, Any] = {"cache_dir": str(Path(config.HF_DATASETS_CACHE) / "local_folders")}
    if dataset.data_files:
        extra["data_files"] = _file_lists(dataset, dataset.data_files)
    return _local(dataset, "folder", str(folder), str(folder), name=dataset.name, **extra)


def _local(
    dataset: DatasetConfig, origin: Origin, location: str, path: str, **extra: Any
) -> Source:
    with explained(dataset, None):
        builder = open_builder(path, **extra)
    refuse_empty_files(dataset, builder)

    def read(split: str) -> Dataset:
        with explained(dataset, None):
            builder.download_and_prepare()
            return read_split(dataset, builder, split)

    return Source(origin, location, None, split_names(builder), read)


def _refuse_unused(dataset: DatasetConfig, parameters: tuple[str, ...], where: str) -> None:
    problems = [
        Problem(f"dataset.{parameter}", f"means nothing {where}: leave it out")
        for parameter in parameters
        if getattr(dataset, parameter) is not None
    ]
    if problems:
        raise ConfigError(f"dataset {dataset.path}", problems)
