"""Samples that two choices of rows have in common, by what the rows hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from quantbench.core.frozen import canonical_json
from quantbench.data.fingerprint import plain_rows

if TYPE_CHECKING:
    from datasets import Dataset


def shared_rows(
    one: Dataset,
    one_indices: Sequence[int],
    other: Dataset,
    other_indices: Sequence[int],
    columns: Sequence[str],
) -> tuple[tuple[int, int], ...]:
    """The rows of one choice that are in the other one too.

    Args:
        one: a split.
        one_indices: the rows of it that are used.
        other: a split, which may be the same one.
        other_indices: the rows of it that are used.
        columns: what makes a sample: rows are the same if all of these are (images: the bytes of
            their files).

    Returns:
        For each shared row its number in `one`, and the first of its numbers in `other`.
    """
    numbers: dict[bytes, int] = {}
    for number, digest in zip(other_indices, _digests(other, other_indices, columns), strict=True):
        numbers.setdefault(digest, number)
    found = zip(one_indices, _digests(one, one_indices, columns), strict=True)
    return tuple((number, numbers[digest]) for number, digest in found if digest in numbers)


def _digests(rows: Dataset, indices: Sequence[int], columns: Sequence[str]) -> list[bytes]:
    return [
        hashlib.sha256(canonical_json(values).encode("utf-8", "surrogatepass")).digest()
        for values in plain_rows(rows.select(indices), columns)
    ]
