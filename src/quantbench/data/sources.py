"""Finding a dataset: bundled, files with a builder, a local folder, or the hub.

A local folder and a hub name are never confused. The datasets library, when it is offline,
answers the hub name `squad` with whatever folder called `squad` it loaded before; so folders are
read with a cache of their own here, and what comes for a hub name must be a commit of the hub.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from quantbench.core.config import DatasetConfig
from quantbench.core.errors import ConfigError, Problem
from quantbench.data.bundled import PREFIX, bundled_directory
from quantbench.data.names import is_explicit_path

if TYPE_CHECKING:
    from datasets import Dataset

Origin = Literal["bundled", "files", "folder", "hub"]

BUILDERS = ("json", "csv", "parquet", "imagefolder")
BUNDLED_FORMATS = {"jsonl": "json", "parquet": "parquet"}
BUNDLED_SPLITS = ("train", "validation")

# Names from before datasets had owners; the hub redirects them, the cache does not.
MOVED = {
    "squad": "rajpurkar/squad",
    "beans": "AI-Lab-Makerere/beans",
    "glue": "nyu-mll/glue",
    "conll2003": "eriktks/conll2003",
}


@dataclass(frozen=True)
class Source:
    """A dataset that was found, before a split of it is read.

    `location` is the folder, the files or the hub name that it really is; `revision` the commit
    on the hub, None elsewhere. `read` loads one of `splits`.
    """

    origin: Origin
    location: str
    revision: str | None
    splits: tuple[str, ...]
    read: Callable[[str], Dataset]


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
    folder = Path(dataset.path).expanduser()
    if folder.is_dir():
        return _folder(dataset, folder.resolve())
    if is_explicit_path(dataset.path):
        what = "is a file" if folder.exists() else "does not exist"
        refuse(
            dataset,
            "path",
            f"{what}: a path must name a folder with data files or one written by save_to_disk; "
            "for single files use path: json, csv, parquet or imagefolder with data_files",
            given=dataset.path,
        )
    return _hub(dataset)


def refuse(
    dataset: DatasetConfig,
    parameter: str,
    message: str,
    *,
    given: str | None = None,
    allowed: str | None = None,
    nearest: str | None = None,
) -> NoReturn:
    """Raise the ConfigError for one parameter below `dataset`."""
    problem = Problem(f"dataset.{parameter}", message, given, allowed, nearest)
    raise ConfigError(f"dataset {dataset.path}", [problem])


def _bundled(dataset: DatasetConfig) -> Source:
    _refuse_unused(dataset, ("name", "revision", "data_files"), "for bundled data")
    directory = bundled_directory(dataset.path, "dataset.path") / "data"
    for suffix, builder in BUNDLED_FORMATS.items():
        paths = {split: directory / f"{split}.{suffix}" for split in BUNDLED_SPLITS}
        files = {split: str(path) for split, path in paths.items() if path.is_file()}
        if files:
            return _built(dataset, "bundled", dataset.path, builder, data_files=files)
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
    return _built(dataset, "files", location, dataset.path, data_files=files)


def _file_lists(
    dataset: DatasetConfig, data_files: Mapping[str, str | tuple[str, ...]]
) -> dict[str, list[str]]:
    files = {k: [v] if isinstance(v, str) else list(v) for k, v in data_files.items()}
    for split, paths in files.items():
        for path in paths:
            if "://" in path:
                message = "data files must be local: download them first"
                refuse(dataset, f"data_files.{split}", message, given=path)
    return files


def _folder(dataset: DatasetConfig, folder: Path) -> Source:
    from datasets import Dataset, DatasetDict, config

    _refuse_unused(dataset, ("revision",), "for a local folder")
    saved = (folder / "dataset_dict.json").is_file(), (folder / "state.json").is_file()
    if any(saved):
        _refuse_unused(dataset, ("name", "data_files"), "for a folder written by save_to_disk")
        if saved[0]:
            with _explained(dataset):
                splits: dict[str, Dataset] = dict(DatasetDict.load_from_disk(str(folder)))
        else:
            with _explained(dataset):
                rows = Dataset.load_from_disk(str(folder))
            # A single split may have been saved without its name; `train` is what the datasets
            # library calls data without one.
            splits = {str(rows.split or "train"): rows}
        return Source("folder", str(folder), None, tuple(splits), splits.__getitem__)
    extra: dict[str, Any] = {"cache_dir": str(Path(config.HF_DATASETS_CACHE) / "local_folders")}
    if dataset.data_files:
        extra["data_files"] = _file_lists(dataset, dataset.data_files)
    return _built(dataset, "folder", str(folder), str(folder), name=dataset.name, **extra)


def _hub(dataset: DatasetConfig) -> Source:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    moved = MOVED.get(dataset.path)
    try:
        validate_repo_id(dataset.path)
    except HFValidationError:
        message = "neither a folder that exists here nor a name on the hub (owner/name)"
        refuse(dataset, "path", message, given=dataset.path)
    extra: dict[str, Any] = {"name": dataset.name, "revision": dataset.revision}
    if dataset.data_files:
        extra["data_files"] = {
            split: files if isinstance(files, str) else list(files)
            for split, files in dataset.data_files.items()
        }
    source = _built(dataset, "hub", dataset.path, dataset.path, **extra)
    if source.revision is None:
        refuse(
            dataset,
            "path",
            "the hub could not be reached, and the cached data of that name is not from the hub: "
            "it is from a local folder that was loaded before. To use a folder give its path "
            "(./name); to use the hub, go online once",
            given=dataset.path,
            nearest=moved,
        )
    return source


def _built(
    dataset: DatasetConfig, origin: Origin, location: str, path: str, **extra: Any
) -> Source:
    """Open a builder of the datasets library. Nothing is downloaded before `read`."""
    from datasets import load_dataset_builder

    with _explained(dataset):
        builder = load_dataset_builder(path, **extra)
    splits = builder.info.splits or builder.config.data_files or {}

    def read(split: str) -> Dataset:
        with _explained(dataset):
            builder.download_and_prepare()
            return builder.as_dataset(split=split)

    # A builder of hub data is identified by its commit, every other by a shorter hash.
    is_commit = origin == "hub" and re.fullmatch(r"[0-9a-f]{40}", str(builder.hash)) is not None
    revision = str(builder.hash) if is_commit else None
    return Source(origin, location, revision, tuple(str(name) for name in splits), read)


def _refuse_unused(dataset: DatasetConfig, parameters: tuple[str, ...], where: str) -> None:
    problems = [
        Problem(f"dataset.{parameter}", f"means nothing {where}: leave it out")
        for parameter in parameters
        if getattr(dataset, parameter) is not None
    ]
    if problems:
        raise ConfigError(f"dataset {dataset.path}", problems)


@contextmanager
def _explained(dataset: DatasetConfig) -> Iterator[None]:
    """Silence the library's bars and warnings, and say of its errors which parameter they mean."""
    import datasets
    from datasets.exceptions import DatasetGenerationError, DatasetsError
    from datasets.utils import logging

    had_bars = not datasets.are_progress_bars_disabled()
    level = logging.get_verbosity()
    datasets.disable_progress_bars()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    except ConnectionError as error:
        message = (
            f"no folder of that name is here, and the hub could not be reached ({error}); "
            "go online once, or give a local folder (./name) or files"
        )
        refuse(dataset, "path", message, given=dataset.path, nearest=MOVED.get(dataset.path))
    except DatasetGenerationError as error:
        parameter = "data_files" if dataset.data_files else "path"
        refuse(dataset, parameter, f"the data cannot be read: {error.__cause__ or error}")
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        text = str(error).strip()
        if "BuilderConfig" in text or "Config name" in text:
            refuse(dataset, "name", text.split("\nExample")[0], given=dataset.name)
        parameter = "data_files" if dataset.data_files else "path"
        given = None if dataset.data_files else dataset.path
        refuse(dataset, parameter, f"cannot be loaded: {text}", given=given)
    finally:
        logging.set_verbosity(level)
        if had_bars:
            datasets.enable_progress_bars()
