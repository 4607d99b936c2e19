"""Datasets from the hub: always the very commit that the revision means.

Left alone, the datasets library answers whatever fails with the commit that it prepared last, or
with a local folder of the same name that it once loaded.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.core.config import DatasetConfig
from quantbench.data import hub
from quantbench.data.builders import Source, open_builder, split_names
from quantbench.data.dataset_errors import explained, refuse
from quantbench.data.empty_data import read_split
from quantbench.data.hub_errors import DamagedFileError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetBuilder


def find_on_hub(dataset: DatasetConfig) -> Source:
    """Find a dataset on the hub, or in the cache if the hub cannot be reached.

    Raises:
        ConfigError: it is not there, or cannot be had at the revision that is asked for.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    refuse_addresses(dataset, "data files of a dataset on the hub must be in its repository")
    try:
        validate_repo_id(dataset.path)
    except HFValidationError:
        message = "neither a folder that exists here nor a name on the hub (owner/name)"
        refuse(dataset, "path", message, given=dataset.path)
    with explained(dataset, dataset.path):
        pinned = hub.pin("dataset", dataset.path, dataset.revision)
    name = pinned.name
    extra: dict[str, Any] = {"name": dataset.name}
    if dataset.data_files:
        extra["data_files"] = {
            split: files if isinstance(files, str) else list(files)
            for split, files in dataset.data_files.items()
        }
    notes = pinned.notes
    if pinned.unreachable is None:
        with explained(dataset, name):
            builder = hub.retrying(lambda: _online(name, pinned.commit, extra))
    else:
        builder = _cached(dataset, pinned, extra)
    commit = _commit(builder)
    if commit is None or commit != (pinned.commit or commit):
        refuse(dataset, "path", _other_data(builder, pinned), given=dataset.path)
    if pinned.unreachable is not None:
        cached = f"{name} is what the cache holds, commit {commit}"
        notes = (*notes, f"the hub cannot be reached ({pinned.unreachable}): {cached}")
    snapshot = hub.snapshot_folder("dataset", name, commit)

    def prepare() -> None:
        try:
            builder.download_and_prepare()
        except Exception as error:
            # Damaged files fail in many ways, and would stay in the cache.
            damaged = hub.remove_damaged(snapshot) if snapshot.is_dir() else ()
            if damaged:
                raise DamagedFileError(", ".join(damaged)) from error
            raise

    def read(split: str) -> Dataset:
        with explained(dataset, name):
            hub.retrying(prepare)
            return read_split(dataset, builder, split)

    return Source("hub", name, commit, split_names(builder), read, notes)


def refuse_addresses(dataset: DatasetConfig, message: str) -> None:
    """Refuse data files that are not names but addresses, of whatever host.

    Raises:
        ConfigError: with the first of them.
    """
    for split, files in (dataset.data_files or {}).items():
        for file in [files] if isinstance(files, str) else files:
            if "://" in file:
                refuse(dataset, f"data_files.{split}", message, given=file)


def _online(name: str, commit: str | None, extra: Mapping[str, Any]) -> DatasetBuilder:
    """What the hub has at a commit. Raises what the library would hide."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        # The library asks for this file first, and does not say why it did not get it.
        hf_hub_download(name, "README.md", repo_type="dataset", revision=commit)
    except LocalEntryNotFoundError:
        raise
    except EntryNotFoundError:
        pass  # a dataset may be without a card
    builder = open_builder(name, revision=commit, **extra)
    if _commit(builder) != commit:
        # It failed, and the library took what the cache has of any other commit instead.
        with tempfile.TemporaryDirectory() as empty:
            open_builder(name, revision=commit, cache_dir=empty, **extra)
        builder = open_builder(name, revision=commit, **extra)
    return builder


def _cached(
    dataset: DatasetConfig,
    pinned: hub.Pin,
    extra: Mapping[str, Any],
) -> DatasetBuilder:
    """What was loaded from the hub before, found without asking the hub again."""
    from datasets import config
    from datasets.naming import camelcase_to_snakecase

    name, revision = pinned.name, dataset.revision
    *owner, last = name.split("/")
    folder = Path(config.HF_DATASETS_CACHE) / "___".join([*owner, camelcase_to_snakecase(last)])
    at = "" if revision is None else f" at revision {revision}"
    if not folder.is_dir() or (revision is not None and pinned.commit is None):
        arguments = "".join(
            f", {key}={value!r}"
            for key, value in (("name", dataset.name), ("revision", revision))
            if value is not None
        )
        refuse(
            dataset,
            "path",
            f"no folder of that name is here, the hub cannot be reached ({pinned.unreachable}), "
            f"and {folder} has no data of it{at}. Once online: "
            f'`python -c "import datasets; datasets.load_dataset({name!r}{arguments})"`; '
            "or give a local folder (./name) or files",
            given=dataset.path,
        )
    was_offline = config.HF_HUB_OFFLINE
    # Else every file is asked for, with pauses, though the hub is known not to answer.
    config.HF_HUB_OFFLINE = True
    try:
        with explained(dataset, name):
            return open_builder(name, **extra)
    finally:
        config.HF_HUB_OFFLINE = was_offline


def _other_data(builder: DatasetBuilder, pinned: hub.Pin) -> str:
    reason = pinned.unreachable or "it failed to give the data"
    commit = _commit(builder)
    if commit is None:
        return (
            f"the hub cannot be reached ({reason}), and the cached data of that name is not from "
            "the hub: it is from a local folder that was loaded before. To use a folder give its "
            "path (./name); to use the hub, go online once"
        )
    return (
        f"the hub cannot be reached ({reason}), and the data that the cache gives is commit "
        f"{commit}, not {pinned.commit} as wanted. Go online once, or set dataset.revision to "
        "the cached commit"
    )


def _commit(builder: DatasetBuilder) -> str | None:
    # A builder of hub data is identified by its commit, every other by a shorter hash.
    found = str(builder.hash)
    return found if re.fullmatch(r"[0-9a-f]{40}", found) else None
