"""What made a speed-up: the session of each cell, the arms that were timed in it, their files."""

from __future__ import annotations

from statistics import median

from pydantic import JsonValue

from quantbench.analysis.lineage import NOT_RUN, Known, Made, failure, file_of
from quantbench.core.plan import ORIGINAL_ID, Cell
from quantbench.core.results import Failed, Timing
from quantbench.core.summary import CellSummary, Ratio, RowSummary, SweepSummary


def traced_speedup(known: Known, summary: SweepSummary, row: RowSummary) -> Made:
    """The speed-up of a row over all cells, from its ratio in each cell."""
    arm = row.arm
    if arm is None:
        return Made(what="speedup")
    facts: dict[str, JsonValue] = {
        "over": summary.original_name,
        **_ratio("speedup", arm.speedup),
        "method": "geometric mean over cells; intervals are of 95 %",
        "num_cells": arm.num_compared,
        "num_cells_planned": len(arm.cells),
        "shares_with": row.shares_with,
    }
    if arm.speedup is None:
        facts["missing"] = "there is nothing to compare: see below"
    cells = tuple(_cell(known, summary, row, arm.id, cell) for cell in arm.cells)
    return Made(what="speedup", facts=facts, made_from=cells)


def _cell(
    known: Known, summary: SweepSummary, row: RowSummary, arm_id: str, found: CellSummary
) -> Made:
    facts: dict[str, JsonValue] = {
        "batch_size": found.cell.batch_size,
        "input_length": found.cell.input_length,
        **_ratio("speedup", found.speedup),
        **_ratio("quantization_speedup", found.quantization_speedup),
        **_ratio("runtime_speedup", found.runtime_speedup),
        "half_width": found.half_width,
        "unresolved": found.unresolved,
        "missing": found.missing,
    }
    session = _session(known, summary, row, arm_id, found.cell)
    return Made(what=f"cell {found.cell.id}", facts=facts, made_from=(session,))


def _session(known: Known, summary: SweepSummary, row: RowSummary, arm_id: str, cell: Cell) -> Made:
    """The session in which a row was timed, with what it was compared with.

    Times belong together only within one session: an arm that has none of this one is left
    without numbers, and says so.
    """
    found = known.facts.timing(arm_id, cell)
    args = known.result.config.time_benchmark_args
    facts: dict[str, JsonValue] = {
        "session": found.session if isinstance(found, Timing) else None,
        "stopped": found.stopped if isinstance(found, Timing) else None,
        "duration_s": args.duration,
        "precision": args.precision,
        "warmup_runs": args.warmup_runs,
        "num_threads": known.environment.num_threads,
        "seed": known.result.config.seed,
        "keys_of_cell": [*known.keys("time", cell.id)],
    }
    arms = {"this row": arm_id, "the original": ORIGINAL_ID}
    if row.reference_id is not None:
        arms["the reference (ONNX Runtime fp32)"] = known.facts.resolve(row.reference_id)
    if isinstance(found, Timing):
        arms["the anchor (first and last in each round)"] = found.reference_id
    twin = next((arm.id for arm in known.plan.arms if arm.role == "reference_twin"), None)
    if twin is not None:
        arms["a second copy of the reference"] = twin
    # One arm can be several of them: it is named as what it is first.
    once = {other: name for name, other in reversed(arms.items())}
    timed = [
        _timed(known, once[other], other, cell, found) for other in dict.fromkeys(arms.values())
    ]
    noise = summary.noise_of(cell, row.number)
    if noise is not None:
        facts |= _ratio("noise", noise.ratio) | {"noise_is_too_large": noise.invalid}
    load = next((item for item in summary.loads if item.cell == cell), None)
    if load is not None:
        facts |= {"others_share": load.others, "steal_share": load.stolen, "quiet": load.quiet}
    return Made(what="timing session", facts=facts, made_from=tuple(timed))


def _timed(
    known: Known, what: str, arm_id: str, cell: Cell, beside: Timing | Failed | None
) -> Made:
    """One arm of a session: its blocks, its processes, its file."""
    found = known.facts.timing(arm_id, cell, beside if isinstance(beside, Timing) else None)
    facts: dict[str, JsonValue] = {"arm": arm_id}
    made_from = (file_of(known, arm_id),)
    if isinstance(found, Failed):
        return Made(what=what, facts=facts, made_from=(failure(found), *made_from))
    elsewhere = [
        item.session for item in known.facts.timings(arm_id, cell) if isinstance(item, Timing)
    ]
    if found is None and elsewhere:
        facts["missing"] = f"timed in another session only ({elsewhere[-1]}): not compared"
        return Made(what=what, facts=facts, made_from=made_from)
    if found is None:
        own = known.facts.own(arm_id)
        failed = own is not None and isinstance(own.artifact, Failed)
        facts["missing"] = "its file could not be made" if failed else NOT_RUN
        return Made(what=what, facts=facts, made_from=made_from)
    samples = [value for block in found.blocks for value in block.samples_ns]
    processes: list[JsonValue] = [
        {
            "num_threads": process.num_threads,
            "affinity": None if process.affinity is None else list(process.affinity),
            "warmup_runs": process.warmup_runs,
            "peak_rss_bytes": process.peak_rss_bytes,
        }
        for process in found.processes
    ]
    facts |= {
        "num_rounds": len({(block.process_set, block.round) for block in found.blocks}),
        "num_blocks": len(found.blocks),
        "num_forwards": len(samples),
        "median_ms": median(samples) / 1e6 if samples else None,
        "processes": processes,
    }
    return Made(what=what, facts=facts, made_from=made_from)


def _ratio(name: str, found: Ratio | None) -> dict[str, JsonValue]:
    if found is not None and found.shared:
        return {name: 1.0, f"{name}_note": "one file, measured once: 1 by definition"}
    if found is None:
        return {name: None}
    if found.low is None or found.high is None:
        return {name: found.value, f"{name}_note": "too few process sets for an interval"}
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
