"""What a sweep will cost on this machine: from the store, and from what units took before."""

from __future__ import annotations

from pathlib import Path

from quantbench.core.config import SweepConfig
from quantbench.core.estimate import disk_bytes, estimate, naive_seconds, peak_memory_bytes
from quantbench.core.forecast import Forecast, StepForecast
from quantbench.core.plan import Plan
from quantbench.core.steps import GUESSED_SAMPLES, steps
from quantbench.history import read_history, this_machine
from quantbench.known import recall_prepared, stored_steps


def forecast(plan: Plan, config: SweepConfig, store: Path) -> Forecast:
    """What is there, and what the rest will take. Reads no model and no data."""
    prepared = recall_prepared(store, config)
    subject = None if prepared is None else prepared.subject
    samples = config.max_eval_samples or GUESSED_SAMPLES
    todo = steps(plan, config, samples if subject is None else subject.num_eval_samples)
    stored = (
        frozenset[str]() if prepared is None else stored_steps(plan, todo, config, prepared, store)
    )
    history, machine = read_history(store), this_machine()
    found = {step.id: estimate(step, history, machine, subject) for step in todo}
    return Forecast(
        is_known=prepared is not None,
        steps=tuple(
            StepForecast(
                stage=step.stage,
                name=step.name,
                is_stored=step.id in stored,
                seconds=found[step.id].seconds,
                learned=found[step.id].learned,
            )
            for step in todo
        ),
        seconds=sum(item.seconds for name, item in found.items() if name not in stored),
        naive_seconds=naive_seconds(
            plan,
            {name: item.seconds for name, item in found.items()},
            config.time_benchmark_args.duration,
        ),
        peak_rss_bytes=peak_memory_bytes(history, machine, subject),
        disk_bytes=disk_bytes(plan, subject),
    )
