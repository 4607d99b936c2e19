"""What a dataset holds, for guessing a config from it: splits, columns and their kinds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from quantbench.core.config import DatasetConfig
from quantbench.core.errors import ConfigError, UsageError
from quantbench.data.fingerprint import class_label
from quantbench.data.sources import find_source

if TYPE_CHECKING:
    from datasets import Features

# `classes` are numbers with class names, `tags` lists of them; `answers` is what SQuAD has: texts
# below the name `text`.
Kind = Literal[
    "text", "image", "classes", "integer", "number", "texts", "tags", "integers", "answers", "other"
]
_LISTS: Mapping[Kind, Kind] = {
    "text": "texts",
    "classes": "tags",
    "integer": "integers",
    "answers": "answers",
}

_BUILDER_OF_ENDING = {".json": "json", ".jsonl": "json", ".csv": "csv", ".parquet": "parquet"}


@dataclass(frozen=True)
class ColumnFacts:
    """A column. `class_names` are in the order of their numbers, empty for other kinds."""

    name: str
    kind: Kind
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitFacts:
    """A split: its number of rows, and its columns in their order."""

    name: str
    num_rows: int
    columns: tuple[ColumnFacts, ...]


@dataclass(frozen=True)
class DatasetFacts:
    """A dataset as a config names it.

    `path` is what was given, or today's name of a dataset that moved on the hub; `revision` the
    commit if it came from there. `notes` are sentences that the user should see.
    """

    path: str
    name: str | None
    revision: str | None
    data_files: Mapping[str, str] | None
    splits: tuple[SplitFacts, ...]
    notes: tuple[str, ...] = ()


def describe_dataset(path: str, name: str | None) -> DatasetFacts:
    """Look into a dataset. What is not on this machine yet is downloaded, as a run would do.

    Args:
        path: what `dataset.path` takes, or one data file (json, jsonl, csv, parquet), which
            becomes the split `validation`.
        name: configuration of the dataset, if it has several.

    Raises:
        ConfigError: it is nowhere, or cannot be opened.
        UsageError: a file of another kind.
    """
    data_files = None
    file = Path(path).expanduser()
    if file.is_file():
        builder = _BUILDER_OF_ENDING.get(file.suffix.lower())
        if builder is None:
            raise UsageError(
                f"--dataset {path}: a file whose name ends in {file.suffix or 'nothing'!r}",
                hint=f"Files may end in {', '.join(_BUILDER_OF_ENDING)}; or give a folder.",
            )
        data_files, path = {"validation": path}, builder
    # The columns are what is looked for: nothing is known of them yet.
    config = DatasetConfig(
        path=path, name=name, data_files=data_files, data_keys={}, ref_keys=("unknown",)
    )
    try:
        source = find_source(config)
    except ConfigError as error:
        if [problem.path for problem in error.problems] != ["dataset.name"]:
            raise
        raise UsageError(str(error), hint="Choose one of them with --dataset-name.") from None
    splits = []
    for split in source.splits:
        rows = source.read(split)
        splits.append(SplitFacts(split, len(rows), _columns(rows.features)))
    return DatasetFacts(
        path=source.location if source.origin == "hub" else path,
        name=name,
        revision=source.revision,
        data_files=data_files,
        splits=tuple(splits),
        notes=source.notes,
    )


def tokenizer_limit(model_dir: Path) -> int | None:
    """The most tokens that a model's tokenizer is set to; None if it says nothing."""
    path = model_dir / "tokenizer_config.json"
    if not path.is_file():
        return None
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from None
    limit = settings.get("model_max_length") if isinstance(settings, dict) else None
    # A tokenizer without a limit says 10^30.
    return int(limit) if isinstance(limit, int | float) and 0 < limit < 10**9 else None


def _columns(features: Features) -> tuple[ColumnFacts, ...]:
    return tuple(
        ColumnFacts(name, _kind(feature), _class_names(feature))
        for name, feature in features.items()
    )


def _class_names(feature: Any) -> tuple[str, ...]:
    label = class_label(feature)
    return () if label is None else tuple(label.names or ())


def _kind(feature: Any) -> Kind:
    from datasets import ClassLabel, Image, LargeList, List, Value

    if isinstance(feature, ClassLabel):
        return "classes"
    if isinstance(feature, Image):
        return "image"
    if isinstance(feature, Value):
        dtype = str(feature.dtype)
        if dtype in ("string", "large_string", "string_view"):
            return "text"
        if dtype.startswith(("int", "uint")):
            return "integer"
        return "number" if dtype.startswith("float") else "other"
    if isinstance(feature, List | LargeList):
        return _LISTS.get(_kind(feature.feature), "other")
    if isinstance(feature, dict) and _kind(feature.get("text")) in ("text", "texts"):
        return "answers"
    return "other"
