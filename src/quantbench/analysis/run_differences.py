"""What is not the same in two runs: parameters, model, data, machine, versions."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from quantbench.analysis.matched_rows import fixed_parameters
from quantbench.analysis.named_run import NamedRun
from quantbench.core.frozen import canonical_json
from quantbench.core.results import CpuInfo, Environment, Subject
from quantbench.core.run_comparison import Difference, DifferenceKind

# So many digits of a digest tell two apart.
_DIGITS = 12
_CORES = ("physical_cores", "logical_cores", "allowed_cores")


def differences(first: NamedRun, other: NamedRun, swept: Collection[str]) -> tuple[Difference, ...]:
    """Everything that differs, but for the swept parameters.

    Of a published card nothing is compared that it does not state.

    Args:
        first: a run.
        other: another one.
        swept: the names of the parameters that either run sweeps.
    """
    found = [*_configs(first, other, swept)]
    old, new = first.result, other.result
    if old.subject is not None and new.subject is not None:
        found += _subjects(old.subject, new.subject)
    if old.environment is not None and new.environment is not None:
        found += _environments(old.environment, new.environment)
    return tuple(found)


def machine_differences(first: Environment, other: Environment) -> tuple[Difference, ...]:
    """What of the machine and its use makes times of two runs incomparable."""
    return tuple(item for item in _environments(first, other) if item.kind == "machine")


def _configs(first: NamedRun, other: NamedRun, swept: Collection[str]) -> Iterator[Difference]:
    old, new = (dict(_leaves(fixed_parameters(run))) for run in (first, other))
    published = bool(first.result.published or other.result.published)
    for name in dict.fromkeys((*old, *new)):
        if name in swept or (published and not (name in old and name in new)):
            continue
        pair = old.get(name), new.get(name)
        if pair[0] != pair[1]:
            yield Difference(
                kind="config", what=name, first=_written(pair[0]), other=_written(pair[1])
            )


def _leaves(data: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and their values."""
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _written(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _subjects(old: Subject, new: Subject) -> Iterator[Difference]:
    pairs: dict[tuple[DifferenceKind, str], tuple[str, str]] = {
        ("model", "files of the model"): (old.model_digest[:_DIGITS], new.model_digest[:_DIGITS]),
        ("model", "revision of the model"): (
            str(old.model_revision),
            str(new.model_revision),
        ),
        ("data", "evaluation data"): (
            old.eval_fingerprint[:_DIGITS],
            new.eval_fingerprint[:_DIGITS],
        ),
        ("data", "samples evaluated"): (f"{old.num_eval_samples:,}", f"{new.num_eval_samples:,}"),
        ("data", "calibration data"): (
            str(old.calibration_fingerprint)[:_DIGITS],
            str(new.calibration_fingerprint)[:_DIGITS],
        ),
    }
    yield from _unequal(pairs)


def _environments(old: Environment, new: Environment) -> Iterator[Difference]:
    pairs: dict[tuple[DifferenceKind, str], tuple[str, str]] = {
        ("machine", "processor"): (old.cpu.model, new.cpu.model),
        ("machine", "architecture"): (old.cpu.architecture, new.cpu.architecture),
        ("machine", "processor flags"): _flags(old.cpu, new.cpu),
        **{
            ("machine", name.replace("_", " ")): (
                str(getattr(old.cpu, name)),
                str(getattr(new.cpu, name)),
            )
            for name in _CORES
        },
        ("machine", "threads"): (str(old.num_threads), str(new.num_threads)),
        ("system", "memory, bytes"): (str(old.memory_bytes), str(new.memory_bytes)),
        ("system", "operating system"): (old.operating_system, new.operating_system),
        ("versions", "python"): (old.python, new.python),
        **{
            ("versions", name): (
                old.packages.get(name, "not known"),
                new.packages.get(name, "not known"),
            )
            for name in dict.fromkeys((*old.packages, *new.packages))
        },
    }
    yield from _unequal(pairs)


def _flags(old: CpuInfo, new: CpuInfo) -> tuple[str, str]:
    """The flags that only one of them has."""
    only_old, only_new = set(old.flags) - set(new.flags), set(new.flags) - set(old.flags)
    return " ".join(sorted(only_old)) or "no others", " ".join(sorted(only_new)) or "no others"


def _unequal(
    pairs: dict[tuple[DifferenceKind, str], tuple[str, str]],
) -> Iterator[Difference]:
    for (kind, what), (first, other) in pairs.items():
        if first != other:
            yield Difference(kind=kind, what=what, first=first, other=other)
