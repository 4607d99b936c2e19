"""Where to put the labels of points so that none lies on another, on a point or on a bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from quantbench.analysis.points import Point

# Sizes in pixels, for 12-pixel sans-serif text.
_CHARACTER, _LINE, _POINT, _BAR = 6.6, 15.0, 8.0, 3.0
# What it costs to stand nearer to another point, and from where on a line leads to the point.
_MISLEADING, _APART = 60.0, 12.0
# Distances from the point that are tried, nearest first, and directions, the most usual first.
_DISTANCES = (6.0, 14.0, 26.0, 40.0, 58.0)
_DIRECTIONS = ((1, -1), (1, 1), (-1, -1), (-1, 1), (1, 0), (-1, 0), (0, -1), (0, 1))


@dataclass(frozen=True)
class Label:
    """A label centred at (x, y), in the units of the axes.

    `leader` is a line from its point to it (x, y, x2, y2), where it stands apart.
    """

    text: str
    x: float
    y: float
    leader: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the box that is nearest to (x, y)."""
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)

    def distance(self, x: float, y: float) -> float:
        near_x, near_y = self.nearest(x, y)
        return math.hypot(x - near_x, y - near_y)

    def overlap(self, other: _Box) -> float:
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)


def place_labels(
    points: Sequence[Point],
    x_range: Sequence[float],
    y_range: Sequence[float],
    size: tuple[float, float],
    notes: Sequence[Label] = (),
    lines: Sequence[float] = (),
) -> list[Label]:
    """Place the points' labels one after the other, each where it covers least.

    Args:
        points: y is the change of the metric, -drop.
        x_range: the ends of the horizontal axis.
        y_range: the ends of the vertical axis.
        size: width and height of the picture in pixels.
        notes: texts that are there already; (x, y) is the upper right corner of each.
        lines: heights of horizontal lines, not to be crossed if it can be helped.
    """
    width, height = size
    x_unit = width / (x_range[1] - x_range[0])
    y_unit = height / (y_range[1] - y_range[0])

    def pixel(x: float, y: float) -> tuple[float, float]:
        return (x - x_range[0]) * x_unit, (y_range[1] - y) * y_unit

    centres = [pixel(point.speedup, -point.drop) for point in points]
    taken: list[_Box] = []
    for point in points:
        x, y = pixel(point.speedup, -point.drop)
        taken.append(_Box(x - _POINT, y - _POINT, x + _POINT, y + _POINT))
        left, top = pixel(point.speedup_low, -point.drop_low)
        right, bottom = pixel(point.speedup_high, -point.drop_high)
        taken.append(_Box(x - _BAR, top, x + _BAR, bottom))
        taken.append(_Box(left, y - _BAR, right, y + _BAR))
    for note in notes:
        x, y = pixel(note.x, note.y)
        taken.append(_Box(x - len(note.text) * _CHARACTER - _POINT, y - _BAR, x, y + 1.5 * _LINE))
    for line in lines:
        _, y = pixel(x_range[0], line)
        taken.append(_Box(0, y - 0.25, width, y + 0.25))
    labels: list[Label] = []
    for point in points:
        x, y = pixel(point.speedup, -point.drop)
        half_width, half_height = len(point.label) * _CHARACTER / 2, _LINE / 2
        best: tuple[float, _Box] | None = None
        for distance in _DISTANCES:
            for across, down in _DIRECTIONS:
                away = distance if across and down else distance + _POINT / 2
                middle_x = x + across * (half_width + away)
                middle_y = y + down * (half_height + away)
                box = _Box(
                    middle_x - half_width,
                    middle_y - half_height,
                    middle_x + half_width,
                    middle_y + half_height,
                )
                outside = _outside(box, width, height)
                cost = sum(box.overlap(other) for other in taken) + 1000 * outside + distance
                nearest = min(box.distance(*centre) for centre in centres)
                if nearest < box.distance(x, y):
                    cost += _MISLEADING
                if best is None or cost < best[0]:
                    best = cost, box
        if best is None:
            continue
        box = best[1]
        taken.append(box)
        middle_x, middle_y = (box.left + box.right) / 2, (box.top + box.bottom) / 2

        def unit(at: tuple[float, float]) -> tuple[float, float]:
            return at[0] / x_unit + x_range[0], y_range[1] - at[1] / y_unit

        leader = None
        if box.distance(x, y) > _APART:
            leader = (*unit((x, y)), *unit(box.nearest(x, y)))
        labels.append(Label(point.label, *unit((middle_x, middle_y)), leader))
    return labels


def _outside(box: _Box, width: float, height: float) -> float:
    """By how many pixels the box leaves the picture."""
    across = max(0.0, -box.left) + max(0.0, box.right - width)
    return across + max(0.0, -box.top) + max(0.0, box.bottom - height)
