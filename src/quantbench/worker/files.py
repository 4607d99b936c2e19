"""The units that make files: `export`, `optimize`, `calibrate`, `quantize`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quantbench import registry, store
from quantbench.core.errors import QuantbenchError
from quantbench.core.quantization import Float32
from quantbench.core.results import Artifact
from quantbench.core.units import (
    CalibrateUnit,
    ExportUnit,
    Optimized,
    OptimizeUnit,
    QuantizeUnit,
    Ranges,
)
from quantbench.protocols import Inputs, Progress, TaskRun
from quantbench.tasks.rows import naming_row
from quantbench.worker.access import Access
from quantbench.worker.keys import (
    calibrate_key,
    calibrated_rows,
    export_key,
    optimize_key,
    quantize_key,
    smoothed_rows,
)
from quantbench.worker.opened import Opened, check_unchanged, opened_as_pinned
from quantbench.worker.sessions import num_threads

# Shapes that an export is checked with: other than those that it was traced with.
CHECKED_SHAPES = ((1, 16), (2, 11), (3, 8))


def export(unit: ExportUnit, access: Access) -> Artifact:
    """Export the model, or take the ONNX file that was given; check it, and keep the file.

    Raises:
        QuantbenchError: the exporter failed, or the file differs from PyTorch or does not run.
    """
    from quantbench.stages.check import check_file
    from quantbench.stages.export import export_onnx
    from quantbench.stages.given import take_onnx

    opened = opened_as_pinned(unit.config, unit.subject)
    spec = registry.task(unit.config.task).spec
    samples = _check_inputs(opened.task)
    key = export_key(unit)

    def build(folder: Path) -> store.Facts:
        started = time.perf_counter()
        path = folder / "model.onnx"
        given, difference = opened.source.onnx, None
        if given is not None:
            take_onnx(given.path, samples, path, spec.output_names)
        else:
            facts = export_onnx(
                opened.source.directory,
                spec.auto_class,
                unit.export.opset,
                samples,
                path,
                unit.export.exporter,
            )
            difference = facts.max_abs_difference
        check_unchanged(opened)
        seconds = time.perf_counter() - started
        executed = check_file(path, unit.levels, samples[0], num_threads(unit.config))
        return _artifact(key, path, seconds, executed_nodes=executed, max_abs_difference=difference)

    return Artifact.model_validate(access.make(key, unit.stage, build))


def optimize(unit: OptimizeUnit, access: Access) -> Optimized:
    """Prepare an exported file to be calibrated and quantized, and check it.

    Raises:
        QuantbenchError: it cannot be prepared like that, or does not compute the same after it.
    """
    from quantbench.stages.optimize import optimize_model

    opened = opened_as_pinned(unit.config, unit.subject)
    key, indices = optimize_key(unit), smoothed_rows(unit)

    def build(folder: Path) -> store.Facts:
        started = time.perf_counter()
        path = folder / "model.onnx"
        facts = optimize_model(
            access.file(unit.exported_key),
            unit.preparation,
            _check_inputs(opened.task),
            path,
            opened.source.config,
            _samples(opened, indices),
            _on_sample(access, len(indices)),
        )
        check_unchanged(opened)
        optimized = Optimized(
            key=key,
            num_bytes=path.stat().st_size,
            sha256=store.file_sha256(path),
            facts=facts,
            seconds=time.perf_counter() - started,
        )
        return optimized.model_dump(mode="json")

    return Optimized.model_validate(access.make(key, unit.stage, build))


def calibrate(unit: CalibrateUnit, access: Access) -> Ranges:
    """Find the activation ranges of a float file over samples of the calibration split.

    Raises:
        QuantbenchError: there is no such split, or a range is no number.
        ConfigError: a row cannot be encoded.
    """
    from quantbench.stages.calibrate import collect_ranges

    opened = opened_as_pinned(unit.config, unit.subject)
    key, indices = calibrate_key(unit), calibrated_rows(unit)

    def build(folder: Path) -> store.Facts:
        started = time.perf_counter()
        facts = collect_ranges(
            access.file(unit.float_key),
            _samples(opened, indices),
            unit.operators,
            unit.calibration,
            folder / "ranges.json",
            on_sample=_on_sample(access, len(indices)),
        )
        check_unchanged(opened)
        seconds = time.perf_counter() - started
        ranges = Ranges(
            key=key, num_samples=len(indices), num_tensors=facts.num_tensors, seconds=seconds
        )
        return ranges.model_dump(mode="json")

    return Ranges.model_validate(access.make(key, unit.stage, build))


def quantize(unit: QuantizeUnit, access: Access) -> Artifact:
    """Quantize a float file, check it, and keep the result.

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
    key = quantize_key(unit)

    def build(folder: Path) -> store.Facts:
        started = time.perf_counter()
        ranges = None if unit.ranges_key is None else access.file(unit.ranges_key, "ranges.json")
        path = folder / "model.onnx"
        facts = quantize_model(access.file(unit.float_key), scheme, ranges, path)
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
            float_key=unit.float_key,
            num_masked_nodes=facts.num_masked_nodes,
        )

    return Artifact.model_validate(access.make(key, unit.stage, build))


def _samples(opened: Opened, indices: Sequence[int]) -> Iterator[Inputs]:
    """Rows of the calibration split, encoded one by one.

    Raises:
        QuantbenchError: there is no such split.
        ConfigError: a row cannot be encoded.
    """
    split = opened.calibrated
    if split is None:
        raise QuantbenchError("static quantization needs dataset.calibration_split")
    for index in indices:
        with naming_row(index):
            encoded = opened.task.encode(split.row(index))
        yield from (part.inputs for part in encoded)


def _on_sample(access: Access, num_samples: int) -> Callable[[int], None]:
    """Tells how many samples are done; one row may be several."""
    return lambda done: access.on_progress(
        Progress(done, max(done, num_samples), f"sample {done} of {num_samples}")
    )


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
