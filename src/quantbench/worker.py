"""One unit of work in, one result out: what every backend runs.

`python -m quantbench.worker` reads units as JSON lines and answers each with progress messages
and one result. It finds and keeps artifacts in the store by the key of their content.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantbench import environment, registry, store
from quantbench.child import Message, serve
from quantbench.core.config import SweepConfig
from quantbench.core.errors import ConfigError, Problem, QuantbenchError, UsageError
from quantbench.core.frozen import Frozen
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.quantization import Float32
from quantbench.core.results import Artifact, Evaluation, Failed, Subject
from quantbench.core.units import (
    UNIT,
    CalibrateUnit,
    CellTimings,
    EvaluateUnit,
    ExportUnit,
    Prepared,
    PrepareUnit,
    QuantizeUnit,
    Ranges,
    Refused,
    TimeUnit,
)
from quantbench.data.models import ModelSource, check_architecture, resolve_model
from quantbench.data.rows import Split, load_split
from quantbench.data.sampling import sample_indices
from quantbench.protocols import Inputs, OnProgress, Progress, SessionOptions, TaskRun
from quantbench.tasks.rows import check_references, naming_row

# Raised when the code of a stage changes what it makes, so that old artifacts are not reused.
STAGE_VERSIONS = {"export": 1, "calibrate": 1, "quantize": 1, "evaluate": 1}

# Shapes that an export is checked with: other than those that it was traced with.
CHECKED_SHAPES = ((1, 16), (2, 11), (3, 8))


# What turns rows into arrays: their versions can change tokens and pixels.
_ENCODING_PACKAGES = ("datasets", "numpy", "pillow", "tokenizers", "transformers")


@dataclass(frozen=True)
class Opened:
    """The model, data and task of a config, found and loaded."""

    source: ModelSource
    task: TaskRun
    evaluated: Split
    calibrated: Split | None


def main() -> None:
    """Serve units of work until stdin closes."""
    serve(answer)


def answer(message: Message, send: Callable[[Message], None]) -> Message:
    """Do one unit of work. Every failure becomes a `Failed` record: a row, not an end."""

    def on_progress(progress: Progress) -> None:
        send({"progress": {"done": progress.done, "total": progress.total, "text": progress.text}})

    stage = str(message["unit"].get("stage"))
    result: Frozen
    try:
        result = run_unit(message["unit"], Path(message["store"]), on_progress)
    except UsageError as error:
        result = Refused(message=str(error))
    except QuantbenchError as error:
        result = Failed(stage=stage, error=str(error.args[0]), hint=error.hint)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        result = Failed(stage=stage, error=text, log=traceback.format_exc()[-4000:])
    if isinstance(result, Refused) and stage != "prepare":
        result = Failed(stage=stage, error=result.message)
    return {
        "result": result.model_dump(mode="json"),
        "peak_rss_bytes": environment.peak_rss_bytes(),
    }


def run_unit(data: Mapping[str, Any], root: Path, on_progress: OnProgress) -> Frozen:
    """Do one unit of work.

    Args:
        data: a unit of `quantbench.core.units` as JSON data.
        root: the artifact store.
        on_progress: told how far the unit is.
    """
    unit = UNIT.validate_json(json.dumps(data))
    match unit:
        case PrepareUnit():
            return _prepare(unit.config)
        case ExportUnit():
            return _export(unit, root)
        case CalibrateUnit():
            return _calibrate(unit, root, on_progress)
        case QuantizeUnit():
            return _quantize(unit, root)
        case EvaluateUnit():
            return _evaluate(unit, root, on_progress)
        case TimeUnit():
            return _time(unit, root, on_progress)


def _prepare(config: SweepConfig) -> Prepared:
    cpu = environment.read_cpu()
    if config.num_threads is not None and config.num_threads > cpu.logical_cores:
        message = f"more threads than the {cpu.logical_cores} processors of this machine"
        raise ConfigError("config", [Problem("num_threads", message, str(config.num_threads))])
    wanted = config.backend_args.get("supported_instructions")
    environment.check_instructions(None if wanted is None else str(wanted), cpu.flags)
    opened = open_config(config.model_dump_json())
    source, calibrated = opened.source, opened.calibrated
    subject = Subject(
        model_name_or_path=config.model_name_or_path,
        model_revision=source.revision,
        model_digest=source.digest,
        model_type=source.model_type,
        architecture=source.architecture,
        num_parameters=source.num_parameters,
        license=source.license,
        dataset_path=config.dataset.path,
        dataset_revision=opened.evaluated.revision,
        eval_fingerprint=opened.evaluated.fingerprint,
        eval_num_rows=opened.evaluated.num_rows,
        num_eval_samples=len(_eval_indices(config, opened)),
        calibration_fingerprint=None if calibrated is None else calibrated.fingerprint,
        calibration_num_rows=None if calibrated is None else calibrated.num_rows,
    )
    _check_samples(config, opened)
    num_threads = config.num_threads or cpu.allowed_cores
    splits = [opened.evaluated, *([] if calibrated is None else [calibrated])]
    notes = dict.fromkeys([*source.notes, *(note for split in splits for note in split.notes)])
    found = environment.read_environment(num_threads)
    return Prepared(subject=subject, environment=found, notes=tuple(notes))


def _check_samples(config: SweepConfig, opened: Opened) -> None:
    """Find out before any work whether samples and shapes fit the model.

    All references are read, one sample is encoded per split, and one input is made per length.

    Raises:
        UsageError: what does not fit, and where.
    """
    task, evaluated = opened.task, opened.evaluated
    indices = _eval_indices(config, opened)
    check_references(task, zip(indices, evaluated.without_images(indices), strict=True))
    for split, first in ((evaluated, indices[0]), (opened.calibrated, 0)):
        if split is not None:
            with naming_row(first):
                task.encode(split.row(first))
    if registry.task(config.task).spec.uses_input_length:
        for length in config.input_lengths:
            task.dummy_inputs(1, length, np.random.default_rng(0))


def _export(unit: ExportUnit, root: Path) -> Artifact:
    from quantbench.stages.check import check_file
    from quantbench.stages.export import export_onnx

    opened = _opened(unit.config, unit.subject)
    spec = registry.task(unit.config.task).spec
    reads = {
        "model": unit.subject.model_digest,
        "auto_class": spec.auto_class,
        "opset": unit.opset,
        "levels": unit.levels,
        "tools": _versions("torch", "transformers", "onnx", "onnxruntime"),
    }
    samples = _check_inputs(opened.task)
    key = store.artifact_key("export", STAGE_VERSIONS["export"], reads)

    def build(folder: Path) -> store.Facts:
        started = time.perf_counter()
        path = folder / "model.onnx"
        facts = export_onnx(opened.source.directory, spec.auto_class, unit.opset, samples, path)
        seconds = time.perf_counter() - started
        executed = check_file(path, unit.levels, samples[0], _num_threads(unit.config))
        return _artifact(
            key,
            path,
            seconds,
            executed_nodes=executed,
            max_abs_difference=facts.max_abs_difference,
        )

    return Artifact.model_validate(store.make(root, key, build).facts)


def _calibrate(unit: CalibrateUnit, root: Path, on_progress: OnProgress) -> Ranges:
    from quantbench.stages.calibrate import collect_ranges

    opened = _opened(unit.config, unit.subject)
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
        "task": _task_reads(config, unit.subject),
        "tools": _versions("onnx", "onnxruntime", *_ENCODING_PACKAGES),
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
            _stored_file(root, unit.exported_key),
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


def _quantize(unit: QuantizeUnit, root: Path) -> Artifact:
    from quantbench.stages.check import check_file
    from quantbench.stages.quantize import quantize_model

    scheme = unit.variant.quantization
    if isinstance(scheme, Float32):
        raise QuantbenchError(
            "a float32 variant is the export itself: there is nothing to quantize"
        )
    opened = _opened(unit.config, unit.subject)
    reads = {
        "exported": unit.exported_key,
        "ranges": unit.ranges_key,
        "scheme": scheme.model_dump(mode="json", exclude={"calibration"}),
        "levels": unit.levels,
        "tools": _versions("onnx", "onnxruntime"),
    }
    key = store.artifact_key("quantize", STAGE_VERSIONS["quantize"], reads)

    def build(folder: Path) -> store.Facts:
        started = time.perf_counter()
        ranges = (
            None if unit.ranges_key is None else _stored_file(root, unit.ranges_key, "ranges.json")
        )
        path = folder / "model.onnx"
        facts = quantize_model(_stored_file(root, unit.exported_key), scheme, ranges, path)
        seconds = time.perf_counter() - started
        sample = _check_inputs(opened.task)[0]
        executed = check_file(path, unit.levels, sample, _num_threads(unit.config))
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


def _evaluate(unit: EvaluateUnit, root: Path, on_progress: OnProgress) -> Evaluation:
    from quantbench.stages.evaluate import evaluate

    config, opened = unit.config, _opened(unit.config, unit.subject)
    spec = registry.task(config.task).spec
    metrics = config.metrics or tuple(metric.name for metric in spec.metrics)
    indices = _eval_indices(config, opened)
    reads = {
        "model": unit.subject.model_digest,
        "graph": unit.graph_digest,
        "framework": unit.arm.framework,
        "optimization_level": unit.arm.optimization_level,
        "num_threads": unit.num_threads,
        "data": opened.evaluated.fingerprint,
        "indices": indices,
        "metrics": metrics,
        "cluster_key": config.dataset.cluster_key,
        "task": _task_reads(config, unit.subject),
        "machine": environment.accuracy_fingerprint(environment.read_cpu()),
        "tools": _versions("torch", "onnxruntime", *_ENCODING_PACKAGES),
    }
    key = store.artifact_key("evaluate", STAGE_VERSIONS["evaluate"], reads)

    def build(_: Path) -> store.Facts:
        options = _session_options(config, unit.arm.optimization_level, unit.num_threads)
        path = _model_path(root, opened, unit.artifact_key)
        session = registry.runtime(unit.arm.framework).open(path, options)
        try:
            evaluation = evaluate(
                session,
                opened.task,
                (opened.evaluated.row(index) for index in indices),
                [str(index) for index in indices],
                metrics,
                config.dataset.cluster_key,
                on_sample=lambda done: on_progress(
                    Progress(done, len(indices), f"sample {done} of {len(indices)}")
                ),
            )
        finally:
            session.close()
        return evaluation.model_dump(mode="json")

    return Evaluation.model_validate(store.make(root, key, build).facts)


def _time(unit: TimeUnit, root: Path, on_progress: OnProgress) -> CellTimings:
    from quantbench.stages.time import ArmSpec, Comparison, time_cell

    config, opened = unit.config, _opened(unit.config, unit.subject)
    rng = np.random.default_rng(config.seed)
    inputs = opened.task.dummy_inputs(unit.cell.batch_size, unit.cell.input_length, rng)
    arms = tuple(
        ArmSpec(
            id=arm.id,
            framework=arm.framework,
            path=_model_path(root, opened, key),
            options=_session_options(config, arm.optimization_level, unit.num_threads),
        )
        for arm, key in unit.arms
    )
    timings = time_cell(
        Comparison(unit.cell, arms, unit.reference_id, ORIGINAL_ID),
        inputs,
        config.time_benchmark_args,
        environment.pinned_cpus(unit.num_threads),
        config.seed,
        on_progress=lambda part, text: on_progress(Progress(part, 1.0, text)),
    )
    return CellTimings(timings=timings)


@functools.lru_cache(maxsize=1)
def open_config(config_json: str) -> Opened:
    """Find and load the model, data and task of a config, and check that they fit.

    Raises:
        UsageError: the model, a split, a column or a label does not fit; all that is wrong.
    """
    config = SweepConfig.model_validate_json(config_json)
    task = registry.task(config.task)
    source = resolve_model(config.model_name_or_path, config.model_revision)
    check_architecture(source, task.spec)
    dataset = config.dataset
    evaluated = load_split(dataset, dataset.eval_split, "dataset.eval_split")
    approaches = config.benchmarked.get("quantization_approach", (config.quantization_approach,))
    calibrated = None
    if dataset.calibration_split is not None and "static" in approaches:
        calibrated = load_split(dataset, dataset.calibration_split, "dataset.calibration_split")
    run = task.open(
        source.directory,
        config.task_args,
        dataset.data_keys,
        dataset.ref_keys,
        evaluated.label_names(dataset.ref_keys[0]),
    )
    return Opened(source, run, evaluated, calibrated)


def _opened(config: SweepConfig, subject: Subject) -> Opened:
    """What the config names, which must still be what was pinned when the run began."""
    opened = open_config(config.model_dump_json())
    for what, found, pinned in (
        ("model", opened.source.digest, subject.model_digest),
        ("evaluation data", opened.evaluated.fingerprint, subject.eval_fingerprint),
    ):
        if found != pinned:
            raise QuantbenchError(
                f"the {what} changed since the run began ({pinned[:12]} → {found[:12]})",
                hint="Start again in a new run folder.",
            )
    return opened


def _eval_indices(config: SweepConfig, opened: Opened) -> tuple[int, ...]:
    return sample_indices(
        opened.evaluated.num_rows, config.max_eval_samples, config.sampling, config.seed
    )


def _check_inputs(task: TaskRun) -> list[Inputs]:
    rng = np.random.default_rng(0)
    return [task.dummy_inputs(batch, length, rng) for batch, length in CHECKED_SHAPES]


def _artifact(key: str, path: Path, seconds: float, **facts: Any) -> store.Facts:
    import onnx

    from quantbench.graph.digest import graph_digest

    model = onnx.load(path)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    artifact = Artifact(
        key=key,
        num_bytes=path.stat().st_size,
        sha256=store.file_sha256(path),
        graph_digest=graph_digest(model),
        opset=opset,
        seconds=seconds,
        **facts,
    )
    return artifact.model_dump(mode="json")


def _stored_file(root: Path, key: str, name: str = "model.onnx") -> Path:
    found = store.find(root, key)
    if found is None:
        raise QuantbenchError(
            f"artifact {key} is gone from the store",
            hint="Run the same command again: it is made anew.",
        )
    return found.path / name


def _model_path(root: Path, opened: Opened, key: str | None) -> Path:
    return opened.source.directory if key is None else _stored_file(root, key)


def _session_options(config: SweepConfig, level: int | None, num_threads: int) -> SessionOptions:
    auto_class = registry.task(config.task).spec.auto_class
    return SessionOptions(num_threads, level, auto_class)


def _num_threads(config: SweepConfig) -> int:
    return config.num_threads or environment.read_cpu().allowed_cores


def _task_reads(config: SweepConfig, subject: Subject) -> dict[str, Any]:
    """What turns rows into inputs, and outputs into predictions."""
    return {
        "name": config.task,
        "package": registry.origin("quantbench.tasks", config.task),
        "processor": subject.model_digest,
        "task_args": config.task_args,
        "data_keys": config.dataset.data_keys,
        "ref_keys": config.dataset.ref_keys,
    }


def _versions(*names: str) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in names}


if __name__ == "__main__":
    main()
