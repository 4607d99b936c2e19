"""An explanation for people: what is wrong with a row, what it costs, and what to try."""

from __future__ import annotations

from quantbench.analysis.explain_facts import (
    LayerSummary,
    Left,
    TimeChange,
    layer_summaries,
    left_in_floats,
    output_error,
    sqnr_db,
    time_changes,
)
from quantbench.analysis.explain_rules import RULES, Finding
from quantbench.core.explanation import Explained, Explanation, IdlePairs
from quantbench.core.frozen import Frozen

_MOST_CHANGES = 3


class Why(Frozen):
    """What is derived from an explanation. Decibels are None where nothing differs.

    `findings` are of the rules that apply, the most important first; `advice` says the same in one
    paragraph.
    """

    row: int
    trial_id: str
    chosen: str
    output_db: float | None
    advice: str
    findings: tuple[Finding, ...]
    layers: tuple[LayerSummary, ...]
    left: tuple[Left, ...]
    times: tuple[TimeChange, ...]
    idle_pairs: tuple[IdlePairs, ...]
    explanation: Explanation


def why(explained: Explained) -> Why:
    """Derive findings, layers, times and advice from the facts of a row."""
    facts = explained.explanation
    findings = find(facts)
    return Why(
        row=explained.row,
        trial_id=explained.trial_id,
        chosen=explained.chosen,
        output_db=sqnr_db(output_error(facts)),
        advice=advice(facts, findings),
        findings=findings,
        layers=layer_summaries(facts),
        left=left_in_floats(facts),
        times=time_changes(facts),
        idle_pairs=facts.idle_pairs,
        explanation=facts,
    )


def find(facts: Explanation) -> tuple[Finding, ...]:
    """What every rule finds, in the order of `RULES`."""
    return tuple(found for found in (rule(facts) for rule in RULES) if found is not None)


def advice(facts: Explanation, findings: tuple[Finding, ...]) -> str:
    """One paragraph: the error, the time, what was found and what to change."""
    decibels = sqnr_db(output_error(facts))
    error = "are those of" if decibels is None else f"have {decibels:.1f} dB or more against"
    before, after = facts.profile.reference.microseconds, facts.profile.row.microseconds
    sentences = [
        f"Over {facts.num_samples} inputs the outputs {error} the float model, and a "
        f"forward takes {after / before if before else 0.0:.2f} times as long as in floats."
    ]
    sentences += [f"{_capital(found.what)} ({found.rule})." for found in findings]
    changes = list(dict.fromkeys(found.change for found in findings if found.change))
    if changes:
        sentences.append(f"Try first: {'; then '.join(changes[:_MOST_CHANGES])}.")
    elif not findings:
        sentences.append("No rule applies: the numbers below are all that is known.")
    return " ".join(sentences)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
