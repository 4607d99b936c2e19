"""The accuracy-speed picture, light and dark, as SVG and PNG. Works offline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from quantbench.analysis.points import Point, accuracy_speed_points
from quantbench.analysis.recommend import recommend
from quantbench.core.results import SweepResult
from quantbench.core.specs import TaskSpec
from quantbench.core.summary import SweepSummary
from quantbench.reports import paths
from quantbench.reports.label_places import Label, place_labels
from quantbench.store import write_atomically

Theme = Literal["light", "dark"]

_WIDTH, _HEIGHT = 620, 360
_COLOURS: dict[Theme, dict[str, str]] = {
    "light": {
        "background": "#ffffff",
        "ink": "#1f2328",
        "faint": "#59636e",
        "grid": "#e4e8ec",
        "margin": "#1a7f37",
        "original": "#59636e",
        "reference": "#9a6700",
        "quantized": "#0969da",
    },
    "dark": {
        "background": "#0d1117",
        "ink": "#f0f6fc",
        "faint": "#9198a1",
        "grid": "#262c36",
        "margin": "#3fb950",
        "original": "#9198a1",
        "reference": "#d29922",
        "quantized": "#58a6ff",
    },
}
_SHAPES = {"original": "square", "reference": "diamond", "quantized": "circle"}


def accuracy_speed_chart(
    summary: SweepSummary, theme: Theme, *, place: int | None = None
) -> dict[str, Any] | None:
    """The picture as a Vega-Lite specification; None where no row has both numbers.

    Right is faster, up is better: the vertical axis is the change of the primary metric, so that
    the best place is the upper right corner. Bars are 95 % intervals; the dashed line is the
    recommendation's margin.

    Args:
        summary: of a sweep.
        theme: which of the two sets of colours.
        place: which cell's speed-up; the geometric mean over cells when left out.
    """
    points = accuracy_speed_points(summary, place)
    if not points:
        return None
    advice = recommend(summary)
    points = tuple(
        point.model_copy(update={"label": f"{point.label} (recommended)"})
        if point.source == (advice.choice, advice.row or advice.reference_id)
        else point
        for point in points
    )
    where = "over all shapes (geometric mean)" if len(summary.cells) > 1 and place is None else ""
    x_title = f"times as fast as {summary.original_name} {where}".strip()
    return _chart(points, theme, advice.margin_points, x_title, summary.primary_metric)


def write_pictures(summary: SweepSummary, run_dir: Path) -> list[Path]:
    """Write `plots/accuracy_speed-{light,dark}.{svg,png}`; returns the files written."""
    import vl_convert as vlc

    written: list[Path] = []
    for theme in ("light", "dark"):
        spec = accuracy_speed_chart(summary, theme)
        if spec is None:
            return []
        svg = run_dir / f"{paths.PICTURE_STEM}-{theme}.svg"
        svg.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(svg, vlc.vegalite_to_svg(spec))
        png = svg.with_suffix(".png")
        write_atomically(png, vlc.vegalite_to_png(spec, scale=2))
        written += [svg, png]
    return written


def _chart(
    points: tuple[Point, ...], theme: Theme, margin: float | None, x_title: str, metric: str
) -> dict[str, Any]:
    import altair as alt

    colours = _COLOURS[theme]
    x_range = _padded([p.speedup_low for p in points] + [p.speedup_high for p in points], 0.09)
    ends = [-p.drop_low for p in points] + [-p.drop_high for p in points]
    y_range = _padded([*ends, 0.0, *([-margin] if margin is not None else [])], 0.1)
    x_scale = alt.Scale(domain=x_range, zero=False, nice=False)
    y_scale = alt.Scale(domain=y_range, zero=False, nice=False)
    x = alt.X("speedup:Q", scale=x_scale, title=x_title, axis=alt.Axis(tickCount=8))
    y = alt.Y("change:Q", scale=y_scale, title=f"change in {metric}, points")
    kinds = list(dict.fromkeys(point.kind for point in points))
    # The labels name the points: a legend would say the same again, further away.
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=kinds, range=[colours[kind] for kind in kinds]),
        legend=None,
    )
    shape = alt.Shape(
        "kind:N", scale=alt.Scale(domain=kinds, range=[_SHAPES[kind] for kind in kinds])
    )
    base = alt.Chart({"values": [_datum(point) for point in points]})
    bars = base.mark_rule(strokeWidth=1.5, opacity=0.55)
    layers: list[Any] = [_line(0.0, colours["faint"], y_scale, [1, 0])]
    notes: list[Label] = []
    lines = [0.0] if margin is None else [0.0, -margin]
    if margin is not None:
        layers.append(_line(-margin, colours["margin"], y_scale, [6, 4]))
        notes.append(Label(f"margin: {margin:.2f} points lost", x_range[1], -margin))
    labels = place_labels(points, x_range, y_range, (_WIDTH, _HEIGHT), notes, lines)
    layers += [
        _leaders(labels, x, y, colours["faint"]),
        bars.encode(x=x, y=alt.Y("low:Q", scale=y_scale), y2="high:Q", color=colour),
        bars.encode(x=alt.X("x_low:Q", scale=x_scale), x2="x_high:Q", y=y, color=colour),
        base.mark_point(filled=True, size=110, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape
        ),
        _words(labels, x, y, colours["ink"], align="center", baseline="middle"),
        _words(notes, x, y, colours["margin"], align="right", baseline="top", dx=-4, dy=5),
    ]
    chart = alt.layer(*layers).properties(
        width=_WIDTH, height=_HEIGHT, background=colours["background"], padding=14
    )
    spec: dict[str, Any] = chart.to_dict()
    spec["config"] = _config(colours)
    return spec


def _line(height: float, colour: str, scale: Any, dash: list[int]) -> Any:
    import altair as alt

    rule = alt.Chart({"values": [{"height": height}]}).mark_rule(
        color=colour, strokeDash=dash, strokeWidth=1.2
    )
    return rule.encode(y=alt.Y("height:Q", scale=scale))


def _words(labels: list[Label], x: Any, y: Any, colour: str, **mark: Any) -> Any:
    import altair as alt

    values = [{"speedup": label.x, "change": label.y, "label": label.text} for label in labels]
    chart = alt.Chart({"values": values}).mark_text(fontSize=12, color=colour, **mark)
    return chart.encode(x=x, y=y, text="label:N")


def _leaders(labels: list[Label], x: Any, y: Any, colour: str) -> Any:
    """Thin lines from points to labels that stand apart from them."""
    import altair as alt

    ends = [label.leader for label in labels if label.leader is not None]
    values = [{"speedup": e[0], "change": e[1], "x2": e[2], "y2": e[3]} for e in ends]
    chart = alt.Chart({"values": values}).mark_rule(strokeWidth=0.8, color=colour)
    return chart.encode(x=x, y=y, x2="x2:Q", y2="y2:Q")


def _config(colours: dict[str, str]) -> dict[str, Any]:
    return {
        "font": "sans-serif",
        "view": {"stroke": None},
        "axis": {
            "labelColor": colours["faint"],
            "titleColor": colours["ink"],
            "gridColor": colours["grid"],
            "domainColor": colours["grid"],
            "tickColor": colours["grid"],
            "labelFontSize": 12,
            "titleFontSize": 13,
            "titleFontWeight": "normal",
            "titlePadding": 10,
        },
    }


def _datum(point: Point) -> dict[str, object]:
    return {
        "kind": point.kind,
        "speedup": point.speedup,
        "x_low": point.speedup_low,
        "x_high": point.speedup_high,
        "change": -point.drop,
        "low": -point.drop_high,
        "high": -point.drop_low,
    }


def _padded(values: list[float], share: float) -> list[float]:
    """The range of the values with room on both sides; never of no width."""
    low, high = min(values), max(values)
    room = (high - low) * share or 0.5
    return [low - room, high + room]


@dataclass(frozen=True)
class PlotsReport:
    """Writes the pictures of a sweep below plots/."""

    name: str = "plots"
    reads_raw: bool = False

    def write(
        self, result: SweepResult, summary: SweepSummary, task: TaskSpec, run_dir: Path
    ) -> list[Path]:
        """Write the pictures below `run_dir`; returns the files, none without anything to show."""
        return write_pictures(summary, run_dir)


REPORT = PlotsReport()
