"""Keys of the store: what a unit reads is in them."""

import importlib.metadata
import json
from typing import Any

import pytest

from fake_backend import SUBJECT
from quantbench.core.config import SweepConfig
from quantbench.core.exporters import Export
from quantbench.core.plan import Variant
from quantbench.core.preparation import Preparation, Smoothing
from quantbench.core.quantization import Static
from quantbench.core.results import Subject
from quantbench.core.units import ExportUnit, OptimizeUnit, QuantizeUnit
from quantbench.worker.keys import export_key, optimize_key, quantize_key

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


def prepared_key(preparation: Preparation, **changes: Any) -> str:
    config = SweepConfig.model_validate_json(json.dumps(CONFIG | {"seed": changes.pop("seed", 0)}))
    changes = {"calibration_num_rows": 50, "calibration_fingerprint": "2" * 64} | changes
    subject = Subject.model_validate_json(json.dumps(SUBJECT | changes))
    return optimize_key(
        OptimizeUnit(config=config, subject=subject, exported_key="e", preparation=preparation)
    )


def test_each_preparation_has_its_own_key() -> None:
    found = [
        Preparation(fuse=True),
        Preparation(clamp_mask=True),
        Preparation(smoothing=Smoothing(alpha=0.5, num_calibration_samples=10)),
        Preparation(smoothing=Smoothing(alpha=0.6, num_calibration_samples=10)),
        Preparation(smoothing=Smoothing(alpha=0.5, num_calibration_samples=11)),
        Preparation(clamp_mask=True, smoothing=Smoothing(alpha=0.5, num_calibration_samples=10)),
    ]
    assert len({prepared_key(preparation) for preparation in found}) == len(found)


@pytest.mark.parametrize("change", [{"calibration_fingerprint": "3" * 64}, {"seed": 1}])
def test_a_prepared_file_depends_on_samples_only_where_they_are_run(change: dict[str, Any]) -> None:
    smoothed = Preparation(smoothing=Smoothing(alpha=0.5, num_calibration_samples=10))
    assert prepared_key(smoothed, **change) != prepared_key(smoothed)
    for preparation in (Preparation(clamp_mask=True), Preparation(fuse=True)):
        assert prepared_key(preparation, **change) == prepared_key(preparation)


def test_a_prepared_file_depends_on_the_model_only_where_its_config_is_read() -> None:
    change = {"model_digest": "f" * 64}
    assert prepared_key(Preparation(fuse=True), **change) != prepared_key(Preparation(fuse=True))
    clamped = Preparation(clamp_mask=True)
    assert prepared_key(clamped, **change) == prepared_key(clamped)


def test_what_only_the_preparation_reads_is_not_in_the_key_of_the_quantized_file() -> None:
    def quantized(**scheme: Any) -> str:
        static = Static(operators=("Add", "MatMul"), **scheme)
        variant = Variant(export=Export(opset=11), quantization=static)
        return quantize_key(
            QuantizeUnit(
                config=SweepConfig.model_validate_json(json.dumps(CONFIG)),
                subject=Subject.model_validate_json(json.dumps(SUBJECT)),
                variant=variant,
                float_key="f",
                ranges_key="r",
                levels=(99,),
            )
        )

    assert quantized(smooth_quant_alpha=0.5) == quantized()
    assert quantized(clamp_mask=False) != quantized()  # what sees the mask stays in floats
