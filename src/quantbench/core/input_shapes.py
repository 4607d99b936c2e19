"""Which shapes a model is to be run at, where its graph leaves sizes open. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantbench.core.errors import UsageError

DEFAULT_BATCH_SIZE = 1
DEFAULT_INPUT_LENGTH = 128


@dataclass(frozen=True)
class DeclaredInput:
    """An input as a graph declares it.

    `dtype` is numpy's name; `shape` has a number where a size is fixed, and a name (or None) where
    it is open. It is None if the graph does not even say how many there are.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None

    @property
    def has_lengths(self) -> bool:
        """Whether it is read as tokens: integers, [batch, length, ...]."""
        return self.dtype.startswith(("int", "bool")) and len(self.shape or ()) >= 2


def concrete_shapes(
    inputs: Sequence[DeclaredInput],
    batch_size: int | None,
    input_length: int | None,
    given: Mapping[str, tuple[int, ...]],
) -> dict[str, tuple[int, ...]]:
    """The shape of each input.

    An open first size is the batch, the open second one of integers the length; what has the same
    name elsewhere in the graph has the same size.

    Args:
        inputs: of the graph.
        batch_size: what was asked for; 1 where nothing was.
        input_length: what was asked for; 128 where nothing was.
        given: whole shapes that were asked for, by input.

    Raises:
        UsageError: a size is open and was not given, or was asked for and is fixed otherwise, or
            there is nothing to which what was asked for could apply.
    """
    names = [item.name for item in inputs]
    for name in given:
        if name not in names:
            raise UsageError(f"--shape {name}: the inputs are {', '.join(names)}")
    if input_length is not None and not any(item.has_lengths for item in inputs):
        raise UsageError(
            f"--input-length {input_length}: no input has tokens",
            hint="Leave it out, or give whole shapes: --shape NAME=SIZE,SIZE,...",
        )
    for option, wanted in (("--batch-size", batch_size), ("--input-length", input_length)):
        if wanted is not None and all(item.name in given for item in inputs):
            raise UsageError(f"{option} {wanted}: the shape of every input is given by --shape")
    whole = {
        item.name: _given_shape(item, given[item.name]) for item in inputs if item.name in given
    }
    sizes = _named_sizes(inputs, whole)
    # Tokens first: what has only one axis may have it in common with their lengths.
    for item in sorted(inputs, key=lambda item: not item.has_lengths):
        for axis, size in enumerate((item.shape or ())[:2]):
            if isinstance(size, str) and _is_asked(item, axis):
                asked = (batch_size, input_length)[axis]
                if item.has_lengths and asked and sizes.get(size, asked) != asked:
                    option = ("--batch-size", "--input-length")[axis]
                    raise UsageError(f"{option} {asked}: {size} is {sizes[size]} by --shape")
                sizes.setdefault(size, asked or (DEFAULT_BATCH_SIZE, DEFAULT_INPUT_LENGTH)[axis])
    return {
        item.name: whole.get(item.name) or _shape(item, (batch_size, input_length), sizes)
        for item in inputs
    }


def _named_sizes(
    inputs: Sequence[DeclaredInput], whole: Mapping[str, tuple[int, ...]]
) -> dict[str | None, int]:
    """What whole shapes say of sizes that have a name."""
    sizes: dict[str | None, int] = {}
    for item in inputs:
        for name, given in zip(item.shape or (), whole.get(item.name, ()), strict=False):
            if isinstance(name, str) and sizes.setdefault(name, given) != given:
                raise UsageError(
                    f"--shape {item.name}: the size {name} is {given} here, and {sizes[name]} in "
                    "another shape"
                )
    return sizes


def _is_asked(item: DeclaredInput, axis: int) -> bool:
    """Whether an axis is the batch or the length."""
    return axis == 0 or (axis == 1 and item.has_lengths)


def _shape(
    item: DeclaredInput, asked: tuple[int | None, int | None], sizes: Mapping[str | None, int]
) -> tuple[int, ...]:
    if item.shape is None:
        raise UsageError(
            f"the graph does not tell the shape of its input {item.name}", hint=_hint(item)
        )
    found: list[int] = []
    for axis, size in enumerate(item.shape):
        wanted = asked[axis] if _is_asked(item, axis) else None
        if isinstance(size, int):
            if wanted is not None and wanted != size:
                option = ("--batch-size", "--input-length")[axis]
                raise UsageError(
                    f"{option} {wanted}: the graph fixes that size of its input {item.name} to "
                    f"{size}"
                )
            found.append(size)
        elif size in sizes:
            found.append(sizes[size])
        elif _is_asked(item, axis):  # open, and without a name
            found.append(wanted or (DEFAULT_BATCH_SIZE, DEFAULT_INPUT_LENGTH)[axis])
        else:
            named = "" if size is None else f" ({size})"
            raise UsageError(
                f"size {axis + 1}{named} of the input {item.name} is open", hint=_hint(item)
            )
    return tuple(found)


def _given_shape(item: DeclaredInput, given: tuple[int, ...]) -> tuple[int, ...]:
    declared = item.shape
    if declared is not None and (
        len(declared) != len(given)
        or any(isinstance(a, int) and a != b for a, b in zip(declared, given, strict=True))
    ):
        written = ", ".join("?" if size is None else str(size) for size in declared)
        raise UsageError(
            f"--shape {item.name}={','.join(map(str, given))}: the graph declares [{written}]"
        )
    return given


def _hint(item: DeclaredInput) -> str:
    example = ",".join(
        str(size) if isinstance(size, int) else "SIZE" for size in item.shape or (None, None)
    )
    return f"Give it whole: --shape {item.name}={example}"
