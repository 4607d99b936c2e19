"""The smallest and largest value: over all samples, or averaged over them.

The source of both is `MinMaxCalibrater` of onnxruntime/quantization/calibrate.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

# float16 or float32: the type of the tensor, in which all arithmetic is done.
Values = npt.NDArray[Any]


@dataclass(frozen=True)
class Range:
    """The smallest and largest value that a tensor's scale has to reach; scalars of its type."""

    lowest: Any
    highest: Any


def extremes(values: Values) -> Range:
    """Smallest and largest of finite values of any shape; (0, 0) if there are none."""
    if values.size == 0:
        zero = values.dtype.type(0)
        return Range(zero, zero)
    return Range(values.min(), values.max())


def centred(found: Range) -> Range:
    """The smallest range around zero that holds `found`."""
    largest = max(abs(found.lowest), abs(found.highest))
    return Range(-largest, largest)


def widened(so_far: Range, new: Range) -> Range:
    """minmax: both ranges in one."""
    return Range(min(so_far.lowest, new.lowest), max(so_far.highest, new.highest))


def averaged(so_far: Range, new: Range, averaging_constant: float) -> Range:
    """moving_average: r + c (r_new - r) for both ends; the order of the samples matters."""
    return Range(
        so_far.lowest + averaging_constant * (new.lowest - so_far.lowest),
        so_far.highest + averaging_constant * (new.highest - so_far.highest),
    )
