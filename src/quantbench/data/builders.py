"""A dataset that was found, and the datasets library's way to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datasets import Dataset, DatasetBuilder

Origin = Literal["bundled", "files", "folder", "hub"]


@dataclass(frozen=True)
class Source:
    """A dataset that was found, before a split of it is read.

    `location` is the folder, the files or the hub name that it really is; `revision` the commit
    on the hub, None elsewhere. `read` loads one of `splits`. `notes` are sentences that the user
    should see.
    """

    origin: Origin
    location: str
    revision: str | None
    splits: tuple[str, ...]
    read: Callable[[str], Dataset]
    notes: tuple[str, ...] = ()


def open_builder(path: str, **extra: Any) -> DatasetBuilder:
    """Open a builder of the datasets library. Nothing is downloaded but what describes it."""
    from datasets import load_dataset_builder

    builder: DatasetBuilder = load_dataset_builder(path, **extra)
    return builder


def split_names(builder: DatasetBuilder) -> tuple[str, ...]:
    """The splits that a builder promises, in their order."""
    return tuple(str(name) for name in builder.info.splits or builder.config.data_files or {})
