"""Do intervals of paired drops cover, and is "no worse than m" wrong in at most 5 % of sweeps?

Outcomes of an original and of several quantized models on the same samples are drawn from worlds
whose true drop is known, and judged as a sweep judges them (`analysis.accuracy.compare_metric`).

    python benchmarks/power.py [--sweeps 2000] [--samples 133 400 1200] [--models 1 8]

- *coverage*: the share of sweeps in which the 95 % interval of the first model holds its true drop.
- *wrong*: all models lose just more than m; the share of sweeps in which one or more is accepted as
  no worse than m. In brackets, what it would be with plain 95 % intervals.
- *found*: no model loses anything; the share of sweeps in which one or more is accepted.

Writes `benchmarks/results/power.md`, or what `--out` names. Ends with an error if the coverage is
below 93 %, or more than 5 % of the decisions are wrong, by more than the simulation can tell.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantbench.analysis.accuracy import compare_metric
from quantbench.core.metric_values import metric_value
from quantbench.core.results import Evaluation, Prediction
from quantbench.core.specs import MetricSpec
from quantbench.core.summary import MetricSummary
from quantbench.reports import markdown

RESULT = Path(__file__).parent / "results" / "power.md"
LEAST_COVERAGE, MOST_WRONG = 0.93, 0.05
# Samples of which a quantized model answers otherwise, as the bundled models do; points of drop.
FLIPPED, MARGIN = 0.04, 1.0
PER_CONTEXT = 4
GRADES = np.array([0.0, 0.25, 0.5, 0.75])
ACCURACY = MetricSpec("accuracy", 100.0, binary=True)
F1 = MetricSpec("f1", 100.0, binary=False)
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
    parser.add_argument("--samples", type=int, nargs="+", default=[133, 400, 1200])
    parser.add_argument("--models", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--out", type=Path, default=RESULT, help="the Markdown file to write")
    asked = parser.parse_args()
    rows: list[list[str]] = []
    problems: list[str] = []
    for world in WORLDS:
        for samples in asked.samples:
            for models in asked.models:
                covered, wrong, plain = judged(world, samples, models, MARGIN, asked.sweeps)
                _, found, _ = judged(world, samples, models, 0.0, asked.sweeps)
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
        f"{asked.sweeps:,} simulated sweeps in each row. {FLIPPED:.0%} of the answers differ; the "
        f"margin is {MARGIN:g} point, and the true drop just above it (coverage, wrong) or none "
        "(found).\n\n"
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
    covered = accepted = plain = 0
    for seed in range(sweeps):
        original, *optimized = world.draw(rng, samples, models, drop)
        found: list[MetricSummary] = [
            compare_metric(original, each, world.metric, seed, models) for each in optimized
        ]
        truth = drop
        covered += _at_most(found[0].low, truth) and not _at_most(found[0].high, truth, strict=True)
        accepted += any(_at_most(each.family_high, MARGIN) for each in found)
        plain += any(_at_most(each.high, MARGIN) for each in found)
    return covered / sweeps, accepted / sweeps, plain / sweeps


def _at_most(bound: float | None, value: float, *, strict: bool = False) -> bool:
    assert bound is not None
    return bound < value if strict else bound <= value


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


def correlated(
    rng: np.random.Generator, samples: int, models: int, drop: float
) -> list[Evaluation]:
    """Two classes, of which Matthews' correlation is taken; errors are as frequent in both.

    With equal classes and symmetric errors the correlation is 2 x accuracy - 1: a drop of 1 point
    is half a point of accuracy.
    """
    labels = rng.integers(0, 2, samples)
    is_right = rng.random(samples) < 0.85
    share = drop / 200
    lost, won = (FLIPPED + share) / 2 / 0.85, (FLIPPED - share) / 2 / 0.15
    made = [is_right]
    for _ in range(models):
        made.append(is_right ^ (rng.random(samples) < np.where(is_right, lost, won)))
    found: list[Evaluation] = []
    for right in made:
        answers = np.where(right, labels, 1 - labels)
        parts = tuple((float(a), float(b)) for a, b in zip(labels, answers, strict=True))
        plain = _evaluation("matthews", right.astype(float), None)
        metrics = {"matthews": metric_value("matthews", parts)}
        found.append(plain.model_copy(update={"parts": {"matthews": parts}, "metrics": metrics}))
    return found


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
    World("Matthews' correlation", MATTHEWS, correlated),
)

if __name__ == "__main__":
    main()
