"""Metrics from what each sample contributes: those of the libraries, and their paired intervals."""

import itertools
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import stats as scipy_stats

from quantbench.core.metric_values import drop_intervals, metric_value, metric_values
from quantbench.core.specs import MetricForm

Pairs = list[tuple[float, float]]


def confusion(pairs: Pairs, label: float) -> tuple[int, int, int]:
    """Right, found and to be found of one class, counted as the definition has it."""
    both = sum(a == b == label for a, b in pairs)
    return both, sum(b == label for _, b in pairs), sum(a == label for a, _ in pairs)


def macro_f1(pairs: Pairs) -> float:
    values: list[float] = []
    for label in {value for pair in pairs for value in pair}:
        both, found, there = confusion(pairs, label)
        values.append(2 * both / (found + there))
    return sum(values) / len(values)


def matthews(pairs: Pairs) -> float:
    """The correlation of the indicator matrices, summed over classes (Gorodkin 2004, eq. 5)."""
    labels = sorted({value for pair in pairs for value in pair})
    x = np.array([[float(a == label) for label in labels] for a, _ in pairs])
    y = np.array([[float(b == label) for label in labels] for _, b in pairs])
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    spread = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / spread if spread else 0.0


def correlation(of: Callable[..., object]) -> Callable[[Pairs], float]:
    def value(pairs: Pairs) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # constant lists
            found = float(of(*zip(*pairs, strict=True)).statistic)  # type: ignore[attr-defined]
        return 0.0 if np.isnan(found) else found

    return value


def classes(rng: np.random.Generator, count: int) -> Pairs:
    return [(float(a), float(b)) for a, b in rng.integers(0, 4, (count, 2))]


def numbers(rng: np.random.Generator, count: int) -> Pairs:
    """With many equal values among them, as ratings have."""
    return [(float(a), float(b)) for a, b in np.round(rng.standard_normal((count, 2)), 1)]


DEFINITIONS: list[
    tuple[MetricForm, Callable[[Pairs], float], Callable[[np.random.Generator, int], Pairs]]
] = [
    ("macro_f1", macro_f1, classes),
    ("matthews", matthews, classes),
    ("pearson", correlation(scipy_stats.pearsonr), numbers),
    ("spearman", correlation(scipy_stats.spearmanr), numbers),
]


@pytest.mark.parametrize(
    ("form", "definition", "draw"), DEFINITIONS, ids=[item[0] for item in DEFINITIONS]
)
def test_a_metric_is_the_one_of_its_definition(
    form: MetricForm,
    definition: Callable[[Pairs], float],
    draw: Callable[[np.random.Generator, int], Pairs],
) -> None:
    rng = np.random.default_rng(0)
    for count in (2, 3, 7, 50, 400):
        for _ in range(20):
            pairs = draw(rng, count)
            assert metric_value(form, pairs) == pytest.approx(definition(pairs), abs=1e-9)


@pytest.mark.parametrize(
    ("form", "definition", "draw"), DEFINITIONS, ids=[item[0] for item in DEFINITIONS]
)
def test_a_sample_with_a_weight_is_there_that_often(
    form: MetricForm,
    definition: Callable[[Pairs], float],
    draw: Callable[[np.random.Generator, int], Pairs],
) -> None:
    rng = np.random.default_rng(1)
    pairs = draw(rng, 30)
    weights = rng.multinomial(30, np.full(30, 1 / 30), size=8).astype(float)
    found = metric_values(form, np.array(pairs), weights)
    for value, times in zip(found, weights, strict=True):
        drawn = list(
            itertools.chain.from_iterable(
                [pair] * int(count) for pair, count in zip(pairs, times, strict=True)
            )
        )
        assert value == pytest.approx(definition(drawn), abs=1e-9)


def test_f1_is_that_of_all_counts_together() -> None:
    parts = [(1.0, 2.0, 1.0), (0.0, 0.0, 3.0), (2.0, 2.0, 4.0)]
    assert metric_value("f1", parts) == pytest.approx(2 * 3 / (4 + 8))
    assert metric_value("ratio", [part[:2] for part in parts]) == pytest.approx(3 / 4)


UNDEFINED: list[tuple[MetricForm, Sequence[Sequence[float]]]] = [
    ("f1", [(0.0, 0.0, 0.0)]),
    ("ratio", [(0.0, 0.0)]),
    ("matthews", [(1.0, 1.0), (1.0, 1.0)]),
    ("pearson", [(1.0, 2.0), (1.0, 3.0)]),
    ("pearson", [(0.1, 0.7), (0.1, 0.7), (0.1, 0.7)]),
    ("spearman", [(1.0, 2.0), (1.0, 3.0)]),
]


@pytest.mark.parametrize(("form", "parts"), UNDEFINED)
def test_a_metric_that_is_not_defined_is_0(
    form: MetricForm, parts: Sequence[Sequence[float]]
) -> None:
    assert metric_value(form, parts) == 0.0


@pytest.mark.parametrize("parts", [[], [(1.0,)], [(1.0, 2.0, 3.0)]])
def test_the_wrong_number_of_parts_is_refused(parts: Sequence[Sequence[float]]) -> None:
    with pytest.raises(ValueError, match="needs samples of 2 numbers"):
        metric_value("pearson", parts)


def drop_interval(
    form: MetricForm, before: Pairs, after: Pairs, clusters: list[str] | None = None, **options: int
) -> tuple[float, float]:
    (found,) = drop_intervals(form, before, after, clusters, **options)
    return found


def test_nothing_differs_so_nothing_is_lost() -> None:
    pairs = numbers(np.random.default_rng(2), 60)
    assert drop_interval("spearman", pairs, pairs) == (0.0, 0.0)


def test_samples_of_one_cluster_are_drawn_together() -> None:
    """As many copies of each sample as one likes do not make a result more certain."""
    rng = np.random.default_rng(3)
    before, after = classes(rng, 40), classes(rng, 40)
    alone = drop_interval("macro_f1", before, after)
    names = [str(place) for place in range(40)] * 9
    copied = drop_interval("macro_f1", before * 9, after * 9, names)
    believed = drop_interval("macro_f1", before * 9, after * 9)
    width = alone[1] - alone[0]
    assert copied[1] - copied[0] == pytest.approx(width, rel=0.1)
    assert believed[1] - believed[0] == pytest.approx(width / 3, rel=0.1)


def test_a_higher_level_gives_a_wider_interval_of_the_same_drawings() -> None:
    rng = np.random.default_rng(6)
    before, after = classes(rng, 40), classes(rng, 40)
    plain, wide = drop_intervals("matthews", before, after, confidences=(0.95, 0.99))
    assert plain == drop_interval("matthews", before, after)
    assert wide[0] < plain[0] < plain[1] < wide[1]


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = np.random.default_rng(4)
    before, after = classes(rng, 40), classes(rng, 40)
    assert drop_interval("matthews", before, after) == drop_interval("matthews", before, after)


def test_different_numbers_of_samples_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        drop_interval("pearson", [(1.0, 2.0)], [(1.0, 2.0), (2.0, 3.0)])


@pytest.mark.parametrize("form", ["macro_f1", "matthews"])
def test_the_interval_covers_the_true_drop(form: MetricForm) -> None:
    """500 sweeps of 200 samples: the share that covers is 95 %, give or take what 500 can show."""
    rng = np.random.default_rng(5)

    def world(count: int) -> tuple[Pairs, Pairs]:
        labels = rng.integers(0, 3, count)
        original = np.where(rng.random(count) < 0.8, labels, rng.integers(0, 3, count))
        optimized = np.where(rng.random(count) < 0.9, original, rng.integers(0, 3, count))
        made = [
            [(float(a), float(b)) for a, b in zip(labels, answers, strict=True)]
            for answers in (original, optimized)
        ]
        return made[0], made[1]

    large = world(200_000)
    truth = metric_value(form, large[0]) - metric_value(form, large[1])
    covered = 0
    for _ in range(500):
        before, after = world(200)
        low, high = drop_interval(form, before, after, resamples=400)
        covered += low <= truth <= high
    assert covered / 500 >= 0.92
