"""Explaining a row: the worst one at the end of a sweep, or one that is asked for."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from quantbench import registry, run_dir, store
from quantbench.analysis.to_explain import WORST_ROW_SAMPLES, explain_unit, worst_row
from quantbench.core.errors import QuantbenchError
from quantbench.core.estimate import expected_seconds
from quantbench.core.explanation import Explained, Explanation
from quantbench.core.results import Failed, SweepResult
from quantbench.core.steps import EXPLAIN_NAME, Step
from quantbench.core.summary import RowSummary, SweepSummary
from quantbench.core.units import ExplainUnit, ExplanationAnswer
from quantbench.history import read_history, this_machine
from quantbench.work import Observer, Work, ask
from quantbench.worker.keys import unit_keys

_ANSWER: TypeAdapter[Explanation | Failed] = TypeAdapter(ExplanationAnswer)


def explain_worst(work: Work, result: SweepResult, summary: SweepSummary) -> Explained | None:
    """Explain the worst row of a sweep; None if there is none, or it failed, which is told."""
    found = worst_row(summary)
    if found is None:
        return None
    row, chosen = found
    unit = explain_unit(result, work.config, row, WORST_ROW_SAMPLES)
    answer = work.ask(EXPLAIN_NAME, unit, _ANSWER)
    return None if isinstance(answer, Failed) else _explained(row, unit, chosen, answer)


def explain_row(
    path: Path, result: SweepResult, row: RowSummary, num_samples: int, observer: Observer
) -> Explained:
    """Explain a row of a finished run; the store is asked first.

    Args:
        path: the run's folder; its lock is held.
        result: what was read from it.
        row: one of its rows.
        num_samples: over how many samples activations are compared.
        observer: told how far it is.

    Raises:
        UsageError: nothing is quantized in the row, or its model or data are not there any more.
        QuantbenchError: its files are not in the store of this machine, or cannot be run.
    """
    prepared = run_dir.prepared_before(path)
    if prepared is None:
        raise QuantbenchError("these results were published without the models they are of")
    unit = explain_unit(result, run_dir.pinned(result.config, prepared), row, num_samples)
    root = store.default_store()
    (key,) = unit_keys(unit)
    chosen = "it was asked for"
    known = store.recall(root, key)
    if known is not None:
        return _explained(row, unit, chosen, Explanation.model_validate(known))
    for what, needed in (("float", unit.float_key), ("quantized", unit.artifact_key)):
        if store.recall(root, needed) is None:
            raise QuantbenchError(
                f"the {what} model of row {row.number} is not in the store {root} (any more)",
                hint="Explain it on the machine that made it, or run the sweep again first.",
            )
    store.open_store(root)
    name = f"row {row.number}"
    backend = registry.backend(unit.config.backend).open(
        unit.config.backend_args, root, fresh=False
    )
    try:
        step = Step(stage=unit.stage, name=name)
        history = read_history(root)
        observer.begin((step,), expected_seconds((step,), history, this_machine(), unit.subject))
        observer.step(step.stage, step.name)
        answer, _ = ask(backend, name, unit, _ANSWER, observer.progress)
    finally:
        backend.close()
    if isinstance(answer, Failed):
        raise QuantbenchError(f"{answer.error}\n{answer.log}".strip(), hint=answer.hint)
    return _explained(row, unit, chosen, answer)


def _explained(row: RowSummary, unit: ExplainUnit, chosen: str, facts: Explanation) -> Explained:
    return Explained(
        row=row.number, trial_id=row.trial_id, arm_id=unit.arm.id, chosen=chosen, explanation=facts
    )
