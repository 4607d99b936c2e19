"""The report's plots as Vega-Lite specifications. The page's script fills in their data.

Colours are the page's own variables, so that one drawing serves light, dark and paper.
"""

from __future__ import annotations

import functools
import json
from typing import Any

Spec = dict[str, Any]

KINDS = ("original", "reference", "quantized")
_COLOURS = [f"var(--{kind})" for kind in KINDS]
_SHAPES = ["square", "diamond", "circle"]
_INK, _FAINT, _GRID, _MARGIN = "var(--ink)", "var(--faint)", "var(--grid)", "var(--margin)"
_STEP = 22


@functools.cache
def charts(original_name: str) -> str:
    """Every plot by its name, as JSON. Made once per process: that takes half a second.

    Args:
        original_name: what speed-ups are over.
    """
    found = {
        "pareto": _pareto(original_name),
        "accuracy": _accuracy(),
        "distribution": _distribution(),
        "rounds": _rounds(),
        "megabytes": _megabytes(),
    }
    return json.dumps(found)


def _pareto(original_name: str) -> Spec:
    """Drop against speed-up with both intervals, and a line along the best."""
    import altair as alt

    points = alt.Chart(alt.NamedData("points"))
    x = alt.X(
        "x:Q", title=f"times as fast as {original_name} (right is faster)", scale=_scale(padding=24)
    )
    y = alt.Y("y:Q", title="drop, points (up is better)", scale=_scale(padding=18, reverse=True))
    colour = alt.Color("kind:N", scale=_kinds(_COLOURS), legend=None)
    front = alt.Chart(alt.NamedData("front")).mark_line(
        strokeDash=[2, 3], color=_FAINT, interpolate="step-before", aria=False
    )
    bars = points.transform_filter("datum.x_low < datum.x_high || datum.y_low < datum.y_high")
    bars = bars.mark_rule(strokeWidth=1.4, opacity=0.45, aria=False)
    layers = [
        _rule("margin", "y", _MARGIN, dash=True),
        front.encode(x="x:Q", y="y:Q", order="x:Q"),
        bars.encode(x="x_low:Q", x2="x_high:Q", y=y, color=colour),
        bars.encode(x=x, y="y_low:Q", y2="y_high:Q", color=colour),
        points.mark_point(filled=True, size=95, cursor="pointer").encode(
            x=x,
            y=y,
            color=colour,
            shape=alt.Shape("kind:N", scale=_kinds(_SHAPES), legend=None),
            opacity=alt.Opacity("strength:Q", scale=None, legend=None),
            tooltip="tip:N",
            description="tip:N",
        ),
        *(
            points.transform_filter(f"datum.label && datum.below === {below}")
            .mark_text(dy=dy, fontSize=12, color=_INK, aria=False)
            .encode(x=x, y=y, text="label:N")
            for below, dy in (("false", -13), ("true", 15))
        ),
    ]
    return _finished(alt.layer(*layers), "Drop in accuracy against speed-up", height=340)


def _accuracy() -> Spec:
    """The drop of every row with its interval, one line each."""
    import altair as alt

    points = alt.Chart(alt.NamedData("points"))
    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=200))
    x = alt.X("y:Q", title="drop, points (left is better)", scale=_scale(padding=16))
    layers = [
        _rule("zero", "x", _FAINT),
        _rule("margin", "x", _MARGIN, dash=True),
        points.mark_rule(strokeWidth=2, opacity=0.55, color=_COLOURS[2], aria=False).encode(
            x="y_low:Q", x2="y_high:Q", y=y
        ),
        points.mark_point(filled=True, size=75, color=_COLOURS[2], cursor="pointer").encode(
            x=x, y=y, tooltip="tip:N", description="tip:N"
        ),
    ]
    return _finished(alt.layer(*layers), "Drop with its 95 % interval, by row", step=_STEP)


def _distribution() -> Spec:
    """How many forwards took how long, of one model in one shape."""
    import altair as alt

    bars = alt.Chart(alt.NamedData("bins")).mark_bar(binSpacing=0.5)
    chart = bars.encode(
        x=alt.X(
            "start:Q",
            title="milliseconds",
            bin="binned",
            scale=_scale(nice=False),
            axis=alt.Axis(tickCount=5),
        ),
        x2="end:Q",
        y=alt.Y("count:Q", title="forwards", axis=alt.Axis(tickCount=3)),
        color=alt.Color("kind:N", scale=_kinds(_COLOURS), legend=None),
        tooltip="tip:N",
        description="tip:N",
    )
    return _finished(chart, "Distribution of single forwards", height=90)


def _rounds() -> Spec:
    """The rounds of a session in their order: a drift of the machine moves all lines together."""
    import altair as alt

    points = alt.Chart(alt.NamedData("rounds"))
    y = alt.Y("relative:Q", title="time ÷ own median", scale=_scale(padding=8))
    axis = alt.Axis(tickMinStep=1, format="d")
    x = alt.X("round:Q", title="round", scale=_scale(nice=False), axis=axis)
    colour = alt.Color("kind:N", scale=_kinds(_COLOURS), legend=None)
    layers = [
        _rule("sets", "x", _GRID, field="round"),
        _rule("one", "y", _FAINT),
        points.mark_line(strokeWidth=1.4, aria=False).encode(x=x, y=y, color=colour),
        points.mark_point(filled=True, size=26).encode(
            x=x,
            y=y,
            color=colour,
            shape=alt.Shape("kind:N", scale=_kinds(_SHAPES), legend=None),
            tooltip="tip:N",
            description="tip:N",
        ),
    ]
    return _finished(alt.layer(*layers), "Medians of the rounds in their order", height=220)


def _megabytes() -> Spec:
    """One bar for each model."""
    import altair as alt

    bars = alt.Chart(alt.NamedData("bars"))
    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=200))
    x = alt.X("value:Q", title="MB", scale=alt.Scale(nice=True))
    layers = [
        bars.mark_bar(height={"band": 0.7}).encode(
            x=x,
            y=y,
            color=alt.Color("kind:N", scale=_kinds(_COLOURS), legend=None),
            tooltip="tip:N",
            description="tip:N",
        ),
        bars.mark_text(align="left", dx=4, fontSize=11, color=_INK, aria=False).encode(
            x=x, y=y, text="label:N"
        ),
    ]
    spec = _finished(alt.layer(*layers), "Megabytes by model", step=_STEP)
    # Room for the number at the end of the longest bar.
    return spec | {"padding": {"left": 5, "top": 5, "right": 48, "bottom": 5}}


def _rule(data: str, channel: str, colour: str, *, dash: bool = False, field: str = "at") -> Any:
    import altair as alt

    mark = alt.Chart(alt.NamedData(data)).mark_rule(
        color=colour, strokeWidth=1.2, strokeDash=[6, 4] if dash else [1, 0], aria=False
    )
    return mark.encode(**{channel: f"{field}:Q"})


def _scale(**given: Any) -> Any:
    import altair as alt

    return alt.Scale(zero=False, **given)


def _kinds(values: list[str]) -> Any:
    import altair as alt

    return alt.Scale(domain=list(KINDS), range=values)


def _finished(chart: Any, description: str, *, height: int = 0, step: int = 0) -> Spec:
    """The specification: as wide as its place in the page, of a height or a height per row."""
    sized = chart.properties(width="container", description=description)
    spec: Spec = sized.to_dict()
    # A step is for the page's script, which knows how many rows there are.
    spec |= {"usermeta": {"step": step}} if step else {"height": height}
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    spec["background"] = None
    spec["config"] = {
        # As the page's, in words that a canvas can measure by.
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": {
            "labelColor": _FAINT,
            "titleColor": _INK,
            "gridColor": _GRID,
            "domainColor": _GRID,
            "tickColor": _GRID,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "labelOverlap": "greedy",
            "labelSeparation": 6,
        },
        "axisY": {"grid": True},
    }
    return spec
