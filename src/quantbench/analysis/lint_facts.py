"""What the rules of `lint` look at: a published card, and what can be derived from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from quantbench.analysis.split_sizes import split_size
from quantbench.cards.read import SAMPLES, accuracy_place, time_place
from quantbench.core.frozen import Frozen, canonical_json
from quantbench.core.plan import Cell, Plan, Row, make_plan
from quantbench.core.quantization import Float32
from quantbench.core.results import PublishedRow, PublishedTiming, SweepResult
from quantbench.core.specs import MetricSpec, TaskSpec

# A longer list of rows says no more.
_MOST_LISTED = 8


class Quote(Frozen):
    """A number of the card: the name of the place that it stands at, and what it says there."""

    where: str
    says: str


class Finding(Frozen):
    """What a rule found: what is so, what the card says, why it cannot be, and what to do.

    `rule` is its number, as in docs/lint.md.
    """

    rule: str
    what: str
    quotes: tuple[Quote, ...]
    why: str
    change: str


@dataclass(frozen=True)
class LintFacts:
    """A published card, its plan, and the number of its samples.

    `num_samples` is None where the card says `All dataset` and nobody knows how many those are;
    `samples_from` says where the number is from.
    """

    result: SweepResult
    task: TaskSpec
    plan: Plan
    num_samples: int | None
    samples_from: str

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        """The metrics of the card."""
        return tuple(self.task.metric(name) for name in self.result.published[0].original)

    @property
    def binary_metrics(self) -> tuple[MetricSpec, ...]:
        """Those that count right answers."""
        return tuple(metric for metric in self.metrics if metric.binary and metric.form == "mean")


def lint_facts(result: SweepResult, task: TaskSpec, num_samples: int | None) -> LintFacts:
    """Derive what the rules look at.

    Args:
        result: of a published card.
        task: the spec of its task.
        num_samples: how many samples the user says were evaluated, where the card does not.
    """
    config = result.config
    found, source = config.max_eval_samples, "the card"
    if found is None:
        found, source = num_samples, "--samples"
    if found is None:
        dataset = config.dataset
        found, source = split_size(dataset), f"{dataset.path}, {dataset.eval_split}"
    return LintFacts(result, task, make_plan(config, task), found, source)


def samples_quote(facts: LintFacts) -> Quote:
    """What the card says of the number of samples."""
    asked = facts.result.config.max_eval_samples
    if asked is not None:
        return Quote(where=SAMPLES, says=str(asked))
    known = "" if facts.num_samples is None else f": {facts.num_samples:,} ({facts.samples_from})"
    return Quote(where=SAMPLES, says=f"All dataset{known}")


def metric_quote(row: PublishedRow, name: str) -> Quote:
    """A metric of a row, original and optimized."""
    says = f"{name} {row.original[name]:.3f} (original), {row.optimized[name]:.3f} (optimized)"
    return Quote(where=accuracy_place(row.number), says=says)


def latency_quote(row: PublishedRow, timing: PublishedTiming) -> Quote:
    """The latencies of a row in a cell."""
    original, optimized = timing.latency_mean_original_ms, timing.latency_mean_optimized_ms
    says = f"latency {original:.2f} ms (original), {optimized:.2f} ms (optimized)"
    return Quote(where=time_place(cell_of(timing), row.number), says=says)


def cell_of(timing: PublishedTiming) -> Cell:
    """The shape that was timed."""
    return Cell(batch_size=timing.batch_size, input_length=timing.input_length)


def timings(result: SweepResult) -> Iterator[tuple[PublishedRow, PublishedTiming]]:
    """Every row in every cell."""
    return ((row, timing) for row in result.published for timing in row.timings)


def listed(rows: Sequence[int]) -> str:
    """For example `rows 1, 2`; a longer list is cut."""
    shown = ", ".join(map(str, rows[:_MOST_LISTED]))
    more = f", … ({len(rows):,} rows)" if len(rows) > _MOST_LISTED else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {shown}{more}"


def exact(value: float, decimals: int) -> Fraction:
    """A printed number without the error of its binary form."""
    return Fraction(f"{value:.{decimals}f}")


def same_files(facts: LintFacts) -> list[list[tuple[PublishedRow, Row]]]:
    """Rows that are one file by their parameters, and that show one accuracy, as they have to.

    Rows whose accuracies differ are left out: what wrote that card did more than is known here.
    """
    planned = {canonical_json(row.trial.parameters): row for row in facts.plan.rows}
    groups: dict[str, list[tuple[PublishedRow, Row]]] = {}
    for row in facts.result.published:
        found = planned[canonical_json(row.parameters)]
        if found.arm_id is not None:
            groups.setdefault(found.arm_id, []).append((row, found))
    return [
        group
        for group in groups.values()
        if all(row.optimized == group[0][0].optimized for row, _ in group)
    ]


def unquantized(facts: LintFacts) -> list[PublishedRow]:
    """Rows in which nothing is quantized, and whose accuracy is the original's, as it has to be."""
    return [
        row
        for group in same_files(facts)
        for row, planned in group
        if _is_float(facts, planned) and row.original == row.optimized
    ]


def _is_float(facts: LintFacts, row: Row) -> bool:
    variant = None if row.arm_id is None else facts.plan.arm(row.arm_id).variant
    return variant is not None and isinstance(variant.quantization, Float32)
