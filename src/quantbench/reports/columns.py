"""What the tables of a run have in their columns: name, type, unit, meaning, and why one is empty.

`docs/tables.md` is made from this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# text is UTF-8, integer 64 bits, number a double, truth true or false. json is any value: data in
# JSON, its text in Parquet and CSV.
Type = Literal["text", "integer", "number", "truth", "json"]


@dataclass(frozen=True)
class Column:
    """A column. `empty` says when there is no value; "" where there always is one."""

    name: str
    type: Type
    unit: str
    meaning: str
    empty: str = ""


@dataclass(frozen=True)
class TableSpec:
    """A table: what it has a line for, and its columns."""

    name: str
    line: str
    columns: tuple[Column, ...]


TABLES = ("rows", "cells", "nodes", "samples", "blocks", "forwards", "steps")
RATIOS = ("speedup", "quantization_speedup", "runtime_speedup")
LATENCIES = ("original", "reference", "optimized")
# Those that need the facts of the arms, and are not in a summary.
RAW_TABLES = ("samples", "blocks", "forwards")

_NO_ARM = "the row was refused"
_NOT_THERE = "the row has no file, or none yet"
_NOT_TIMED = "not timed, or failed: `missing` says why"


def table_spec(name: str, parameters: Sequence[str], metrics: Sequence[str]) -> TableSpec:
    """The columns of a table.

    Args:
        name: one of `TABLES`.
        parameters: the swept ones, in the config's order.
        metrics: the reported ones, the primary one first.
    """
    row = (*_ROW, *_parameters(parameters), *_STATUS, *_metrics(metrics), *_OVERALL)
    specs = {
        "rows": ("row of the grid", row),
        "cells": ("row and shape; a row without shapes has one line", (*row, *_cells())),
        "nodes": ("row and operator type of its graph", _NODES),
        "samples": ("measured model and evaluated sample", (*_ARM, *_SAMPLE, *_scores(metrics))),
        "blocks": ("turn of a model in a round", (*_ARM, *_BLOCK, *_COVARIATES)),
        "forwards": ("timed forward pass", (*_ARM, *_BLOCK, *_FORWARD)),
        "steps": ("unit of work, in the order of the work", _STEPS),
    }
    line, columns = specs[name]
    return TableSpec(name, line, columns)


_ROW = (
    Column("row", "integer", "", "number of the row in the card, from 1"),
    Column("trial_id", "text", "", "hash of its parameters"),
    Column(
        "arm_id", "text", "", "the model that was measured for it: the key to raw tables", _NO_ARM
    ),
    Column(
        "original_name", "text", "", "what drops and speed-ups are over: PyTorch eager, or a file"
    ),
    Column("scenario", "text", "", "single-stream: latency counts; offline: throughput"),
)
_STATUS = (
    Column(
        "status", "text", "", "measured, shared, partial (numbers are missing), refused, failed"
    ),
    Column(
        "shares_with", "text", "", "the row, or the reference, whose file is the same", "its own"
    ),
    Column("problem", "text", "", "why it was refused, or what failed", "nothing did"),
    Column("inert", "text", "", "parameters that change nothing in it, and why", "all act"),
    Column("warnings", "text", "", "what its numbers may suffer from", "nothing is known"),
    Column("num_bytes", "integer", "bytes", "size of the model file", _NOT_THERE),
    Column("opset", "integer", "", "ONNX opset of the file", _NOT_THERE),
    Column("nodes_quantized", "integer", "nodes", "nodes that really are quantized", _NOT_THERE),
    Column(
        "agreement", "number", "share", "samples answered as the original does", "not evaluated"
    ),
    Column(
        "kl_divergence_nats",
        "number",
        "nats",
        "mean, of its classes from the original's",
        "no classes with kept logits",
    ),
    Column("logit_rms", "number", "", "root mean square change of the logits", "none were kept"),
    Column("cosine", "number", "", "mean, of its vectors and the original's", "no vectors"),
)


def _typed(
    *columns: tuple[str, Type, str, str, str],
) -> tuple[tuple[str, Type, str, str, str], ...]:
    return columns


def _parameters(names: Sequence[str]) -> tuple[Column, ...]:
    return tuple(
        Column(f"parameter.{name}", "json", "", "value of that parameter", "the value is null")
        for name in names
    )


def _metrics(names: Sequence[str]) -> tuple[Column, ...]:
    missing = "one of the two was not evaluated"
    return tuple(
        Column(f"{name}.{part}", kind, unit, meaning, empty)
        for name in names
        for part, kind, unit, meaning, empty in _typed(
            ("original", "number", "the metric's", "value of the original", missing),
            ("optimized", "number", "the metric's", "value of the row", missing),
            ("drop_points", "number", "points", "original minus row; positive is worse", missing),
            ("drop_low_points", "number", "points", "lower end of its 95 % interval", missing),
            ("drop_high_points", "number", "points", "upper end", missing),
            ("samples_worse", "integer", "samples", "whose score fell", missing),
            ("samples_better", "integer", "samples", "whose score rose", missing),
            ("mcnemar_p", "number", "", "exact McNemar p", f"{missing}, or it is not right/wrong"),
            ("num_samples", "integer", "samples", "that the metric is over", missing),
        )
    )


def _ratio(name: str, meaning: str, empty: str) -> tuple[Column, ...]:
    no_interval = f"{empty}; or too few process sets for an interval"
    return (
        Column(name, "number", "ratio", meaning, empty),
        Column(f"{name}_low", "number", "ratio", "lower end of its 95 % interval", no_interval),
        Column(f"{name}_high", "number", "ratio", "upper end", no_interval),
    )


_OVERALL = _ratio("overall_speedup", "geometric mean of `speedup` over shapes", "no shape has one")


def _cells() -> tuple[Column, ...]:
    shape = (
        Column("batch_size", "integer", "samples", "of the shape", "no shape was measured"),
        Column(
            "input_length", "integer", "tokens", "of the shape", "the task's inputs have no length"
        ),
    )
    whose = {
        "original": "the original",
        "reference": "ONNX Runtime fp32 at the row's optimization level",
        "optimized": "the row",
    }
    latencies = [column for name in LATENCIES for column in _latency(name, whose[name])]
    said = {
        "speedup": "median time of the original ÷ the row's",
        "quantization_speedup": "that of the reference ÷ the row's",
        "runtime_speedup": "that of the original ÷ the reference's",
    }
    ratios = [
        column
        for name in RATIOS
        for column in _ratio(name, said[name], "one of the two was not timed")
    ]
    no_counters = "the system does not tell"
    rest = (
        Column(
            "peak_rss_bytes", "integer", "bytes", "largest memory of its processes", no_counters
        ),
        Column(
            "half_width",
            "number",
            "share",
            "of the wider of speedup and quantization_speedup, over its value",
            "one of them has no interval",
        ),
        Column(
            "unresolved",
            "truth",
            "",
            "whether that is wider than was asked for, or not known",
            "no shape was measured",
        ),
        Column("missing", "text", "", "why numbers are not there", "they are"),
        Column(
            "others_share",
            "number",
            "share",
            "of the processors' time that other processes took meanwhile",
            no_counters,
        ),
        Column("steal_share", "number", "share", "that the hypervisor took", no_counters),
        Column(
            "disturbed_rounds_share",
            "number",
            "share",
            "of the rounds in which both took more than 10 %",
            no_counters,
        ),
        Column("quiet", "truth", "", "whether the machine was quiet", no_counters),
    )
    return (*shape, *latencies, *ratios, *rest)


def _latency(name: str, whose: str) -> tuple[Column, ...]:
    few = f"{_NOT_TIMED}; or too few forwards for it"
    return tuple(
        Column(f"{name}.{field}", kind, unit, meaning, empty)
        for field, kind, unit, meaning, empty in _typed(
            ("mean_ms", "number", "ms", f"mean time of a forward of {whose}", _NOT_TIMED),
            ("p50_ms", "number", "ms", "median", _NOT_TIMED),
            ("p90_ms", "number", "ms", "90th percentile", few),
            ("p95_ms", "number", "ms", "95th percentile", few),
            ("p99_ms", "number", "ms", "99th percentile", few),
            ("num_forwards", "integer", "forwards", "that were timed", _NOT_TIMED),
            ("throughput_per_s", "number", "samples/s", "per measured second", _NOT_TIMED),
            ("forwards_per_s", "number", "forwards/s", "per measured second", _NOT_TIMED),
            ("num_modes", "integer", "", "states that its times were in: 1 or 2", _NOT_TIMED),
        )
    )


_NODES = (
    Column("row", "integer", "", "number of the row"),
    Column("arm_id", "text", "", "the model that was measured for it"),
    Column("operator", "text", "", "operator type of the exported graph"),
    Column("total", "integer", "nodes", "of that type"),
    Column("matched", "integer", "nodes", "that node_exclusion describes"),
    Column("excluded", "integer", "nodes", "of these, that would have been quantized"),
    Column("quantized", "integer", "nodes", "that really are"),
    Column("left", "integer", "nodes", "that stay in floats: total minus quantized"),
)
_ARM = (
    Column("arm_id", "text", "", "the measured model; `rows` says for which rows"),
    Column("role", "text", "", "original, reference, reference_twin (its second copy), row"),
)
_SAMPLE = (
    Column("sample_id", "text", "", "place of the sample in its split"),
    Column("cluster", "text", "", "what it shares with others", "samples are independent"),
    Column("answer", "json", "", "what the model answered", "it answered that there is none"),
    Column("answer_name", "text", "", "that in words", "it is in words already"),
    Column("answer_score", "number", "the model's", "how sure it was", "the task has none"),
)


def _scores(metrics: Sequence[str]) -> tuple[Column, ...]:
    meaning = "score of the sample, 1 is right"
    return tuple(
        Column(f"{name}.score", "number", "0 to 1", meaning, "the metric does not look at it")
        for name in metrics
    )


_BLOCK = (
    Column("batch_size", "integer", "samples", "of the shape"),
    Column("input_length", "integer", "tokens", "of the shape", "inputs have no length"),
    Column("session", "text", "", "only times of one session may be compared"),
    Column("process_set", "integer", "", "set of fresh processes, from 0"),
    Column("round", "integer", "", "round of the session, from 0"),
    Column("position", "integer", "", "place in the round, from 0"),
)
_SYSTEM = "the system does not tell"
_COVARIATES = (
    Column("num_forwards", "integer", "forwards", "in the block"),
    Column("median_ms", "number", "ms", "their median time"),
    Column("processor_ticks", "integer", "ticks", "time of the processors in use", _SYSTEM),
    Column("busy_ticks", "integer", "ticks", "of it, that anyone computed in", _SYSTEM),
    Column("own_ticks", "number", "ticks", "of that, what the model did", _SYSTEM),
    Column("steal_ticks", "integer", "ticks", "that the hypervisor gave to others", _SYSTEM),
    Column("involuntary_switches", "integer", "", "times that it lost its processor", _SYSTEM),
    Column("frequency_mhz", "number", "MHz", "of the first processor, after the block", _SYSTEM),
    Column("thermal_throttles", "integer", "", "times that heat slowed it down", _SYSTEM),
    Column("quota_throttles", "integer", "", "times that a quota stopped it", _SYSTEM),
)
_FORWARD = (
    Column("forward", "integer", "", "place in the block, from 0"),
    Column("time_ns", "integer", "ns", "raw time of the forward"),
)
_STEPS = (
    Column("stage", "text", "", "prepare, export, calibrate, quantize, evaluate, time, …"),
    Column("name", "text", "", "what tells it from others of the stage"),
    Column("seconds", "number", "s", "wall time"),
    Column("expected_seconds", "number", "s", "estimated before", "it was not"),
    Column("peak_rss_bytes", "integer", "bytes", "largest memory of its process", _SYSTEM),
    Column("reused", "truth", "", "whether the store had it already"),
    Column("attempts", "integer", "", "how often it was tried"),
    Column("keys", "json", "", "list of the keys in the store that it made or found"),
)
