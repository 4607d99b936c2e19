"""What the report shows of a sweep, as plain data: the numbers behind its plots and tables."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import JsonValue

from quantbench.analysis.facts import Facts
from quantbench.analysis.names import reference_name
from quantbench.analysis.recommend import Recommendation
from quantbench.core.frozen import Frozen
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.printable import printable, shortened
from quantbench.core.results import SweepResult, Timing
from quantbench.core.summary import (
    ArmSummary,
    CellSummary,
    Latency,
    MetricSummary,
    Ratio,
    RowSummary,
    SweepSummary,
)
from quantbench.reports.html.flipped import FlippedRow
from quantbench.reports.html.raw_times import (
    SERIES_FIELDS,
    Series,
    Thinning,
    as_numbers,
    series,
    short,
    thinning,
)
from quantbench.reports.wording import row_name

Kind = Literal["original", "reference", "quantized"]
# A value with the ends of its interval, which are None where there is none.
Interval = tuple[float, float | None, float | None]

# What the numbers of a model in a shape are. Times are milliseconds, memory is in units of 10^6
# bytes; `time` is the median, or the mean where a card gives no more.
CELL_FIELDS = (
    "time", "p90", "original", "reference", "samples_per_s", "memory_mb", "forwards", "speedup",
    "speedup_low", "speedup_high", "quantization", "quantization_low", "quantization_high",
    "unresolved",
)  # fmt: skip
_LONGEST_VALUE = 200
CellNumbers = tuple[float | None, ...]


class Model(Frozen):
    """A row, a reference or the original.

    `distinct` says that it has a file of its own. `values` are those of the swept parameters,
    `drops` are by metric, in points, `cells` and `missing` by shape: numbers in the order of
    `CELL_FIELDS`, or why there are none. `series` has for each shape the places of the raw times of
    the original, the reference and the model itself, as they were measured beside each other.
    """

    name: str
    row: int | None
    kind: Kind
    distinct: bool
    status: str
    problem: str | None = None
    values: tuple[str, ...]
    drops: tuple[Interval | None, ...]
    speedup: Interval | None
    quantization: Interval | None
    unresolved: bool
    size_mb: float | None
    memory_mb: float | None
    cells: tuple[CellNumbers | None, ...]
    missing: dict[int, str]
    series: tuple[tuple[int | None, int | None, int | None], ...]


class View(Frozen):
    """All that the page's script needs."""

    measured: bool
    original_name: str
    parameters: tuple[str, ...]
    metrics: tuple[str, ...]
    cells: tuple[str, ...]
    margin_points: float | None
    recommended: str | None
    cell_fields: tuple[str, ...] = CELL_FIELDS
    series_fields: tuple[str, ...] = SERIES_FIELDS
    models: tuple[Model, ...]
    series: tuple[Series, ...]
    flips: tuple[FlippedRow, ...]


def as_json(view: View) -> str:
    """The view as JSON, its series as bare numbers."""
    series = [as_numbers(found) for found in view.series]
    rest = view.model_dump_json(exclude={"series"})
    return f'{rest[:-1]},"series":{json.dumps(series, separators=(",", ":"))}}}'


def make_view(
    result: SweepResult,
    summary: SweepSummary,
    advice: Recommendation,
    flips: tuple[FlippedRow, ...],
) -> View:
    """Everything that is drawn, of every row, reference and the original."""
    kept = _KeptSeries(result, thinning(_num_series(result)))
    models = [
        _model(summary, kept, name, arm, kind=kind, reference_id=reference_id)
        for name, arm, kind, reference_id in _compared_with(summary)
    ]
    for row in summary.rows:
        model = _model(
            summary,
            kept,
            f"row {row_name(row)}",
            row.arm,
            kind="quantized",
            reference_id=row.reference_id,
        )
        models.append(
            model.model_copy(
                update={
                    "row": row.number,
                    "distinct": row.shares_with is None,
                    "status": row.status,
                    "problem": _problem(row),
                    "values": tuple(map(value_text, row.parameters.values())),
                }
            )
        )
    return View(
        measured=summary.measured,
        original_name=summary.original_name,
        parameters=tuple(map(value_text, summary.rows[0].parameters)) if summary.rows else (),
        metrics=tuple(map(printable, summary.metric_names)),
        cells=tuple(cell.name for cell in summary.cells),
        margin_points=advice.margin_points,
        recommended=_recommended(summary, advice),
        models=tuple(models),
        series=tuple(kept.found),
        flips=flips,
    )


def interval(value: Ratio | MetricSummary | None) -> Interval | None:
    """A ratio, or a drop, with its ends."""
    if value is None:
        return None
    found = value.drop if isinstance(value, MetricSummary) else value.value
    return short(found), _short(value.low), _short(value.high)


def value_text(value: JsonValue) -> str:
    """A value of a parameter as text."""
    return printable(shortened(value if isinstance(value, str) else repr(value), _LONGEST_VALUE))


class _KeptSeries:
    """The raw times that the page holds, each once, and their places."""

    def __init__(self, result: SweepResult, limits: Thinning) -> None:
        arms = {found.arm.id: found for found in result.arms}
        self.facts = None if result.plan is None else Facts(result, result.plan, (), arms)
        self.found: list[Series] = []
        self._limits = limits
        self._places: dict[tuple[str, str, str], int | None] = {}

    def place(self, arm_id: str | None, timing: object) -> int | None:
        """Where the times of an arm are; None if there are none."""
        if arm_id is None or not isinstance(timing, Timing):
            return None
        key = (arm_id, timing.cell.id, timing.session)
        if key not in self._places:
            made = series(timing, self._limits)
            self._places[key] = None if made is None else len(self.found)
            self.found += [] if made is None else [made]
        return self._places[key]


def _model(
    summary: SweepSummary,
    kept: _KeptSeries,
    name: str,
    arm: ArmSummary | None,
    *,
    kind: Kind,
    reference_id: str | None,
) -> Model:
    metrics = {metric.name: metric for metric in arm.metrics} if arm else {}
    cells = arm.cells if arm else ()
    memory = [cell.peak_rss_bytes for cell in cells if cell.peak_rss_bytes is not None]
    return Model(
        name=printable(name),
        row=None,
        kind=kind,
        distinct=True,
        status="" if arm else "refused",
        values=(),
        drops=tuple(interval(metrics.get(metric)) for metric in summary.metric_names),
        speedup=interval(arm.speedup) if arm else None,
        quantization=interval(arm.quantization_speedup) if arm else None,
        unresolved=arm.unresolved if arm else False,
        size_mb=_megabytes(arm.num_bytes) if arm else None,
        memory_mb=_megabytes(max(memory, default=None)),
        cells=tuple(_numbers(cell) if cell.optimized else None for cell in cells),
        missing={
            place: _first_line(cell.missing)
            for place, cell in enumerate(cells)
            if cell.missing is not None
        },
        series=tuple(_places(kept, arm.id, reference_id, cell) for cell in cells) if arm else (),
    )


def _places(
    kept: _KeptSeries, arm_id: str, reference_id: str | None, cell: CellSummary
) -> tuple[int | None, int | None, int | None]:
    facts = kept.facts
    if facts is None:
        return None, None, None
    own = facts.timing(arm_id, cell.cell)
    original = facts.timing(ORIGINAL_ID, cell.cell, own)
    reference = facts.timing(reference_id, cell.cell, own) if reference_id else None
    return (
        kept.place(facts.resolve(ORIGINAL_ID), original),
        kept.place(facts.resolve(reference_id) if reference_id else None, reference),
        kept.place(facts.resolve(arm_id), own),
    )


def _numbers(cell: CellSummary) -> CellNumbers:
    own = cell.optimized
    numbers = (
        _time(own),
        own.p90_ms if own else None,
        _time(cell.original),
        _time(cell.reference),
        own.throughput_per_s if own else None,
        _megabytes(cell.peak_rss_bytes),
        *((own.num_forwards,) if own else (None,)),
        *(interval(cell.speedup) or (None, None, None)),
        *(interval(cell.quantization_speedup) or (None, None, None)),
        float(cell.unresolved),
    )
    return tuple(_short(number) for number in numbers)


def _compared_with(
    summary: SweepSummary,
) -> list[tuple[str, ArmSummary, Kind, str | None]]:
    """The original and the references that are something else: name, summary, kind, reference."""
    found: list[tuple[str, ArmSummary, Kind, str | None]] = []
    if summary.original is not None:
        found.append((summary.original_name, summary.original, "original", None))
    many = len(summary.references) > 1
    for arm in summary.references:
        name = reference_name(summary.original_name, arm.id)
        if many and "level" not in name:
            name = f"fp32 {arm.id.rsplit('float32-', 1)[-1]}"
        found.append((name, arm, "reference", arm.id))
    return found


def _recommended(summary: SweepSummary, advice: Recommendation) -> str | None:
    """The name of the model that is recommended."""
    match advice.choice:
        case "row":
            row = next(row for row in summary.rows if row.number == advice.row)
            return f"row {row_name(row)}"
        case "reference":
            names = _compared_with(summary)
            return next((name for name, arm, *_ in names if arm.id == advice.reference_id), None)
        case "original":
            return summary.original_name
        case _:
            return None


def _problem(row: RowSummary) -> str | None:
    """Why numbers of a row are not there."""
    failures = row.arm.failures if row.arm else ()
    said = [row.refused] if row.refused else []
    said += [
        f"{item.stage}{f' of {item.of}' if item.of else ''}: {item.error}" for item in failures
    ]
    return _first_line("; ".join(dict.fromkeys(said))) or None


def _num_series(result: SweepResult) -> int:
    return sum(isinstance(item, Timing) for arm in result.arms for item in arm.timings)


def _time(latency: Latency | None) -> float | None:
    if latency is None:
        return None
    return latency.mean_ms if latency.p50_ms is None else latency.p50_ms


def _short(value: float | None) -> float | None:
    return None if value is None else short(value)


def _megabytes(num_bytes: int | None) -> float | None:
    return None if num_bytes is None else short(num_bytes / 1e6)


def _first_line(error: str) -> str:
    return printable(shortened(" ".join(error.split()), 300))
