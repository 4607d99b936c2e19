"""Finding a model: bundled, a local directory in transformers layout, or the hub."""

from __future__ import annotations

import glob
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from quantbench.core.config import ONNX_SUFFIX
from quantbench.core.errors import ConfigError, Problem, UsageError
from quantbench.core.specs import TaskSpec
from quantbench.data import model_files, onnx_model
from quantbench.data.bundled import PREFIX, bundled_directory
from quantbench.data.hub import download_command
from quantbench.data.hub_model import download
from quantbench.data.names import is_explicit_path, local_path
from quantbench.data.onnx_model import OnnxFile, find_onnx, read_onnx
from quantbench.data.stamps import stamp

PARAMETER = "model_name_or_path"
_LONGEST_FRONT = 65_536


@dataclass(frozen=True)
class ModelSource:
    """A model on this disk, pinned.

    `name` is what the config gave, or today's name of a model that moved on the hub. `revision`
    is the commit on the hub, None for local and bundled models. `digest` is the SHA-256 of the
    files that matter (see `model_files.digest`). `num_parameters` counts the values of the weight
    files. `config` is `config.json`. `notes` are sentences that the user should see. `onnx` is the
    ONNX file, if the model was given as one.
    """

    name: str
    directory: Path
    revision: str | None
    digest: str
    num_parameters: int
    config: dict[str, Any]
    model_type: str
    architecture: str
    license: str | None
    notes: tuple[str, ...]
    onnx: OnnxFile | None = None

    @property
    def repository(self) -> str:
        """`name` without the path of a file in it: what the hub calls the model."""
        return self.name if self.onnx is None else "/".join(self.name.split("/")[:2])


def resolve_model(name_or_path: str, revision: str | None) -> ModelSource:
    """Find a model and, if it is on the hub, download it.

    A directory that exists goes before a hub name. Safetensors weights are preferred; pickled
    ones are taken if they hold nothing but tensors (see `pickled_weights`).

    Args:
        name_or_path: `bundled:NAME`, a local directory, a name on the hub, or an ONNX file (see
            `onnx_model.find_onnx`).
        revision: branch, tag or commit on the hub; None for the default branch.

    Raises:
        UsageError: there is no such model, it cannot be reached, or its files are not usable;
            the message names the file and says how to get it.
    """
    if name_or_path.endswith(ONNX_SUFFIX):
        given = find_onnx(name_or_path, revision)
        return _read(given.name, given.directory, given.commit, given.notes, given.path)
    if name_or_path.startswith(PREFIX):
        directory = bundled_directory(name_or_path, PARAMETER) / "model"
        _refuse_revision(name_or_path, revision, "a model that comes with quantbench")
        if not directory.is_dir():
            raise UsageError(
                f"{name_or_path}: the package's files are missing from {directory}",
                hint="Install quantbench again.",
            )
    elif (local := local_path(PARAMETER, name_or_path)) is not None and local.is_dir():
        _refuse_revision(name_or_path, revision, "a local directory")
        directory = local.resolve()
    elif local is not None:
        raise UsageError(
            f"{PARAMETER} = {name_or_path} is a file",
            hint="Give the directory that holds config.json and model.safetensors.",
        )
    elif is_explicit_path(name_or_path):
        raise UsageError(
            f"{PARAMETER} = {name_or_path}: there is no such directory",
            hint="Give a directory with config.json and model.safetensors, or a hub name.",
        )
    else:
        found = download(name_or_path, revision)
        return _read(found.name, found.directory, found.commit, found.notes)
    return _read(name_or_path, directory, None, ())


def check_architecture(source: ModelSource, spec: TaskSpec) -> None:
    """Check that the model has the head of the task.

    Raises:
        ConfigError: it has another one, with which the answers would be random.
    """
    if source.architecture.endswith(spec.architecture_suffix):
        return
    problem = Problem(
        PARAMETER,
        f"is a {source.architecture}; {spec.name} needs a model that was trained for it, "
        f"with a name ending in {spec.architecture_suffix}",
        allowed=f"models that load with {spec.auto_class}",
    )
    raise ConfigError("config", [problem])


def _refuse_revision(name: str, revision: str | None, what: str) -> None:
    if revision is not None:
        raise UsageError(
            f"model_revision = {revision} means nothing for {name}, {what}",
            hint="Leave model_revision out: the files are used as they are.",
        )


def _read(
    name: str,
    directory: Path,
    commit: str | None,
    notes: tuple[str, ...],
    onnx_file: Path | None = None,
) -> ModelSource:
    if commit is None:
        hint = "A model in transformers layout has one: model.save_pretrained(directory)."
    else:
        hint = f"If the hub has one: {download_command('model', name, commit)}."
    config = _read_config(name, directory, hint)
    if onnx_file is None:
        _check_weights(name, directory, hint)
    architectures = config.get("architectures")
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not isinstance(architectures, list) or not architectures:
        missing = "model_type" if not isinstance(model_type, str) else "architectures"
        raise UsageError(
            f"{name}: {directory / model_files.CONFIG_FILE} has no {missing}",
            hint="Save the model with its task's head: model.save_pretrained(directory).",
        )
    before = stamp([f"{glob.escape(str(directory))}/*"])
    onnx = None if onnx_file is None else read_onnx(onnx_file)
    source = ModelSource(
        name=name,
        directory=directory,
        revision=commit,
        digest=(
            model_files.digest(directory) if onnx is None else onnx_model.digest(onnx, directory)
        ),
        num_parameters=(
            model_files.num_parameters(directory) if onnx is None else onnx.num_parameters
        ),
        config=config,
        model_type=model_type,
        architecture=str(architectures[0]),
        license=_license(directory / "README.md"),
        notes=notes,
        onnx=onnx,
    )
    if stamp([f"{glob.escape(str(directory))}/*"]) != before:
        raise UsageError(
            f"{name}: files in {directory} changed while they were read",
            hint="Run the command again when nothing writes to them any more.",
        )
    return source


def _read_config(name: str, directory: Path, hint: str) -> dict[str, Any]:
    path = directory / model_files.CONFIG_FILE
    if not path.is_file():
        raise UsageError(f"{name}: there is no config.json in {directory}", hint=hint)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: {path} is not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise UsageError(f"{name}: {path} is not a JSON object")
    if config.get("transformers_weights") is not None:
        raise UsageError(
            f"{name}: {path} moves the weights to another file (transformers_weights)",
            hint="Save the model with save_pretrained: weights must have their ordinary names.",
        )
    return config


def _check_weights(name: str, directory: Path, hint: str) -> None:
    names = model_files.file_names(directory)
    shards = model_files.missing_shards(directory)
    if shards:
        raise UsageError(
            f"{name}: {model_files.index_file(names)} names weights that are missing from "
            f"{directory}: {', '.join(shards)}",
            hint="Download the model again.",
        )
    if model_files.weight_files(names):
        return
    onnx_files = sorted(
        path.relative_to(directory).as_posix()
        for folder in (directory, directory / "onnx")
        for path in folder.glob(f"*{ONNX_SUFFIX}")
    )
    if onnx_files:
        raise UsageError(
            f"{name}: there are no weights for PyTorch in {directory}",
            hint=f"To start from an ONNX file, name it: {PARAMETER}: "
            f"{name.rstrip('/')}/{onnx_files[0]}",
        )
    unusable = model_files.select(names, model_files.UNUSABLE_WEIGHTS)
    if unusable:
        raise UsageError(
            f"{name}: the only weights in {directory} are {', '.join(unusable)}, "
            "which this program does not read",
            hint="Load and save the model once with the library that wrote it, for "
            "transformers: save_pretrained writes model.safetensors.",
        )
    raise UsageError(f"{name}: there are no weights (model.safetensors) in {directory}", hint=hint)


def _license(readme: Path) -> str | None:
    """The license that the model card's front matter names, if it does.

    Front matter that is longer than `_LONGEST_FRONT`, or has aliases, is not read: a few lines of
    aliases can stand for gigabytes.
    """
    if not readme.is_file():
        return None
    with readme.open(encoding="utf-8", errors="replace") as file:
        text = file.read(_LONGEST_FRONT)
    match = re.match(r"\A---\s*\n(.*?)\n---\s*(\n|\Z)", text, re.DOTALL)
    try:
        front = match.group(1) if match else ""
        events = yaml.parse(front, Loader=yaml.SafeLoader)
        aliases = any(isinstance(event, yaml.AliasEvent) for event in events)
        data = None if aliases else yaml.safe_load(front)
    except (yaml.YAMLError, ValueError, LookupError, OverflowError, RecursionError):
        return None  # a card that cannot be read names no license
    value = data.get("license") if isinstance(data, dict) else None
    return value if isinstance(value, str) else None
