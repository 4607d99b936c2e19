"""Errors of the datasets library, said in terms of the config."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from quantbench.core.config import DatasetConfig
from quantbench.core.errors import ConfigError, Problem
from quantbench.data.hub_errors import explain
from quantbench.data.moved_names import PARQUET_REVISION


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


@contextmanager
def explained(dataset: DatasetConfig, hub_name: str | None) -> Iterator[None]:
    """Silence the library's bars and warnings, and say of its errors which parameter they mean.

    Args:
        dataset: the config's dataset.
        hub_name: its name on the hub; None for local data.
    """
    import datasets
    import httpx2
    from datasets.exceptions import DatasetGenerationError, DatasetsError
    from datasets.utils import logging

    had_bars = not datasets.are_progress_bars_disabled()
    level = logging.get_verbosity()
    datasets.disable_progress_bars()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    except (OSError, ValueError, RuntimeError, DatasetsError, httpx2.HTTPError) as error:
        if hub_name is not None:
            _refuse_hub(dataset, hub_name, error)
        if isinstance(error, DatasetGenerationError):
            parameter = "data_files" if dataset.data_files else "path"
            refuse(dataset, parameter, f"the data cannot be read: {error.__cause__ or error}")
        _refuse_other(dataset, str(error).strip() or type(error).__name__)
    finally:
        logging.set_verbosity(level)
        if had_bars:
            datasets.enable_progress_bars()


def _refuse_hub(dataset: DatasetConfig, name: str, error: Exception) -> None:
    found = explain(error, "dataset", name, dataset.revision)
    if found is not None:
        parameter = "path" if found.about == "name" else "revision"
        given = dataset.path if found.about == "name" else dataset.revision
        refuse(dataset, parameter, f"{found.message}. {found.hint}", given=given)
    if "scripts are no longer supported" in str(error):
        refuse(
            dataset,
            "revision",
            f"the dataset is a script at this revision, and scripts are not run; the hub keeps a "
            f"copy without one, if it could make it: {PARQUET_REVISION}",
            given=dataset.revision,
        )


def _refuse_other(dataset: DatasetConfig, text: str) -> None:
    if "BuilderConfig" in text or "Config name" in text or "for config" in text:
        refuse(dataset, "name", text.split("\nExample")[0], given=dataset.name)
    parameter = "data_files" if dataset.data_files else "path"
    given = None if dataset.data_files else dataset.path
    refuse(dataset, parameter, f"cannot be loaded: {text}", given=given)
