"""Under which key the store keeps what a unit makes: a hash of all that the unit reads.

Keys need no model and no data, only the unit and this machine: so a plan knows what is there.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from quantbench import environment, registry, store
from quantbench.core.config import SweepConfig
from quantbench.core.exporters import Exporter
from quantbench.core.plan import Arm
from quantbench.core.results import Subject
from quantbench.core.units import (
    CalibrateUnit,
    EvaluateUnit,
    ExplainUnit,
    ExportUnit,
    OptimizeUnit,
    QuantizeUnit,
    TimeUnit,
    Unit,
)
from quantbench.data.sampling import sample_indices

# Raised when the code of a stage changes what it makes, so that old artifacts are not reused.
STAGE_VERSIONS = {
    "export": 2,
    "optimize": 3,
    "calibrate": 2,
    "quantize": 3,
    "evaluate": 2,
    "time": 4,
    "explain": 5,
}

# What an exporter computes with beyond PyTorch and ONNX.
EXPORTER_PACKAGES: Mapping[Exporter | None, tuple[str, ...]] = {
    "dynamo": ("onnxscript", "onnx-ir"),
}
# What turns rows into arrays: their versions can change tokens and pixels.
ENCODING_PACKAGES = ("datasets", "numpy", "pillow", "tokenizers", "transformers")


def unit_keys(unit: Unit) -> tuple[str, ...]:
    """Where the store has, or will have, what a unit makes; several for the times of a cell."""
    match unit:
        case ExportUnit():
            return (export_key(unit),)
        case OptimizeUnit():
            return (optimize_key(unit),)
        case CalibrateUnit():
            return (calibrate_key(unit),)
        case QuantizeUnit():
            return (quantize_key(unit),)
        case EvaluateUnit():
            return (evaluate_key(unit),)
        case TimeUnit():
            return tuple(time_keys(unit).values())
        case ExplainUnit():
            return (explain_key(unit),)
        case _:
            return ()


def export_key(unit: ExportUnit) -> str:
    """The key of an exported, or given, model file."""
    return _key(
        "export",
        {
            "model": unit.subject.model_digest,
            "auto_class": registry.task(unit.config.task).spec.auto_class,
            "export": unit.export.model_dump(mode="json"),
            "levels": unit.levels,
            "task": _task(unit.config, unit.subject),
            "machine": environment.accuracy_fingerprint(environment.read_cpu()),
            "tools": _versions(
                "torch",
                "transformers",
                "onnx",
                "onnxruntime",
                *EXPORTER_PACKAGES.get(unit.export.exporter, ()),
            ),
        },
    )


def optimize_key(unit: OptimizeUnit) -> str:
    """The key of a prepared file: of samples only where they are run."""
    reads: dict[str, Any] = {
        "exported": unit.exported_key,
        "preparation": unit.preparation.model_dump(mode="json"),
    }
    if unit.preparation.fuse:
        reads["model"] = unit.subject.model_digest
    encoding: tuple[str, ...] = ()
    if unit.preparation.smoothing is not None:
        encoding = ENCODING_PACKAGES
        reads["data"] = unit.subject.calibration_fingerprint
        reads["indices"] = smoothed_rows(unit)
        reads["task"] = _task(unit.config, unit.subject)
    return _key("optimize", reads | {"tools": _versions("onnx", "onnxruntime", *encoding)})


def calibrate_key(unit: CalibrateUnit) -> str:
    """The key of the activation ranges of a float file."""
    return _key(
        "calibrate",
        {
            "exported": unit.float_key,
            "operators": unit.operators,
            "calibration": unit.calibration.reads(),
            "data": unit.subject.calibration_fingerprint,
            "indices": calibrated_rows(unit),
            "task": _task(unit.config, unit.subject),
            "tools": _versions("onnx", "onnxruntime", *ENCODING_PACKAGES),
        },
    )


def quantize_key(unit: QuantizeUnit) -> str:
    """The key of a quantized file."""
    return _key(
        "quantize",
        {
            "exported": unit.float_key,
            "ranges": unit.ranges_key,
            "scheme": unit.variant.quantization.model_dump(
                mode="json", exclude={"calibration", "smooth_quant_alpha"}
            ),
            "levels": unit.levels,
            "machine": environment.accuracy_fingerprint(environment.read_cpu()),
            "tools": _versions("onnx", "onnxruntime"),
        },
    )


def evaluate_key(unit: EvaluateUnit) -> str:
    """The key of an arm's predictions and scores."""
    config, subject = unit.config, unit.subject
    return _key(
        "evaluate",
        {
            **_computed(unit.arm, unit.graph_digest, subject),
            "num_threads": unit.num_threads,
            "data": subject.eval_fingerprint,
            "indices": evaluated_rows(config, subject.eval_num_rows),
            "metrics": evaluated_metrics(config),
            "cluster_key": config.dataset.cluster_key,
            "task": _task(config, subject),
            "machine": environment.accuracy_fingerprint(environment.read_cpu()),
            "tools": _versions("torch", "onnxruntime", *ENCODING_PACKAGES),
        },
    )


def time_keys(unit: TimeUnit) -> dict[str, str]:
    """The keys of times, by arm id: of each arm that is timed against the others.

    The original and the references have none of their own: their times of the same session are
    kept with those of each arm that was compared with them.
    """
    config, subject = unit.config, unit.subject
    described = {item.arm.id: _computed(item.arm, item.graph_digest, subject) for item in unit.arms}
    shared = {
        "cell": unit.cell.model_dump(mode="json"),
        "args": config.time_benchmark_args.model_dump(mode="json", exclude={"scenario"}),
        "seed": config.seed,
        "num_threads": unit.num_threads,
        "task": _task(config, subject),
        "machine": environment.timing_fingerprint(),
        "tools": _versions("torch", "onnxruntime", *ENCODING_PACKAGES),
    }
    return {
        item.arm.id: _key(
            "time",
            shared
            | {
                "arm": described[item.arm.id],
                "is_twin": item.arm.role == "reference_twin",
                "compared_with": [described[other] for other in item.compared_with],
            },
        )
        for item in unit.arms
        if item.compared_with
    }


def explain_key(unit: ExplainUnit) -> str:
    """The key of an explanation, which has times: so it holds for machines that time alike."""
    config, subject = unit.config, unit.subject
    return _key(
        "explain",
        {
            "exported": unit.float_key,
            "quantized": unit.artifact_key,
            "optimization_level": unit.arm.optimization_level,
            "cell": unit.cell.model_dump(mode="json"),
            "seed": config.seed,
            "num_threads": unit.num_threads,
            "data": subject.eval_fingerprint,
            "indices": explained_rows(unit),
            "task": _task(config, subject),
            "machine": environment.timing_fingerprint(),
            "tools": _versions("onnx", "onnxruntime", *ENCODING_PACKAGES),
        },
    )


def explained_rows(unit: ExplainUnit) -> tuple[int, ...]:
    """The rows whose inputs are compared: the first of those that are evaluated."""
    return evaluated_rows(unit.config, unit.subject.eval_num_rows)[: unit.num_samples]


def evaluated_rows(config: SweepConfig, num_rows: int) -> tuple[int, ...]:
    """The rows to evaluate, by their place in the split."""
    return sample_indices(num_rows, config.max_eval_samples, config.sampling, config.seed)


def evaluated_metrics(config: SweepConfig) -> tuple[str, ...]:
    """The metrics to keep: those that were asked for, or all of the task's."""
    spec = registry.task(config.task).spec
    return config.metrics or tuple(item.name for item in spec.metrics_with(config.task_args))


def smoothed_rows(unit: OptimizeUnit) -> tuple[int, ...]:
    """The rows that maxima of activations are taken over; none without SmoothQuant."""
    smoothing = unit.preparation.smoothing
    if smoothing is None:
        return ()
    num_rows = unit.subject.calibration_num_rows or 0
    return calibration_rows(unit.config, num_rows, smoothing.num_calibration_samples)


def calibrated_rows(unit: CalibrateUnit) -> tuple[int, ...]:
    """The rows that a unit calibrates on, by their place in the split."""
    num_rows = unit.subject.calibration_num_rows or 0
    return calibration_rows(unit.config, num_rows, unit.calibration.num_calibration_samples)


def calibration_rows(
    config: SweepConfig, num_rows: int, num_samples: int | None
) -> tuple[int, ...]:
    """Which rows of a calibration split to calibrate on, by their place in it."""
    return sample_indices(num_rows, num_samples, config.sampling, config.seed)


def _computed(arm: Arm, graph_digest: str | None, subject: Subject) -> dict[str, Any]:
    """What decides what an arm computes, and how: not what the arm is called."""
    return {
        "model": subject.model_digest,
        "graph": graph_digest,
        "framework": arm.framework,
        "runtime": registry.origin("quantbench.runtimes", arm.framework),
        "optimization_level": arm.optimization_level,
    }


def _task(config: SweepConfig, subject: Subject) -> dict[str, Any]:
    """What turns rows into inputs, and outputs into predictions."""
    return {
        "name": config.task,
        "package": registry.origin("quantbench.tasks", config.task),
        "processor": subject.model_digest,
        "task_args": config.task_args,
        "data_keys": config.dataset.data_keys,
        "ref_keys": config.dataset.ref_keys,
    }


def _key(stage: str, reads: Mapping[str, Any]) -> str:
    return store.artifact_key(stage, STAGE_VERSIONS[stage], dict(reads))


def _versions(*names: str) -> dict[str, str | None]:
    """By package; None for one that is not installed, which the stage that needs it tells."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found
