"""The accuracy-speed picture and its labels."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from quantbench.analysis.compare import summarize
from quantbench.analysis.points import Point, accuracy_speed_points
from quantbench.reports import plots
from quantbench.reports.label_places import place_labels
from synthetic import QUESTION_ANSWERING, report_inputs, sweep


def test_the_picture_shows_each_distinct_file_once() -> None:
    points = accuracy_speed_points(summarize(sweep(), QUESTION_ANSWERING))
    labels = [point.label for point in points]
    # Row 7 lost a cell, but has a mean over the others.
    assert labels == ["PyTorch eager", "ONNX Runtime fp32", "row 3", "row 4", "row 7"]


def test_pictures_are_written_light_and_dark_as_svg_and_png(tmp_path: Path) -> None:
    written = plots.REPORT.write(*report_inputs(sweep()), tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in written]
    stem = "plots/accuracy_speed"
    assert names == [f"{stem}-{t}.{e}" for t in ("light", "dark") for e in ("svg", "png")]
    assert "row 3 (recommended)" in written[0].read_text()
    assert written[1].read_bytes().startswith(b"\x89PNG")


def test_nothing_is_written_where_nothing_was_measured(tmp_path: Path) -> None:
    empty = sweep().model_copy(update={"arms": ()})
    assert plots.REPORT.write(*report_inputs(empty), tmp_path) == []


def test_light_and_dark_differ_in_colours_only() -> None:
    summary = summarize(sweep(), QUESTION_ANSWERING)
    light, dark = (plots.accuracy_speed_chart(summary, theme) for theme in ("light", "dark"))
    assert light is not None
    assert dark is not None
    assert light["background"] != dark["background"]
    assert "row 3 (recommended)" in json.dumps(light)


def test_one_cell_can_be_drawn_alone() -> None:
    summary = summarize(sweep(), QUESTION_ANSWERING)
    spec = json.dumps(plots.accuracy_speed_chart(summary, "light", place=0))
    assert "geometric mean" not in spec


def test_labels_of_close_points_do_not_lie_on_each_other() -> None:
    points = [_point(f"row {index}", 1 + index * 0.01, 0.0) for index in range(8)]
    labels = place_labels(points, (0.9, 1.2), (-1.0, 1.0), (600, 360))
    boxes = [
        ((label.x - 0.9) / 0.3 * 600, (1.0 - label.y) / 2.0 * 360, len(label.text) * 6.6)
        for label in labels
    ]
    for (x, y, width), (x2, y2, width2) in itertools.combinations(boxes, 2):
        assert abs(x - x2) >= (width + width2) / 2 - 1 or abs(y - y2) >= 14


def test_a_label_that_stands_apart_has_a_line_to_its_point() -> None:
    points = [_point(f"row {index}", 1 + index * 0.001, 0.0) for index in range(8)]
    labels = place_labels(points, (0.9, 1.2), (-1.0, 1.0), (600, 360))
    leaders = [label.leader for label in labels if label.leader is not None]
    assert leaders
    for leader in leaders:
        assert min(abs(leader[0] - point.speedup) for point in points) < 1e-9


def _point(label: str, speedup: float, drop: float) -> Point:
    return Point(
        label=label,
        kind="quantized",
        source=("row", 1),
        speedup=speedup,
        speedup_low=speedup,
        speedup_high=speedup,
        drop=drop,
        drop_low=drop,
        drop_high=drop,
    )
