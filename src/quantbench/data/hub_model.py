"""Downloading a model from the hub: the files that are needed and no others."""

from __future__ import annotations

from pathlib import Path

from quantbench.core.errors import UsageError
from quantbench.data import model_files

PARAMETER = "model_name_or_path"


def download(name: str, revision: str | None) -> tuple[Path, str]:
    """Download a model, or find it in the hub's cache if the hub cannot be reached.

    Only the files of `model_files.MODEL_PATTERNS` and the README are taken: no code, no pickles.

    Returns:
        The directory, and the commit that it holds.

    Raises:
        UsageError: not a hub name, no such model or revision, no access, or no connection.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"{PARAMETER} = {name}"
    patterns = [*model_files.MODEL_PATTERNS, "README.md"]
    try:
        directory = Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except HFValidationError:
        raise UsageError(
            f"{where} is neither a directory that exists here nor a name on the hub",
            hint="Hub names look like owner/name; a local path starts with ./ or /.",
        ) from None
    except GatedRepoError:
        raise UsageError(
            f"{where}: the hub lets only people who accepted its terms download this model",
            hint="Accept them on the model's page, then log in with `hf auth login`.",
        ) from None
    except RepositoryNotFoundError:
        raise UsageError(
            f"{where}: no such directory here, and no such model on the hub that you may see",
            hint="Check the spelling (owner/name); for a private model log in: `hf auth login`.",
        ) from None
    except RevisionNotFoundError:
        raise UsageError(
            f"model_revision = {revision}: the model {name} has no such branch, tag or commit"
        ) from None
    except LocalEntryNotFoundError:
        at = "" if revision is None else f" at revision {revision}"
        raise UsageError(
            f"{where}: no such directory here, the hub cannot be reached, and config.json and "
            f"model.safetensors of the model{at} are not in its cache",
            hint=f"Once online: `hf download {name}`; or give a directory that holds the model.",
        ) from None
    except (HfHubHTTPError, OSError) as error:
        raise UsageError(f"{where}: the download failed: {error}", hint="Try again.") from error
    _check_format(name, directory)
    return directory, directory.name


def _check_format(name: str, directory: Path) -> None:
    """Name the file when a model has weights only in a format that was not downloaded."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if model_files.select(model_files.file_names(directory), model_files.WEIGHT_PATTERNS):
        return
    try:
        listed = HfApi().list_repo_files(name, revision=directory.name)
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError):
        return  # what is missing is said by the check of the directory
    unusable = model_files.select(listed, model_files.UNUSABLE_WEIGHTS)
    if unusable:
        raise UsageError(
            f"{name} has weights only as {', '.join(unusable)}, not as model.safetensors; "
            "such a file may run code when it is read",
            hint="If you trust it, load and save it once with transformers and give the "
            "directory, or use a revision that has safetensors (often refs/pr/1).",
        )
