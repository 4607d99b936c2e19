"""The header lines of a published card: task, backend, fixed and benchmarked parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from quantbench.cards.literals import literal_value, value_of
from quantbench.cards.parameters import PARAMETERS, PARTS
from quantbench.cards.scan import Scanner
from quantbench.core.errors import nearest_name
from quantbench.core.printable import shortened

ALL_SAMPLES = "All dataset"

_BULLET = re.compile(r"\*\s+\*\*([^*`\s]{1,200})\*\*:")
_COMMA = re.compile(r",")
_WHOLE = re.compile(r"[1-9][0-9]{0,9}")
# A list of more values is no grid that anyone ran.
_MOST_VALUES = 10_000


@dataclass(frozen=True)
class Header:
    """What the header says, as the data of a config, and where each parameter stands.

    `offsets` has the parameters of the config by their names, those that are nested by the dotted
    one, and `benchmarked.NAME`.
    """

    data: dict[str, Any] = field(default_factory=dict[str, Any])
    offsets: dict[str, int] = field(default_factory=dict[str, int])


def read_header(scanner: Scanner) -> Header:
    """Take the lines from `**task**` to the benchmarked parameters.

    Raises:
        UsageError: with the place of what is not as in a published card.
    """
    header = Header()
    for name, label in (("task", "**task**:"), ("backend", "**Backend:**")):
        scanner.take(label)
        _keep(header, name, scanner.skip(), scanner.span(f"the value of {label}"))
    scanner.take("**Backend args:**")
    start = scanner.skip()
    _keep(header, "backend_args", start, literal_value(scanner.span("the backend's arguments")))
    scanner.take("**Number of evaluation samples:**")
    start = scanner.skip()
    _keep(header, "max_eval_samples", start, _samples(scanner))
    scanner.take("Fixed parameters:")
    _read_fixed(scanner, header)
    scanner.take("Benchmarked parameters:")
    header.data["benchmarked"] = {}
    while not scanner.has("# Evaluation"):
        start = scanner.skip()
        name = _bullet(scanner, "a benchmarked parameter, or `# Evaluation`")
        if name in header.data["benchmarked"]:
            scanner.fail(f"`{name}` is there twice", start)
        header.offsets[f"benchmarked.{name}"] = start
        header.data["benchmarked"][name] = _values(scanner, name)
    return header


def _keep(header: Header, name: str, offset: int, value: JsonValue) -> None:
    header.data[name] = value
    header.offsets[name] = offset


def _samples(scanner: Scanner) -> int | None:
    start = scanner.skip()
    written = scanner.span("the number of evaluation samples")
    if written == ALL_SAMPLES:
        return None
    if _WHOLE.fullmatch(written) is None:
        shown = repr(shortened(written))
        scanner.fail(f"{shown} is neither a number of samples nor `{ALL_SAMPLES}`", start)
    return int(written)


def _read_fixed(scanner: Scanner, header: Header) -> None:
    """Bullets with a value, and bullets without one that hold those whose names are theirs."""
    parent: str | None = None
    while not scanner.has("Benchmarked parameters:"):
        start = scanner.skip()
        name = _bullet(scanner, "a fixed parameter, or `Benchmarked parameters:`")
        if parent is not None and name in PARTS[parent]:
            path, target = f"{parent}.{name}", header.data[parent]
        elif name in PARAMETERS:
            path, target = name, header.data
            parent = name if name in PARTS else None
        else:
            near = nearest_name(name, [*PARAMETERS, *(PARTS[parent] if parent else ())])
            hint = f"Did you mean `{near}`?" if near else f"Known: {', '.join(PARAMETERS)}."
            scanner.fail(f"unknown parameter {shortened(name)!r}", start, hint)
        if name in target:
            scanner.fail(f"`{path}` is there twice", start)
        header.offsets[path] = start
        target[name] = {} if path == parent else value_of(path, scanner.span(f"value of `{path}`"))


def _bullet(scanner: Scanner, expected: str) -> str:
    found = scanner.match(_BULLET)
    if found is None:
        scanner.fail_expected(expected)
    return found[1]


def _values(scanner: Scanner, name: str) -> list[JsonValue]:
    start = scanner.skip()
    values = [literal_value(scanner.span(f"a value of `{name}`"))]
    while scanner.match(_COMMA) is not None:
        values.append(literal_value(scanner.span(f"a value of `{name}`")))
        if len(values) > _MOST_VALUES:
            scanner.fail(f"`{name}` has more than {_MOST_VALUES:,} values", start)
    return values
