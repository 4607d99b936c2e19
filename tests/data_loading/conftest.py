"""Offline, with caches of each test's own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantbench.core.config import DatasetConfig


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Isolated caches; returns the hub's."""
    import datasets.config
    import huggingface_hub.constants

    cache = tmp_path / "hub_cache"
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return cache


@pytest.fixture
def dataset_config() -> Callable[..., DatasetConfig]:
    """Makes a dataset config for rows with the columns `text` and `label`."""

    def make(path: str, **changes: Any) -> DatasetConfig:
        values = {
            "path": path,
            "eval_split": "validation",
            "data_keys": {"primary": "text"},
            "ref_keys": ("label",),
        }
        return DatasetConfig(**(values | changes))

    return make


@pytest.fixture
def write_jsonl() -> Callable[[Path, list[dict[str, Any]]], Path]:
    """Writes rows as JSON lines."""

    def write(path: Path, rows: list[dict[str, Any]]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


def weight_file(tensors: dict[str, tuple[str, list[int]]]) -> bytes:
    """The header of a safetensors file: names to types and shapes."""
    header = json.dumps(
        {"__metadata__": {"format": "pt"}}
        | {
            name: {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]}
            for name, (dtype, shape) in tensors.items()
        }
    ).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.fixture
def make_model() -> Callable[..., Path]:
    """Writes a directory that looks like a model; `files` changes or (None) removes some."""

    def make(directory: Path, **files: bytes | None) -> Path:
        config = {"model_type": "distilbert", "architectures": ["DistilBertForQuestionAnswering"]}
        content: dict[str, bytes | None] = {
            "config.json": json.dumps(config).encode(),
            "model.safetensors": weight_file({"weight": ("F32", [2, 3]), "ids": ("I64", [9])}),
            "tokenizer.json": b"{}",
        }
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in (content | files).items():
            if data is not None:
                (directory / name).write_bytes(data)
        return directory

    return make
