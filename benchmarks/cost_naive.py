"""The naive way to sweep: the algorithm of the scripts of 2022, on the project's own stages."""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cost_inputs import PADDED_LENGTH
from padding import padded
from quantbench import registry
from quantbench.core.config import SweepConfig
from quantbench.core.config_file import with_values
from quantbench.core.plan import Row, make_plan
from quantbench.core.quantization import Static
from quantbench.core.results import Prediction
from quantbench.data.sampling import sample_indices
from quantbench.protocols import Inputs, Session, SessionOptions, TaskRun
from quantbench.worker.keys import evaluated_rows
from quantbench.worker.opened import Opened, open_config


def naive_sweep(config: SweepConfig, folder: Path) -> dict[str, Any]:
    """Do all rows one after the other, and say what each stage took.

    The first row is evaluated without padding too, to see what padding alone costs.
    """
    opened = open_config(config.model_dump_json())
    rows = make_plan(config, registry.task(config.task).spec).rows
    samples = [
        opened.evaluated.row(index) for index in evaluated_rows(config, opened.evaluated.num_rows)
    ]
    lengths = [len(part.inputs["input_ids"][0]) for s in samples for part in opened.task.encode(s)]
    done = [
        naive_row(_row_config(config, row), opened, samples, folder, also_unpadded=row == rows[0])
        for row in rows
    ]
    extra_s = done[0].pop("unpadded")
    return {
        "rows": done,
        "tokens": {"least": min(lengths), "mean": statistics.mean(lengths), "most": max(lengths)},
        "unpadded_evaluation": extra_s / done[0]["evaluate"],
        # Not a part of the naive way: to be taken off its time.
        "extra_s": extra_s,
    }


def naive_row(
    config: SweepConfig,
    opened: Opened,
    samples: Sequence[Mapping[str, Any]],
    folder: Path,
    *,
    also_unpadded: bool,
) -> dict[str, Any]:
    """Seconds by stage of one row, done from the start, and what both models answered."""
    from quantbench.stages.calibrate import collect_ranges
    from quantbench.stages.export import export_onnx
    from quantbench.stages.quantize import quantize_model
    from quantbench.worker.files import CHECKED_SHAPES
    from quantbench.worker.sessions import num_threads

    task, auto_class = opened.task, registry.task(config.task).spec.auto_class
    exported, ranges, quantized = (folder / name for name in ("a.onnx", "r.json", "q.onnx"))
    rng = np.random.default_rng(config.seed)
    spent: dict[str, float] = defaultdict(float)
    facts: dict[str, Any] = {}

    with _clocked(spent, "export"):
        checked = [task.dummy_inputs(*shape, rng) for shape in CHECKED_SHAPES]
        opset = config.framework_args.opset
        export_onnx(opened.source.directory, auto_class, opset, checked, exported)
    scheme = config.quantization()
    if isinstance(scheme, Static) and opened.calibrated is not None:
        split, at = opened.calibrated, [time.perf_counter()]
        count = scheme.calibration.num_calibration_samples
        indices = sample_indices(split.num_rows, count, config.sampling, config.seed)
        inputs = (part.inputs for index in indices for part in task.encode(split.row(index)))
        with _clocked(spent, "calibrate"):
            collect_ranges(
                exported,
                inputs,
                scheme.operators,
                scheme.calibration,
                ranges,
                on_sample=lambda _: at.append(time.perf_counter()),
            )
        facts["calibrate_per_sample"] = (at[-1] - at[1]) / max(1, len(at) - 2)
    with _clocked(spent, "quantize"):
        quantize_model(exported, scheme, ranges if isinstance(scheme, Static) else None, quantized)
    with _clocked(spent, "open"):
        threads, level = num_threads(config), config.framework_args.optimization_level
        options = SessionOptions(threads, None, auto_class)
        original = registry.runtime("pytorch").open(opened.source.directory, options)
        optimized = registry.runtime("onnxruntime").open(quantized, SessionOptions(threads, level))
    with _clocked(spent, "evaluate"):
        answers = [
            _evaluate_naively(session, opened.task, samples, pad=True)
            for session in (original, optimized)
        ]
    if also_unpadded:
        with _clocked(spent, "unpadded"):
            for session in (original, optimized):
                _evaluate_naively(session, opened.task, samples, pad=False)
    for batch in config.batch_sizes:
        for length in config.input_lengths:
            shape = task.dummy_inputs(batch, length, rng)
            for session in (optimized, original):
                _time_naively(session, shape, config, spent)
    for session in (original, optimized):
        session.close()
    return {**spent, **facts, "original_answers": answers[0], "answers": answers[1]}


def _evaluate_naively(
    session: Session, task: TaskRun, samples: Sequence[Mapping[str, Any]], *, pad: bool
) -> list[Any]:
    """What the model answers to each sample, one at a time; the answers are scored too."""
    predictions: list[Prediction] = []
    for sample in samples:
        encoded = task.encode(sample)
        parts = [padded(part.inputs, PADDED_LENGTH) if pad else part.inputs for part in encoded]
        outputs = [session.bind(part)() for part in parts]
        predictions.append(task.decode(sample, encoded, outputs))
    task.score(predictions, [task.reference(sample) for sample in samples])
    return [prediction.answer for prediction in predictions]


def _time_naively(
    session: Session, inputs: Inputs, config: SweepConfig, spent: dict[str, float]
) -> None:
    args = config.time_benchmark_args
    forward = session.bind(inputs)
    with _clocked(spent, "warm_up"):
        for _ in range(args.warmup_runs):
            forward()
    latencies_s = 0.0
    with _clocked(spent, "time"):
        while latencies_s < args.duration:
            started = time.perf_counter()
            forward()
            latencies_s += time.perf_counter() - started


def _row_config(config: SweepConfig, row: Row) -> SweepConfig:
    data = config.model_dump(mode="json", exclude={"benchmarked"}, exclude_unset=True)
    return SweepConfig.model_validate_json(json.dumps(with_values(data, row.trial.parameters)))


@contextlib.contextmanager
def _clocked(spent: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    spent[stage] += time.perf_counter() - started
