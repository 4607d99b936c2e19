"""The units that make files: `export`, `calibrate`, `quantize`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from quantbench import registry, store
from quantbench.core.errors import QuantbenchError
from quantbench.core.quantization import Float32
from quantbench.core.results import Artifact
from quantbench.core.units import CalibrateUnit, ExportUnit, QuantizeUnit, Ranges
from quantbench.data.sampling import sample_indices
from quantbench.protocols import Inputs, OnProgress, Progress, TaskRun
from quantbench.tasks.rows import naming_row
from quantbench.worker.opened import opened_as_pinned
from quantbench.worker.reads import (
    ENCODING_PACKAGES,
    STAGE_VERSIONS,
    num_threads,
    stored_file,
    task_reads,
    versions,
)

# Shapes that an export is checked with: other than those that it was traced with.
CHECKED_SHAPES = ((1, 16), (2, 11), (3, 8))


def export(unit: ExportUnit, root: Path) -> Artifact:
    """Export the model, or take the ONNX file that was given; check it, and keep the file.

    Raises:
        QuantbenchError: the exporter failed, or the file differs from PyTorch or does not run.
    """
    from quantbench.stages.check import check_file
    from quantbench.stages.export import export_onnx
    from quantbench.stages.given import take_onnx

    opened = opened_as_pinned(unit.config, unit.subject)
    spec = registry.task(unit.config.task).spec
    reads = {
        "model": unit.subject.model_digest,
        "auto_class": spec.auto_class,
        "opset": unit.opset,
        "levels": unit.levels,
        "tools": versions("torch", "transformers", "onnx", "onnxruntime"),
    }
    samples = _check_inputs(opened.task)
    key = store.artifact_key("export", STAGE_VERSIONS["export"], reads)

    def build(folder: Path) -> store.Facts:
        started = time.perf_counter()
        path = folder / "model.onnx"
        given, difference = opened.source.onnx, None
        if given is not None:
            take_onnx(given.path, samples, path)
        else:
            facts = export_onnx(opened.source.directory, spec.auto_class, unit.opset, samples, path)
            difference = facts.max_abs_difference
        seconds = time.perf_counter() - started
        executed = check_file(path, unit.levels, samples[0], num_threads(unit.config))
        return _artifact(key, path, seconds, executed_nodes=executed, max_abs_difference=difference)

    return Artifact.model_validate(store.make(root, key, build).facts)


def calibrate(unit: CalibrateUnit, root: Path, on_progress: OnProgress) -> Ranges:
    """Find the activation ranges of an exported file over samples of the calibration split.

    Raises:
        QuantbenchError: there is no such split, or a range is no number.
        ConfigError: a row cannot be encoded.
    """
    from quantbench.stages.calibrate import collect_ranges

    opened = opened_as_pinned(unit.config, unit.subject)
    split = opened.calibrated
    if split is None:
        raise QuantbenchError("static quantization needs dataset.calibration_split")
    config = unit.config
    wanted = unit.calibration.num_calibration_samples
    indices = sample_indices(split.num_rows, wanted, config.sampling, config.seed)
    reads = {
        "exported": unit.exported_key,
        "operators": unit.operators,
        "method": unit.calibration.method,
        "data": split.fingerprint,
        "indices": indices,
        "task": task_reads(config, unit.subject),
        "tools": versions("onnx", "onnxruntime", *ENCODING_PACKAGES),
    }
    key = store.artifact_key("calibrate", STAGE_VERSIONS["calibrate"], reads)

    def samples() -> Iterator[Inputs]:
        for index in indices:
            with naming_row(index):
                encoded = opened.task.encode(split.row(index))
            yield from (part.inputs for part in encoded)

    def build(folder: Path) -> store.Facts:
        started = time.perf_counter()
        facts = collect_ranges(
            stored_file(root, unit.exported_key),
            samples(),
            unit.operators,
            unit.calibration.method,
            folder / "ranges.json",
            on_sample=lambda done: on_progress(
                Progress(done, max(done, len(indices)), f"sample {done} of {len(indices)}")
            ),
        )
        return {
            "num_samples": len(indices),
            "num_tensors": facts.num_tensors,
            "seconds": time.perf_counter() - started,
        }

    return Ranges(key=key, **store.make(root, key, build).facts)


def quantize(unit: QuantizeUnit, root: Path) -> Artifact:
    """Quantize an exported file, check it, and keep the result.

    Raises:
        QuantbenchError: the quantizer failed, or the runtime cannot run the file.
    """
    from quantbench.stages.check import check_file
    from quantbench.stages.quantize import quantize_model

    scheme = unit.variant.quantization
    if isinstance(scheme, Float32):
        raise QuantbenchError(
            "a float32 variant is the export itself: there is nothing to quantize"
        )
    opened = opened_as_pinned(unit.config, unit.subject)
    reads = {
        "exported": unit.exported_key,
        "ranges": unit.ranges_key,
        "scheme": scheme.model_dump(mode="json", exclude={"calibration"}),
        "levels": unit.levels,
        "tools": versions("onnx", "onnxruntime"),
    }
    key = store.artifact_key("quantize", STAGE_VERSIONS["quantize"], reads)

    def build(folder: Path) -> store.Facts:
        started = time.perf_counter()
        ranges = (
            None if unit.ranges_key is None else stored_file(root, unit.ranges_key, "ranges.json")
        )
        path = folder / "model.onnx"
        facts = quantize_model(stored_file(root, unit.exported_key), scheme, ranges, path)
        seconds = time.perf_counter() - started
        sample = _check_inputs(opened.task)[0]
        executed = check_file(path, unit.levels, sample, num_threads(unit.config))
        return _artifact(
            key,
            path,
            seconds,
            executed_nodes=executed,
            nodes=facts.nodes,
            exclusion_matches=facts.exclusion_matches,
            exclusion_effects=facts.exclusion_effects,
        )

    return Artifact.model_validate(store.make(root, key, build).facts)


def _check_inputs(task: TaskRun) -> list[Inputs]:
    rng = np.random.default_rng(0)
    return [task.dummy_inputs(batch, length, rng) for batch, length in CHECKED_SHAPES]


def _artifact(key: str, path: Path, seconds: float, **facts: Any) -> store.Facts:
    import onnx

    from quantbench.graph.counts import default_opset
    from quantbench.graph.digest import graph_digest

    model = onnx.load(path)
    artifact = Artifact(
        key=key,
        num_bytes=path.stat().st_size,
        sha256=store.file_sha256(path),
        graph_digest=graph_digest(model),
        opset=default_opset(model),
        seconds=seconds,
        **facts,
    )
    return artifact.model_dump(mode="json")
