"""Do intervals of paired drops cover, and is "no worse than m" wrong in at most 5 % of sweeps?

Outcomes of an original and of several quantized models on the same samples are drawn from worlds
whose true drop is known (of metrics that are no mean: from 400,000 samples), and judged as a sweep
judges them (`analysis.accuracy.compare_metric`).

    python benchmarks/power.py [--sweeps 2000] [--samples 400] [--models 1 8]

- *coverage*: the share of sweeps in which the 95 % interval of the first model holds its true drop.
- *wrong*: all models lose m; the share of sweeps in which one or more is accepted as no worse than
  m. In brackets, what it would be with plain 95 % intervals.
- *found*: no model loses anything; the share of sweeps, a tenth as many, in which one or more is
  accepted.

Writes `benchmarks/results/power.md`, or what `--out` names. Ends with an error if the coverage is
below 93 %, or more than 5 % of the decisions are wrong, by more than the simulation can tell.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantbench.analysis.accuracy import compare_metric
from quantbench.core.metric_values import metric_values
from quantbench.core.results import Evaluation, Prediction
from quantbench.core.specs import MetricForm, MetricSpec
from quantbench.core.summary import MetricSummary
from quantbench.reports import markdown

RESULT = Path(__file__).parent / "results" / "power.md"
LEAST_COVERAGE, MOST_WRONG = 0.93, 0.05
# Samples of which a quantized model answers otherwise, as the bundled models do; points of drop.
FLIPPED, MARGIN = 0.04, 1.0
PER_CONTEXT = 4
MANY = 400_000
GRADES = np.array([0.0, 0.25, 0.5, 0.75])
ACCURACY = MetricSpec("accuracy", 100.0, binary=True)
F1 = MetricSpec("f1", 100.0, binary=False)
ENTITY_F1 = MetricSpec("f1", 100.0, binary=False, form="f1")
MATTHEWS = MetricSpec("matthews", 100.0, binary=False, form="matthews")


@dataclass(frozen=True)
class World:
    """Where outcomes come from: `draw(rng, samples, models, drop)` in points."""

    name: str
    metric: MetricSpec
    draw: Callable[[np.random.Generator, int, int, float], list[Evaluation]]


def main() -> None:
    """Draw sweeps from every world, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=2000)
    parser.add_argument("--samples", type=int, nargs="+", default=[400])
    parser.add_argument("--models", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--out", type=Path, default=RESULT, help="the Markdown file to write")
    asked = parser.parse_args()
    rows: list[list[str]] = []
    problems: list[str] = []
    settings = list(itertools.product(WORLDS, asked.samples, asked.models))
    with ProcessPoolExecutor() as pool:
        lost = [pool.submit(judged, *setting, MARGIN, asked.sweeps) for setting in settings]
        kept = [pool.submit(judged, *setting, 0.0, asked.sweeps // 10) for setting in settings]
        for (world, samples, models), one, other in zip(settings, lost, kept, strict=True):
            (covered, wrong, plain), (_, found, _) = one.result(), other.result()
            name = f"{world.name}, {samples:,} samples, {models} models"
            if covered < LEAST_COVERAGE - _doubt(LEAST_COVERAGE, asked.sweeps):
                problems.append(f"{name}: covers {covered:.1%}")
            if wrong > MOST_WRONG + _doubt(MOST_WRONG, asked.sweeps):
                problems.append(f"{name}: wrong in {wrong:.1%}")
            shares = [f"{covered:.1%}", f"{wrong:.1%} ({plain:.1%})", f"{found:.1%}"]
            rows.append([world.name, f"{samples:,}", str(models), *shares])
            print(*rows[-1], file=sys.stderr, flush=True)
    head = ["world", "samples", "models", "coverage", "wrong (uncorrected)", "found"]
    said = (
        f"# Paired drops: coverage and decisions (`python benchmarks/power.py`)\n\n"
        f"{asked.sweeps:,} simulated sweeps in each row. {FLIPPED:.0%} of the answers differ. All "
        f"models lose the margin ({MARGIN:g} point of accuracy; coverage, wrong), or none loses "
        "anything (found).\n\n"
    )
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(said + markdown.table(head, rows) + "\n", encoding="utf-8")
    print(asked.out.read_text(encoding="utf-8"))
    if problems:
        sys.exit("\n".join(problems))


def judged(
    world: World, samples: int, models: int, drop: float, sweeps: int
) -> tuple[float, float, float]:
    """Of that many sweeps: how many cover, accept a model, and would by plain intervals."""
    rng = np.random.default_rng(0)
    truth, margin = true_drop(world, drop), true_drop(world, MARGIN)
    covered = accepted = plain = 0
    for seed in range(sweeps):
        original, *optimized = world.draw(rng, samples, models, drop)
        found: list[MetricSummary] = [
            compare_metric(original, each, world.metric, seed, models) for each in optimized
        ]
        covered += _known(found[0].low) <= truth <= _known(found[0].high)
        accepted += any(_known(each.family_high) <= margin for each in found)
        plain += any(_known(each.high) <= margin for each in found)
    return covered / sweeps, accepted / sweeps, plain / sweeps


def true_drop(world: World, drop: float) -> float:
    """What a world's models lose, in points: as asked for, or, where that is no mean, as found."""
    if world.metric.form == "mean":
        return drop
    original, optimized = world.draw(np.random.default_rng(1), MANY, 1, drop)
    name = world.metric.name
    return world.metric.scale * (original.metrics[name] - optimized.metrics[name])


def _known(bound: float | None) -> float:
    assert bound is not None
    return bound


def _doubt(share: float, sweeps: int) -> float:
    """Three standard errors of a share."""
    return 3 * math.sqrt(share * (1 - share) / sweeps)


def right_or_wrong(
    rng: np.random.Generator, samples: int, models: int, drop: float
) -> list[Evaluation]:
    """85 % are right; flips are independent."""
    return _flipped(rng, samples, models, drop, np.ones(samples), None)


def clustered(rng: np.random.Generator, samples: int, models: int, drop: float) -> list[Evaluation]:
    """Flips come in contexts: all are in a third of them."""
    contexts = np.arange(samples) // PER_CONTEXT
    touched = rng.random(contexts[-1] + 1) < 1 / 3
    return _flipped(rng, samples, models, drop, 3.0 * touched[contexts], contexts)


def _flipped(
    rng: np.random.Generator,
    samples: int,
    models: int,
    drop: float,
    rate: np.ndarray,
    contexts: np.ndarray | None,
) -> list[Evaluation]:
    """Right answers become wrong, and wrong ones right, so that the share lost is `drop`."""
    is_right = rng.random(samples) < 0.85
    lost, won = (FLIPPED + drop / 100) / 2 / 0.85, (FLIPPED - drop / 100) / 2 / 0.15
    made = [is_right]
    for _ in range(models):
        flips = rng.random(samples) < rate * np.where(is_right, lost, won)
        made.append(is_right ^ flips)
    return [_evaluation("accuracy", each.astype(float), contexts) for each in made]


def graded(rng: np.random.Generator, samples: int, models: int, drop: float) -> list[Evaluation]:
    """Scores between 0 and 1, as F1 of answers: what flips loses or gains a part of it."""
    full = rng.random(samples) < 0.85
    before = np.where(full, 1.0, rng.choice(GRADES, samples))
    # Of full ones all is lost down to a grade; of the others all is won up to 1.
    step = 1 - float(GRADES.mean())
    lost, won = (FLIPPED + drop / 100 / step) / 2 / 0.85, (FLIPPED - drop / 100 / step) / 2 / 0.15
    made = [before]
    for _ in range(models):
        flips = rng.random(samples) < np.where(full, lost, won)
        after = np.where(full, rng.choice(GRADES, samples), 1.0)
        made.append(np.where(flips, after, before))
    return [_evaluation("f1", each, None) for each in made]


def balanced(rng: np.random.Generator, samples: int, models: int, drop: float) -> list[Evaluation]:
    """Two classes of one size, and Matthews' correlation of them."""
    return _classes(rng, rng.random(samples) < 0.5, models, drop)


def rare(rng: np.random.Generator, samples: int, models: int, drop: float) -> list[Evaluation]:
    """One sample in twelve is of the second class."""
    return _classes(rng, rng.random(samples) < 1 / 12, models, drop)


def _classes(
    rng: np.random.Generator, labels: np.ndarray, models: int, drop: float
) -> list[Evaluation]:
    """Errors are as frequent in both classes."""
    is_right = rng.random(len(labels)) < 0.85
    lost, won = (FLIPPED + drop / 100) / 2 / 0.85, (FLIPPED - drop / 100) / 2 / 0.15
    made = [is_right]
    for _ in range(models):
        made.append(is_right ^ (rng.random(len(labels)) < np.where(is_right, lost, won)))
    return [
        _of_parts("matthews", np.stack([labels, labels ^ ~right], axis=1), right) for right in made
    ]


def entities(rng: np.random.Generator, samples: int, models: int, drop: float) -> list[Evaluation]:
    """Sentences, of which half have entities, one to three; none is found that is not there."""
    there = np.where(rng.random(samples) < 0.5, rng.integers(1, 4, samples), 0)
    found = rng.binomial(there, 0.85)
    lost, won = (FLIPPED + drop / 100) / 2 / 0.85, (FLIPPED - drop / 100) / 2 / 0.15
    made = [found]
    for _ in range(models):
        made.append(found - rng.binomial(found, lost) + rng.binomial(there - found, won))
    return [_of_parts("f1", np.stack([each, each, there], axis=1), each >= there) for each in made]


def _of_parts(form: MetricForm, parts: np.ndarray, scores: np.ndarray) -> Evaluation:
    plain = _evaluation(form, scores.astype(float), None)
    numbers = parts.astype(float)
    value = float(metric_values(form, numbers, np.ones((1, len(numbers))))[0])
    of_samples = tuple(map(tuple, numbers.tolist()))
    return plain.model_copy(update={"parts": {form: of_samples}, "metrics": {form: value}})


def _evaluation(name: str, scores: np.ndarray, contexts: np.ndarray | None) -> Evaluation:
    return Evaluation.model_construct(
        num_samples=len(scores),
        metrics={name: float(scores.mean())},
        sample_ids=tuple(map(str, range(len(scores)))),
        clusters=None if contexts is None else tuple(map(str, contexts)),
        predictions=(Prediction(answer=None),) * len(scores),
        per_sample={name: tuple(scores.tolist())},
        parts={},
        seconds=0.0,
    )


WORLDS = (
    World("right or wrong", ACCURACY, right_or_wrong),
    World("right or wrong, four to a context", ACCURACY, clustered),
    World("graded (F1)", F1, graded),
    World("Matthews' correlation, classes of one size", MATTHEWS, balanced),
    World("Matthews' correlation, one in twelve", MATTHEWS, rare),
    World("F1 of entities", ENTITY_F1, entities),
)

if __name__ == "__main__":
    main()
