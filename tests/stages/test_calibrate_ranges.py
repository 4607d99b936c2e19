"""Ranges from values alone: what holds for all data, and data that break ONNX Runtime's way."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quantbench.core.calibration import MAX_NUM_BINS, METHOD_DEFAULTS, Calibration
from quantbench.core.errors import QuantbenchError
from quantbench.stages.ranges.extremes import Range, Values
from quantbench.stages.ranges.histogram import Histogram, fold_absolute, fold_signed
from quantbench.stages.ranges.methods import range_method

finite = st.floats(-(2.0**100), 2.0**100, width=32)
arrays = hnp.arrays(np.float32, st.integers(1, 60), elements=finite)
chunks = st.lists(arrays, min_size=1, max_size=5)
ALL = [
    *(Calibration(method=method) for method in METHOD_DEFAULTS),
    Calibration(method="percentile", symmetric=False),
]
Fold = Callable[[Histogram | None, Values, int, int], Histogram]


def folded(calibration: Calibration, parts: Iterable[Values]) -> Range:
    method = range_method(calibration)
    state: Any = None
    for part in parts:
        state = method.fold(state, part)
    return method.found(state)


def histogram(fold: Fold, parts: Iterable[Values], num_bins: int = 128) -> Histogram:
    found: Histogram | None = None
    for part in parts:
        found = fold(found, part, num_bins, MAX_NUM_BINS)
    assert found is not None
    return found


@given(chunks)
def test_minmax_is_the_same_however_the_data_are_cut(parts: list[Values]) -> None:
    whole = np.concatenate(parts)
    assert folded(Calibration(), parts) == Range(whole.min(), whole.max())


@given(chunks)
def test_a_moving_average_stays_within_minmax_up_to_rounding(parts: list[Values]) -> None:
    found, widest = folded(Calibration(method="moving_average"), parts), np.concatenate(parts)
    slack = 1e-5 * np.abs(widest).max()
    assert widest.min() - slack <= found.lowest
    assert found.highest <= widest.max() + slack


@pytest.mark.parametrize("fold", [fold_signed, fold_absolute])
@given(parts=chunks)
def test_values_from_the_first_bin_on_are_counted(fold: Fold, parts: list[Values]) -> None:
    found = histogram(fold, parts)
    whole = np.concatenate(parts)
    smallest = 0 if fold is fold_signed else found.edges[0]
    assert found.counts.sum() == np.count_nonzero(np.abs(whole) >= smallest)
    assert found.counts.size <= MAX_NUM_BINS + 1
    assert found.edges.size == found.counts.size + 1
    assert (np.diff(found.edges) >= 0).all()


@pytest.mark.parametrize("calibration", ALL, ids=str)
@settings(max_examples=15, deadline=None)
@given(parts=chunks)
def test_every_range_lies_within_what_was_seen(
    calibration: Calibration, parts: list[Values]
) -> None:
    found, whole = folded(calibration, parts), np.concatenate(parts)
    slack = 1e-5 * np.abs(whole).max()
    assert whole.min() - slack <= found.lowest <= found.highest <= whole.max() + slack


@given(
    parts=st.lists(
        hnp.arrays(np.float32, 200, elements=st.floats(-10, 10, width=32)), min_size=1, max_size=4
    ),
    percentile=st.floats(50, 100),
)
def test_a_percentile_is_within_a_bin_of_numpys(parts: list[Values], percentile: float) -> None:
    # Values to both ends first, so that all bins are there and as wide.
    parts = [np.linspace(-10, 10, 200, dtype=np.float32), *parts]
    whole, num_bins = np.concatenate(parts), 512
    cut = (100 - percentile) / 2
    asymmetric = Calibration(
        method="percentile", symmetric=False, percentile=percentile, num_bins=num_bins
    )
    found, width = folded(asymmetric, parts), 20 / num_bins
    # Where a share falls between two values, either of them is right.
    for bound, share in ((found.lowest, cut), (found.highest, 100 - cut)):
        below, above = np.clip([share - 1e-3, share + 1e-3], 0, 100)
        least, most = np.percentile(whole, [below, above], method="inverted_cdf")
        assert least - 1.001 * width <= bound <= most + 1.001 * width


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 1e-44, -3.4e38, 6e-8])
@pytest.mark.parametrize("calibration", ALL, ids=str)
def test_a_constant_tensor_has_its_value_as_range(calibration: Calibration, value: float) -> None:
    constant = np.full((2, 3), value, dtype=np.float32)
    found = folded(calibration, [constant] * 3)
    assert (found.lowest, found.highest) == (constant[0, 0], constant[0, 0])


@pytest.mark.parametrize("calibration", ALL, ids=str)
def test_values_too_close_for_bins_have_a_range(calibration: Calibration) -> None:
    narrow = np.array([1.0, 1.0000001, 1.0000002], dtype=np.float32)
    with pytest.raises(ValueError, match="Too many bins"):
        np.histogram(narrow, 2048)
    found = folded(calibration, [narrow, narrow])
    assert 0 <= found.lowest <= found.highest <= narrow.max()
    assert found.highest >= 0.999


@pytest.mark.parametrize("calibration", ALL, ids=str)
def test_a_first_sample_of_tiny_values_does_not_set_the_scale(calibration: Calibration) -> None:
    rng = np.random.default_rng(0)
    small = (rng.standard_normal(1000) * 1e-9).astype(np.float32)
    large = rng.standard_normal(100_000).astype(np.float32)
    constant = calibration.model_copy(update={"averaging_constant": 1.0})
    found = folded(
        constant if calibration.method == "moving_average" else calibration, [small, large]
    )
    assert found.lowest < -2
    assert found.highest > 2


@pytest.mark.parametrize("calibration", ALL, ids=str)
def test_empty_samples_and_zeros_first_are_fine(calibration: Calibration) -> None:
    parts = [np.zeros((1, 0, 4), np.float32), np.zeros(4, np.float32), np.ones(4, np.float32)]
    found = folded(calibration, parts)
    assert 0 <= found.lowest <= found.highest <= 1


@pytest.mark.parametrize("calibration", ALL, ids=str)
def test_an_attention_mask_beside_scores_is_in_range_of_the_arithmetic(
    calibration: Calibration,
) -> None:
    scores = np.array([-2.0, 0.5, 3.0], dtype=np.float32)
    masked = np.array([-2.0, 0.5, np.finfo(np.float32).min], dtype=np.float32)
    found = folded(calibration, [scores, masked, scores])
    assert np.isfinite([float(found.lowest), float(found.highest)]).all()
    assert found.lowest <= found.highest


def test_entropy_cuts_a_lonely_outlier_off() -> None:
    values = np.random.default_rng(0).standard_normal(50_000).astype(np.float32)
    values[0] = 60
    found = folded(Calibration(method="entropy", num_bins=2048), [values])
    assert 2 < found.highest < 30


def test_entropy_needs_as_many_bins_as_levels() -> None:
    with pytest.raises(QuantbenchError, match=r"\(64\).*\(128\)"):
        range_method(Calibration(method="entropy", num_bins=64))


def test_folding_changes_nothing_that_was_given() -> None:
    values = np.linspace(-1, 1, 50, dtype=np.float32)
    for fold in (fold_signed, fold_absolute):
        first = fold(None, values, 16, 100)
        before, same = copy.deepcopy(first), values.copy()
        fold(first, values * 3, 16, 100)
        np.testing.assert_array_equal(first.counts, before.counts)
        np.testing.assert_array_equal(values, same)
