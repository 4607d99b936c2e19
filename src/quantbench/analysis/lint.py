"""What a card's numbers cannot support: its rules, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Callable

from quantbench.analysis.lint_accuracy import (
    l1_impossible_accuracy,
    l2_too_few_samples,
    l3_no_drop_is_not_shown,
    l4_originals_differ,
)
from quantbench.analysis.lint_facts import Finding, LintFacts, lint_facts
from quantbench.analysis.lint_rows import (
    l5_rows_of_one_file,
    l6_lengths_of_images,
    l8_speedup_without_quantization,
)
from quantbench.analysis.lint_times import (
    l7_original_times_differ,
    l9_nominal_throughput,
    l10_counts_forwards,
)
from quantbench.core.frozen import Frozen
from quantbench.core.results import SweepResult
from quantbench.core.specs import TaskSpec

Rule = Callable[[LintFacts], Finding | None]

# Accuracy first, then the grid, then times.
RULES: tuple[Rule, ...] = (
    l1_impossible_accuracy,
    l2_too_few_samples,
    l3_no_drop_is_not_shown,
    l4_originals_differ,
    l5_rows_of_one_file,
    l6_lengths_of_images,
    l7_original_times_differ,
    l8_speedup_without_quantization,
    l9_nominal_throughput,
    l10_counts_forwards,
)
# Rules that need to know how many samples were evaluated, and metrics that count right answers.
_OF_SAMPLES = ("L1", "L2", "L3")
# With a longer duration every number with two decimals is a possible throughput.
_LONGEST_TELLING_S = 50.0


class Unchecked(Frozen):
    """Rules that could not be applied, and what is missing."""

    rules: tuple[str, ...]
    reason: str


class Lint(Frozen):
    """What was found in a card, and what could not be looked for."""

    findings: tuple[Finding, ...]
    unchecked: tuple[Unchecked, ...]


def lint(result: SweepResult, task: TaskSpec, num_samples: int | None = None) -> Lint:
    """Apply every rule to a published card.

    Args:
        result: of a published card (`cards.read_card`).
        task: the spec of its task.
        num_samples: how many samples were evaluated, where the card says `All dataset`.
    """
    facts = lint_facts(result, task, num_samples)
    found = [rule(facts) for rule in RULES]
    return Lint(
        findings=tuple(finding for finding in found if finding is not None),
        unchecked=tuple(_unchecked(facts)),
    )


def _unchecked(facts: LintFacts) -> list[Unchecked]:
    reasons: list[Unchecked] = []
    others = [metric.name for metric in facts.metrics if metric not in facts.binary_metrics]
    dataset = facts.result.config.dataset
    if facts.num_samples is None:
        split = f"the split {dataset.eval_split} of {dataset.path}"
        reason = f"the card says `All dataset`, and how many samples {split} has is not known here"
        reasons.append(Unchecked(rules=_OF_SAMPLES, reason=f"{reason}: give --samples N"))
    if others:
        reason = f"{', '.join(others)} does not count right answers: how it varies is not published"
        reasons.append(Unchecked(rules=_OF_SAMPLES, reason=reason))
    duration = facts.result.config.time_benchmark_args.duration
    if duration > _LONGEST_TELLING_S:
        reason = f"in {duration:g} s so many forwards fit that any throughput is a whole number / s"
        reasons.append(Unchecked(rules=("L9",), reason=reason))
    return reasons
