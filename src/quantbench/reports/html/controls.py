"""What a reader can set: which rows are shown, in which metric and shape, and the row looked at.

Every control has a label of its own. The page's script finds them by their ids.
"""

from __future__ import annotations

from collections.abc import Iterable

from quantbench.core.summary import SweepSummary
from quantbench.reports.html.data import value_text
from quantbench.reports.html.markup import Html, el
from quantbench.reports.wording import row_name

_ALL = ("", "all")


def filters(summary: SweepSummary) -> Html:
    """The form above the plots: a list for each parameter, and limits."""
    names = list(summary.rows[0].parameters) if summary.rows else []
    values = {
        name: dict.fromkeys(value_text(row.parameters[name]) for row in summary.rows)
        for name in names
    }
    fields = [
        _select(f"parameter-{place}", value_text(name), [_ALL, *((v, v) for v in values[name])])
        for place, name in enumerate(names)
    ]
    statuses = dict.fromkeys(row.status for row in summary.rows)
    fields += [
        _select("status", "status", [_ALL, *((status, status) for status in statuses)]),
        _number("largest-drop", "largest drop, points"),
        _number("least-speedup", "least speed-up"),
        el("button", "Show all", type="reset"),
    ]
    return el(
        "form",
        el("fieldset", el("legend", "Filter rows"), el("div", *fields, class_="fields")),
        el("output", id="count", for_="filters", role="status", aria_live="polite"),
        id="filters",
        class_="script",
    )


def plot_choices(summary: SweepSummary) -> Html:
    """Which metric and whose speed-up the plots show."""
    shapes = [(str(place), cell.name) for place, cell in enumerate(summary.cells)]
    metrics = [(str(place), name) for place, name in enumerate(summary.metric_names)]
    return el(
        "div",
        _select("pick-metric", "metric", metrics),
        _select("pick-shape", "speed-up at", [("", "all shapes (geometric mean)"), *shapes]),
        class_="fields script",
    )


def row_choices(summary: SweepSummary) -> Html:
    """Which row is looked at, and in which shape."""
    rows = [(str(row.number), f"row {row_name(row)}") for row in summary.rows]
    shapes = [(str(place), cell.name) for place, cell in enumerate(summary.cells)]
    return el(
        "div",
        el("button", "Previous row", type="button", id="previous-row"),
        el("button", "Next row", type="button", id="next-row"),
        _select("pick-row", "row", rows),
        _select("pick-times", "raw times at", shapes),
        class_="fields script",
    )


def _select(name: str, label: str, options: Iterable[tuple[str, str]]) -> Html:
    choices = [el("option", text, value=value) for value, text in options]
    return _labelled(name, label, el("select", *choices, id=name, name=name, autocomplete="off"))


def _number(name: str, label: str) -> Html:
    field = el("input", type="number", step="any", id=name, name=name, autocomplete="off")
    return _labelled(name, label, field)


def _labelled(name: str, label: str, control: Html) -> Html:
    return el("div", el("label", label, for_=name), control, class_="field")
