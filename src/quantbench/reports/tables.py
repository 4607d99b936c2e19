"""The tables of a run as plain data: a flat line for each row, shape, sample, forward and so on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from quantbench.core.results import ArmResult, Block, Evaluation, Spent, SweepResult, Timing
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
from quantbench.reports.columns import LATENCIES, RATIOS, TableSpec, table_spec
from quantbench.reports.table_files import Line, write_table


def spec_of(name: str, summary: SweepSummary) -> TableSpec:
    """The columns that a table has in this run."""
    return table_spec(name, tuple(summary.rows[0].parameters), summary.metric_names)


def rows_as_json(summary: SweepSummary) -> list[Line]:
    """Every row in every cell as plain data; a row without cells has one line.

    All lines have the same keys in the same order; what is not known is None. Swept parameters
    are under `parameter.NAME`, metrics under `METRIC.original` and so on, times in milliseconds.
    """
    return [
        {**found, **cell_line(cell, summary)}
        for row in summary.rows
        for found in (row_line(row, summary),)
        for cell in (row.arm.cells if row.arm and row.arm.cells else (None,))
    ]


def table_lines(
    name: str, summary: SweepSummary, spent: Iterable[Spent], arms: Iterable[ArmResult]
) -> Iterator[Line]:
    """The lines of any table, one after the other.

    Args:
        name: one of `columns.TABLES`.
        summary: of the run.
        spent: what its units of work cost.
        arms: the facts of its arms; read for `columns.RAW_TABLES` only, and one at a time.
    """
    match name:
        case "rows":
            yield from (row_line(row, summary) for row in summary.rows)
        case "cells":
            yield from rows_as_json(summary)
        case "nodes":
            yield from _nodes(summary)
        case "steps":
            yield from (_step(item) for item in spent)
        case "samples":
            for arm in arms:
                yield from _samples(arm, summary)
        case "blocks":
            yield from ({**_block(*found), **_covariates(found[-1])} for found in _blocks(arms))
        case "forwards":
            for found in _blocks(arms):
                start = _block(*found)
                for place, time_ns in enumerate(found[-1].samples_ns):
                    yield {**start, "forward": place, "time_ns": time_ns}
        case _:
            raise ValueError(f"no such table: {name}")


def row_line(row: RowSummary, summary: SweepSummary) -> Line:
    """A row without its shapes: a line of the table `rows`."""
    arm = row.arm
    line: Line = {
        "row": row.number,
        "trial_id": row.trial_id,
        "arm_id": arm.id if arm else None,
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


def cell_line(cell: CellSummary | None, summary: SweepSummary) -> Line:
    """What the table `cells` has of a row in one shape; None is a row without shapes."""
    line: Line = {
        "batch_size": cell.cell.batch_size if cell else None,
        "input_length": cell.cell.input_length if cell else None,
    }
    for name in LATENCIES:
        line |= _latency(name, getattr(cell, name) if cell else None)
    for name in RATIOS:
        line |= _ratio(name, getattr(cell, name) if cell else None)
    line["peak_rss_bytes"] = cell.peak_rss_bytes if cell else None
    line["half_width"] = cell.half_width if cell else None
    line["unresolved"] = cell.unresolved if cell else None
    line["missing"] = cell.missing if cell else None
    return line | _load(cell, summary)


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


def _nodes(summary: SweepSummary) -> Iterator[Line]:
    for row in summary.rows:
        for operator, counts in sorted(row.arm.nodes.items()) if row.arm else ():
            start: Line = {"row": row.number, "arm_id": row.arm.id if row.arm else None}
            yield {**start, "operator": operator, **counts.model_dump()}


def _step(spent: Spent) -> Line:
    return {
        "stage": spent.stage,
        "name": spent.name,
        "seconds": spent.seconds,
        "expected_seconds": spent.expected_seconds,
        "peak_rss_bytes": spent.peak_rss_bytes,
        "reused": spent.reused,
        "attempts": spent.attempts,
        "keys": list(spent.keys),
    }


def _samples(arm: ArmResult, summary: SweepSummary) -> Iterator[Line]:
    """A line for each sample that an arm was evaluated on; none for one that was not."""
    found = arm.evaluation
    if not isinstance(found, Evaluation):
        return
    for place, sample_id in enumerate(found.sample_ids):
        answer = found.predictions[place]
        yield {
            "arm_id": arm.arm.id,
            "role": arm.arm.role,
            "sample_id": sample_id,
            "cluster": found.clusters[place] if found.clusters is not None else None,
            "answer": answer.answer,
            "answer_name": answer.name,
            "answer_score": answer.score,
            **{
                f"{name}.score": found.per_sample[name][place] if name in found.per_sample else None
                for name in summary.metric_names
            },
        }


def _blocks(arms: Iterable[ArmResult]) -> Iterator[tuple[ArmResult, Timing, Block]]:
    for arm in arms:
        for timing in arm.timings:
            if isinstance(timing, Timing):
                yield from ((arm, timing, block) for block in timing.blocks)


def _block(arm: ArmResult, timing: Timing, block: Block) -> Line:
    return {
        "arm_id": arm.arm.id,
        "role": arm.arm.role,
        "batch_size": timing.cell.batch_size,
        "input_length": timing.cell.input_length,
        "session": timing.session,
        "process_set": block.process_set,
        "round": block.round,
        "position": block.position,
    }


def _covariates(block: Block) -> Line:
    told = block.model_dump(exclude={"process_set", "round", "position", "samples_ns"})
    times = block.samples_ns
    start: Line = {
        "num_forwards": len(times),
        "median_ms": median(times) / 1e6 if times else None,
    }
    return {**start, **told}


@dataclass(frozen=True)
class TablesReport:
    """Writes table.parquet."""

    name: str = "tables"
    reads_raw: bool = False

    def write(
        self, result: SweepResult, summary: SweepSummary, task: TaskSpec, run_dir: Path
    ) -> list[Path]:
        """Write the table below `run_dir`; returns the file written."""
        path = run_dir / paths.TABLE
        write_table(spec_of("cells", summary), rows_as_json(summary), "parquet", path)
        return [path]


REPORT = TablesReport()
