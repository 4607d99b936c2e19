"""The header lines of a card: task, backend, fixed and benchmarked parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quantbench.cards.parameters import PARAMETERS
from quantbench.core.config import SweepConfig
from quantbench.core.frozen import Frozen
from quantbench.reports.markdown import literal


def header(config: SweepConfig, evaluation_samples: str) -> str:
    """The lines from `**task**` to the benchmarked parameters.

    Args:
        config: what was run.
        evaluation_samples: the number of samples as it is to be printed.
    """
    lines = [
        f"**task**: {literal(config.task)}  ",
        f"**Backend:** {literal(config.backend)}  ",
        f"**Backend args:** {literal(config.backend_args)}  ",
        f"**Number of evaluation samples:** {literal(evaluation_samples)}  ",
        "",
        "Fixed parameters:",
        *fixed_parameters(config),
        "",
        "Benchmarked parameters:",
        *(
            f"* **{name}**: {',  '.join(literal(value) for value in values)}"
            for name, values in config.benchmarked.items()
        ),
    ]
    return "\n".join(lines)


def asked_samples(config: SweepConfig) -> str:
    """The number of evaluation samples that was asked for, in the words of the cards."""
    return "All dataset" if config.max_eval_samples is None else str(config.max_eval_samples)


def fixed_parameters(config: SweepConfig) -> list[str]:
    """Bullets of the parameters that were given, nested ones indented."""
    return _bullets(config, PARAMETERS, 0)


def _bullets(data: Frozen, names: Sequence[str], depth: int) -> list[str]:
    plain: dict[str, Any] = data.model_dump(mode="json")
    lines: list[str] = []
    for name in names:
        if name not in data.model_fields_set:
            continue
        value = getattr(data, name)
        start = f"{'  ' * depth}* **{name}**:"
        if isinstance(value, Frozen):
            inner = _bullets(value, list(type(value).model_fields), depth + 1)
            lines += [start, *inner] if inner else []
        else:
            lines.append(f"{start} {literal(plain[name])}")
    return lines
