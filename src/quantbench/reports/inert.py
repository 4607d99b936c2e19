"""What is noted of rows, grouped: one note for all rows and values that share a reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quantbench.core.quantization import Inert


@dataclass(frozen=True)
class Note:
    """A parameter that changes nothing: with which values, in which rows, and why."""

    parameter: str
    values: tuple[str, ...]
    rows: tuple[int, ...]
    reason: str


def group_inert(rows: Iterable[tuple[int, Sequence[Inert]]]) -> list[Note]:
    """One note for each parameter and reason, in the order of their first row.

    Args:
        rows: each row's number, with what is inert in it.
    """
    values: dict[tuple[str, str], dict[str, None]] = {}
    numbers: dict[tuple[str, str], dict[int, None]] = {}
    for number, inert in rows:
        for item in inert:
            key = (item.parameter, item.reason)
            values.setdefault(key, {})[item.value] = None
            numbers.setdefault(key, {})[number] = None
    return [
        Note(parameter, tuple(found), tuple(numbers[parameter, reason]), reason)
        for (parameter, reason), found in values.items()
    ]


def group_warnings(rows: Iterable[tuple[int, Sequence[str]]]) -> dict[str, list[int]]:
    """The rows of each warning, in the order of their first row."""
    numbers: dict[str, list[int]] = {}
    for number, warnings in rows:
        for warning in warnings:
            numbers.setdefault(warning, []).append(number)
    return numbers


def row_list(numbers: Sequence[int]) -> str:
    """`row 1`, or `rows 1, 2`."""
    return f"row{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
