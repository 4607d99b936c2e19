"""The numbers of a sweep as one flat table: a line per row and cell, units in the names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from quantbench.core.results import SweepResult
from quantbench.core.specs import TaskSpec
from quantbench.core.summary import (
    CellSummary,
    Failure,
    Latency,
    MetricSummary,
    Ratio,
    RowSummary,
    SweepSummary,
)
from quantbench.reports import paths
from quantbench.store import write_atomically

Line = dict[str, JsonValue]

_LATENCIES = ("original", "reference", "optimized")
_RATIOS = ("speedup", "quantization_speedup", "runtime_speedup")
_WORDS = frozenset(
    {
        "trial_id",
        "original_name",
        "scenario",
        "status",
        "shares_with",
        "problem",
        "inert",
        "warnings",
        "missing",
    }
)
_COUNTS = frozenset(
    {
        "row",
        "num_bytes",
        "peak_rss_bytes",
        "opset",
        "nodes_quantized",
        "samples_worse",
        "samples_better",
        "num_samples",
        "batch_size",
        "input_length",
        "num_forwards",
        "num_modes",
    }
)


def rows_as_json(summary: SweepSummary) -> list[Line]:
    """Every row in every cell as plain data; a row without cells has one line.

    All lines have the same keys in the same order; what is not known is None. Swept parameters
    are under `parameter.NAME`, metrics under `METRIC.original` and so on, times in milliseconds.
    """
    return [
        {**_row(row, summary), **_cell(cell), **_load(cell, summary)}
        for row in summary.rows
        for cell in (row.arm.cells if row.arm and row.arm.cells else (None,))
    ]


def write_table(summary: SweepSummary, path: Path) -> None:
    """Write `rows_as_json` as a Parquet file; parameters are columns of JSON text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = [
        {key: _flat(key, value) for key, value in line.items()} for line in rows_as_json(summary)
    ]
    schema = pa.schema([(key, getattr(pa, _type(key))()) for key in lines[0]])
    # The library would write through a link that stands in the file's place.
    written = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(lines, schema=schema), written)
    write_atomically(path, written.getvalue().to_pybytes())


def _row(row: RowSummary, summary: SweepSummary) -> Line:
    arm = row.arm
    line: Line = {
        "row": row.number,
        "trial_id": row.trial_id,
        "original_name": summary.original_name,
        "scenario": summary.scenario,
        **{f"parameter.{name}": value for name, value in row.parameters.items()},
        "status": row.status,
        "shares_with": row.shares_with,
        "problem": row.refused or ("; ".join(map(_problem, arm.failures)) if arm else "") or None,
        "inert": "; ".join(f"{item.parameter}={item.value}: {item.reason}" for item in row.inert)
        or None,
        "warnings": "; ".join((*row.warnings, *summary.warnings)) or None,
        "num_bytes": arm.num_bytes if arm else None,
        "opset": arm.opset if arm else None,
        "nodes_quantized": sum(n.quantized for n in arm.nodes.values()) if arm else None,
        "agreement": arm.agreement if arm else None,
        "kl_divergence_nats": arm.kl_divergence_nats if arm else None,
        "logit_rms": arm.logit_rms if arm else None,
        "cosine": arm.cosine if arm else None,
    }
    metrics = {metric.name: metric for metric in arm.metrics} if arm else {}
    for name in summary.metric_names:
        line |= _metric(name, metrics.get(name))
    overall = arm.speedup if arm else None
    return line | _ratio("overall_speedup", overall)


def _problem(failure: Failure) -> str:
    """For example `evaluate of PyTorch eager: MESSAGE`."""
    of = "" if failure.of is None else f" of {failure.of}"
    return f"{failure.stage}{of}: {failure.error}"


def _metric(name: str, metric: MetricSummary | None) -> Line:
    return {
        f"{name}.original": metric.original if metric else None,
        f"{name}.optimized": metric.optimized if metric else None,
        f"{name}.drop_points": metric.drop if metric else None,
        f"{name}.drop_low_points": metric.low if metric else None,
        f"{name}.drop_high_points": metric.high if metric else None,
        f"{name}.samples_worse": metric.worse if metric else None,
        f"{name}.samples_better": metric.better if metric else None,
        f"{name}.mcnemar_p": metric.mcnemar_p if metric else None,
        f"{name}.num_samples": metric.num_samples if metric else None,
    }


def _cell(cell: CellSummary | None) -> Line:
    line: Line = {
        "batch_size": cell.cell.batch_size if cell else None,
        "input_length": cell.cell.input_length if cell else None,
    }
    for name in _LATENCIES:
        line |= _latency(name, getattr(cell, name) if cell else None)
    for name in _RATIOS:
        line |= _ratio(name, getattr(cell, name) if cell else None)
    line["peak_rss_bytes"] = cell.peak_rss_bytes if cell else None
    line["half_width"] = cell.half_width if cell else None
    line["unresolved"] = cell.unresolved if cell else None
    line["missing"] = cell.missing if cell else None
    return line


def _load(cell: CellSummary | None, summary: SweepSummary) -> Line:
    """What disturbed the timing of the cell; shares of the processors' time and of rounds."""
    found = next((load for load in summary.loads if cell and load.cell == cell.cell), None)
    return {
        "others_share": found.others if found else None,
        "steal_share": found.stolen if found else None,
        "disturbed_rounds_share": found.disturbed_rounds if found else None,
        "quiet": found.quiet if found else None,
    }


def _latency(name: str, latency: Latency | None) -> Line:
    fields = [field for field in Latency.model_fields if field != "modes"]
    line = {f"{name}.{field}": getattr(latency, field) if latency else None for field in fields}
    return line | {f"{name}.num_modes": (len(latency.modes) or None) if latency else None}


def _ratio(name: str, ratio: Ratio | None) -> Line:
    return {
        name: ratio.value if ratio else None,
        f"{name}_low": ratio.low if ratio else None,
        f"{name}_high": ratio.high if ratio else None,
    }


def _flat(key: str, value: JsonValue) -> JsonValue:
    return json.dumps(value) if key.startswith("parameter.") else value


def _type(key: str) -> str:
    """A column's Arrow type, by its name: the same for every sweep, whatever is missing."""
    last = key.rsplit(".", 1)[-1]
    if key.startswith("parameter.") or last in _WORDS:
        return "string"
    if last in _COUNTS:
        return "int64"
    return "bool_" if last in ("unresolved", "quiet") else "float64"


@dataclass(frozen=True)
class TablesReport:
    """Writes table.parquet."""

    name: str = "tables"

    def write(
        self, result: SweepResult, summary: SweepSummary, task: TaskSpec, run_dir: Path
    ) -> list[Path]:
        """Write the table below `run_dir`; returns the file written."""
        path = run_dir / paths.TABLE
        write_table(summary, path)
        return [path]


REPORT = TablesReport()
