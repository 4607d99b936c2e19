"""The calibration methods by name: what each folds samples into, and how that becomes a range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from quantbench.core.calibration import MAX_NUM_BINS, Calibration
from quantbench.core.errors import QuantbenchError
from quantbench.stages.ranges.entropy import range_of_least_divergence
from quantbench.stages.ranges.extremes import (
    Range,
    Values,
    averaged,
    centred,
    extremes,
    widened,
)
from quantbench.stages.ranges.histogram import fold_absolute, fold_signed
from quantbench.stages.ranges.percentile import range_of_absolutes, range_of_values

# A search through more bins takes too long, and smoothing fails from 10,000 empty ones on.
_MOST_BINS_SEARCHED = MAX_NUM_BINS
# A megabyte per tensor; with the default number, 32 times what the first sample reached.
_MOST_BINS = 65_536

State = TypeVar("State")


@dataclass(frozen=True)
class RangeMethod(Generic[State]):
    """How a range is found.

    Attributes:
        needs_all_values: False if the smallest and largest value of each sample are enough.
        fold: state so far (None at first) and the finite values of one sample, to the new state.
        found: the range that a state stands for.
    """

    needs_all_values: bool
    fold: Callable[[State | None, Values], State]
    found: Callable[[State], Range]


def range_method(calibration: Calibration) -> RangeMethod[Any]:
    """The method of a calibration, with its parameters.

    Raises:
        QuantbenchError: the parameters do not go together.
    """
    own = calibration.reads()
    match calibration.method:
        case "minmax":
            extreme = partial(_fold_range, widened, own["symmetric"])
            return RangeMethod(False, extreme, _itself)
        case "moving_average":
            merge = partial(averaged, averaging_constant=own["averaging_constant"])
            return RangeMethod(False, partial(_fold_range, merge, own["symmetric"]), _itself)
        case "entropy":
            bins, levels = own["num_bins"], own["num_quantized_bins"]
            if bins < levels:
                raise QuantbenchError(
                    f"entropy needs at least as many num_bins ({bins}) as "
                    f"num_quantized_bins ({levels})"
                )
            found = partial(range_of_least_divergence, num_quantized_bins=levels)
            fold = partial(fold_signed, num_bins=bins, max_num_bins=_MOST_BINS_SEARCHED)
            return RangeMethod(True, fold, found)
        case "percentile":
            is_absolute = own["symmetric"]
            collect = fold_absolute if is_absolute else fold_signed
            range_of = range_of_absolutes if is_absolute else range_of_values
            return RangeMethod(
                True,
                partial(collect, num_bins=own["num_bins"], max_num_bins=_MOST_BINS),
                partial(range_of, percentile=own["percentile"]),
            )


def _fold_range(
    merge: Callable[[Range, Range], Range], symmetric: bool, so_far: Range | None, values: Values
) -> Range:
    new = centred(extremes(values)) if symmetric else extremes(values)
    return new if so_far is None else merge(so_far, new)


def _itself(found: Range) -> Range:
    return found
