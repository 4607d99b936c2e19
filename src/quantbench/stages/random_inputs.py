"""Inputs that are made up, for graphs whose work does not depend on what their inputs say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from quantbench.core.input_shapes import DeclaredInput
from quantbench.protocols import Array, Inputs

# Any vocabulary has these: ids of tokens are drawn from them.
_IDS = (1, 20)


def random_inputs(
    declared: Sequence[DeclaredInput],
    shapes: Mapping[str, tuple[int, ...]],
    rng: np.random.Generator,
) -> Inputs:
    """An array for each input.

    Masks are ones (nothing is padding), token types zeros, positions count from zero; other
    integers are token ids from 1 to 19, floating-point values normal.

    Args:
        declared: the inputs.
        shapes: their shapes, by name.
        rng: where the values come from.
    """
    return {item.name: _array(item, shapes[item.name], rng) for item in declared}


def _array(item: DeclaredInput, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    dtype = np.dtype(item.dtype)
    if "mask" in item.name or dtype.kind == "b":
        return np.ones(shape, dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if "token_type" in item.name or "segment" in item.name:
        return np.zeros(shape, dtype)
    if "position" in item.name and shape:
        return np.broadcast_to(np.arange(shape[-1], dtype=dtype), shape).copy()
    return rng.integers(*_IDS, size=shape).astype(dtype)
