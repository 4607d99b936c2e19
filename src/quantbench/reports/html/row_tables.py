"""The tables with a line per row: all at a glance, speed-up by shape, accuracy by metric.

Their lines have the row's number, by which the page's script filters and sorts them all alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from quantbench.core.plan import Cell
from quantbench.core.summary import CellSummary, MetricSummary, RowSummary, SweepSummary
from quantbench.reports.html.data import value_text
from quantbench.reports.html.markup import Child, Html, captioned, el, join, scrolling
from quantbench.reports.wording import (
    NOTHING,
    drop,
    megabytes,
    number,
    overall_speedup,
    ratio,
    row_name,
)

# A step of colour for each factor of about 1.3 (faster) or 1.15 (slower).
_FASTER_STEPS, _SLOWER_STEPS = 8, 4
_FASTER_FACTOR, _SLOWER_FACTOR = 1.3, 1.15

# A row and the cells after its name.
_Line = tuple[RowSummary, Sequence[Html]]


def rows_table(summary: SweepSummary, recommended: int | None) -> Html:
    """One line per row: what it is, what it costs and what it gains."""
    parameters = list(summary.rows[0].parameters) if summary.rows else []
    head = [
        _sorted_by("row", "row"),
        *(
            _sorted_by(value_text(name), f"parameter:{place}")
            for place, name in enumerate(parameters)
        ),
        _sorted_by(f"drop in {summary.primary_metric}, points", "drop:0"),
        _sorted_by("speed-up", "speedup"),
        _sorted_by("over fp32", "quantization"),
        _sorted_by("file, MB", "size"),
        _sorted_by("memory, MB", "memory"),
        _sorted_by("status", "status"),
    ]
    lines = [
        (row, _cells(_glance(row, summary, row.number == recommended))) for row in summary.rows
    ]
    brackets = " Brackets are 95 % intervals." if summary.measured else ""
    caption = f"All rows.{brackets} The speed-up is the geometric mean over shapes."
    return _table(caption, "rows-table", head, lines, anchors=True)


def heat_table(summary: SweepSummary) -> Html:
    """Speed-up by row and shape, the stronger the colour the further from 1."""
    head = [_sorted_by("row", "row")]
    head += [_sorted_by(_short_name(c), f"cell:{n}") for n, c in enumerate(summary.cells)]
    lines = [(row, [_heat(cell) for cell in _timed(row, summary)]) for row in summary.rows]
    return _table(f"Speed-up over {summary.original_name} by row and shape", "heat", head, lines)


def accuracy_table(summary: SweepSummary) -> Html:
    """Every metric of every row: both values, the drop, and what it is made of."""
    head = [_sorted_by("row", "row")]
    for place, name in enumerate(summary.metric_names):
        head += [
            el("th", f"{name}, original", scope="col"),
            el("th", f"{name}, row", scope="col"),
            _sorted_by(f"drop in {name}, points", f"drop:{place}"),
            el("th", "worse / better", scope="col"),
        ]
    head.append(el("th", "same answers", scope="col"))
    lines: list[_Line] = []
    for row in summary.rows:
        metrics = {metric.name: metric for metric in row.arm.metrics} if row.arm else {}
        cells = [text for n in summary.metric_names for text in _metric(metrics.get(n))]
        same = row.arm.agreement if row.arm else None
        lines.append((row, _cells([*cells, NOTHING if same is None else f"{same:.1%}"])))
    caption = "Accuracy. Drops are in points with 95 % intervals; worse and better count samples."
    return _table(caption, "accuracy-table", head, lines)


def _glance(row: RowSummary, summary: SweepSummary, is_recommended: bool) -> list[Child]:
    arm = row.arm
    metrics = arm.metrics if arm else ()
    first = next((m for m in metrics if m.name == summary.primary_metric), None)
    memory = [c.peak_rss_bytes for c in (arm.cells if arm else ()) if c.peak_rss_bytes is not None]
    status: Child = row.status
    if is_recommended:
        status = join([row.status, " ", el("span", "recommended", class_="badge")])
    elif row.status in ("failed", "partial", "refused"):
        status = el("span", row.status, class_="bad")
    return [
        *map(value_text, row.parameters.values()),
        NOTHING if first is None else _unbroken(drop(first)),
        _unbroken(overall_speedup(arm)),
        _unbroken(ratio(arm.quantization_speedup)) if arm else NOTHING,
        megabytes(arm.num_bytes) if arm else NOTHING,
        megabytes(max(memory, default=None)),
        status,
    ]


def _unbroken(written: str) -> str:
    """A value and its interval on one line; what follows them may stand on the next."""
    start, bracket, rest = written.partition("]")
    return start.replace(" ", "\N{NO-BREAK SPACE}") + bracket + rest if bracket else written


def _metric(found: MetricSummary | None) -> list[str]:
    if found is None:
        return [NOTHING] * 4
    flips = NOTHING if found.worse is None else f"{found.worse:,} / {found.better or 0:,}"
    if found.mcnemar_p is not None:
        flips += f" (p = {found.mcnemar_p:.2g})"
    return [number(found.original, 3), number(found.optimized, 3), _unbroken(drop(found)), flips]


def _timed(row: RowSummary, summary: SweepSummary) -> Sequence[CellSummary | None]:
    cells = row.arm.cells if row.arm else ()
    return [cells[n] if n < len(cells) else None for n in range(len(summary.cells))]


def _heat(cell: CellSummary | None) -> Html:
    """One speed-up: its colour, and `?` where it is not resolved."""
    found = None if cell is None else cell.speedup
    if cell is None or found is None:
        return el("td", NOTHING, class_="none")
    text = number(found.value)
    if cell.unresolved:
        text += " ?"
    return el("td", text, class_=heat_class(found.value))


def heat_class(speedup: float) -> str:
    """The class of a speed-up's colour: `f0` to `f8` where faster, `s1` to `s4` where slower."""
    if speedup >= 1:
        return f"f{min(_FASTER_STEPS, round(math.log(speedup, _FASTER_FACTOR)))}"
    steps = _SLOWER_STEPS if speedup <= 0 else round(-math.log(speedup, _SLOWER_FACTOR))
    return f"s{steps}" if 0 < steps < _SLOWER_STEPS else f"s{_SLOWER_STEPS}" if steps else "f0"


def _short_name(cell: Cell) -> str:
    if cell.input_length is None:
        return str(cell.batch_size)
    return f"{cell.batch_size}×{cell.input_length}"


def _cells(found: Iterable[Child]) -> list[Html]:
    return [el("td", item) for item in found]


def _sorted_by(title: str, key: str) -> Html:
    # A long name may go on in the next line where it has a new word.
    breakable = re.sub(r"(?<=[_.])(?=\w)", "\N{ZERO WIDTH SPACE}", title)
    return el("th", el("button", breakable, type="button", data_sort=key), scope="col")


def _table(
    caption: str,
    name: str,
    head: Sequence[Html],
    lines: Iterable[_Line],
    *,
    anchors: bool = False,
) -> Html:
    """A table of rows; with anchors its lines are what `#row-N` leads to."""
    body = [
        el(
            "tr",
            el("th", el("a", row_name(row), href=f"#row-{row.number}"), scope="row"),
            *cells,
            data_row=row.number,
            id=f"row-{row.number}" if anchors else None,
        )
        for row, cells in lines
    ]
    content = el(
        "table", captioned(caption), el("thead", el("tr", *head)), el("tbody", *body), id=name
    )
    return scrolling(content, caption)
