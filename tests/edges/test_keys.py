"""Keys of the store: what a unit reads is in them."""

import importlib.metadata
import json
from typing import Any

import pytest

from fake_backend import SUBJECT
from quantbench.core.config import SweepConfig
from quantbench.core.exporters import Export
from quantbench.core.results import Subject
from quantbench.core.units import ExportUnit
from quantbench.worker.keys import export_key

CONFIG: dict[str, Any] = {
    "task": "question-answering",
    "model_name_or_path": "m",
    "dataset": {
        "path": "squad",
        "data_keys": {"question": "question", "context": "context"},
        "ref_keys": ["answers"],
    },
}


def key(export: Export) -> str:
    config = SweepConfig.model_validate_json(json.dumps(CONFIG))
    subject = Subject.model_validate_json(json.dumps(SUBJECT))
    return export_key(ExportUnit(config=config, subject=subject, export=export, levels=(99,)))


def test_files_of_two_exporters_and_of_two_opsets_are_kept_apart() -> None:
    exports = [
        Export(opset=18),
        Export(opset=18, exporter="dynamo"),
        Export(opset=19, exporter="dynamo"),
    ]
    assert len({key(export) for export in exports}) == len(exports)


def test_only_dynamo_depends_on_the_packages_that_it_computes_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torchscript, dynamo = Export(opset=18), Export(opset=18, exporter="dynamo")
    before = key(torchscript), key(dynamo)
    version = importlib.metadata.version

    def without_onnxscript(name: str) -> str:
        if name == "onnxscript":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without_onnxscript)
    assert key(torchscript) == before[0]
    assert key(dynamo) != before[1]
