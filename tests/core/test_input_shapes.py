"""Open sizes of a graph's inputs become numbers, by what was asked for or by defaults."""

from __future__ import annotations

from typing import Any

import pytest

from quantbench.core.errors import UsageError
from quantbench.core.input_shapes import DeclaredInput, concrete_shapes

IDS = DeclaredInput("input_ids", "int64", ("batch", "length"))
MASK = DeclaredInput("attention_mask", "int64", ("batch", "length"))
PIXELS = DeclaredInput("pixel_values", "float32", ("batch", 3, "height", "width"))


def shapes(
    *inputs: DeclaredInput,
    batch: int | None = None,
    length: int | None = None,
    **given: tuple[int, ...],
) -> dict[str, tuple[int, ...]]:
    return concrete_shapes(inputs, batch, length, given)


def refused(*inputs: DeclaredInput, batch: int | None = None, length: int | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        shapes(*inputs, batch=batch, length=length)
    return str(caught.value)


def test_open_sizes_are_batch_and_length() -> None:
    assert shapes(IDS, MASK, batch=4, length=32) == {
        "input_ids": (4, 32),
        "attention_mask": (4, 32),
    }


def test_nothing_asked_for_is_one_sample_of_128_tokens() -> None:
    assert shapes(IDS) == {"input_ids": (1, 128)}


def test_sizes_that_the_graph_fixes_stay() -> None:
    fixed = DeclaredInput("input_ids", "int64", (2, 16))
    assert shapes(fixed) == shapes(fixed, batch=2, length=16) == {"input_ids": (2, 16)}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"batch": 4}, "--batch-size 4: the graph fixes that size of its input input_ids to 2"),
        ({"length": 8}, "--input-length 8: the graph fixes that size of its input input_ids to 16"),
    ],
)
def test_what_the_graph_fixes_otherwise_is_refused(asked: dict[str, int], told: str) -> None:
    assert told in refused(DeclaredInput("input_ids", "int64", (2, 16)), **asked)


def test_an_open_size_with_the_name_of_another_is_as_large() -> None:
    square = DeclaredInput("bias", "float32", ("batch", 1, "length", "length"))
    assert shapes(IDS, square, batch=2, length=8)["bias"] == (2, 1, 8, 8)


def test_sizes_without_names_are_open_too() -> None:
    assert shapes(DeclaredInput("ids", "int32", (None, None)), length=9) == {"ids": (1, 9)}


def test_what_a_whole_shape_says_of_a_named_size_holds_for_the_others() -> None:
    assert shapes(IDS, MASK, input_ids=(2, 64))["attention_mask"] == (2, 64)


def test_an_axis_that_shares_the_name_of_lengths_is_as_long_as_they_are() -> None:
    positions = DeclaredInput("position_ids", "int64", ("length",))
    assert shapes(positions, IDS, length=64) == {"input_ids": (1, 64), "position_ids": (64,)}


@pytest.mark.parametrize(
    ("inputs", "asked", "told"),
    [
        ((IDS,), {"batch": 4, "input_ids": (2, 64)}, "the shape of every input is given"),
        ((IDS, MASK), {"batch": 4, "input_ids": (2, 64)}, "--batch-size 4: batch is 2 by --shape"),
        ((IDS, MASK), {"input_ids": (2, 64), "attention_mask": (2, 32)}, "the size length is 32"),
    ],
)
def test_whole_shapes_that_contradict_what_else_was_given_are_refused(
    inputs: tuple[DeclaredInput, ...], asked: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError) as caught:
        shapes(*inputs, **asked)
    assert told in str(caught.value)


def test_other_open_sizes_are_asked_for_by_name_with_an_example() -> None:
    told = refused(PIXELS, batch=2)
    assert "size 3 (height) of the input pixel_values is open" in told
    assert "--shape pixel_values=SIZE,3,SIZE,SIZE" in told


def test_a_whole_shape_counts_and_must_fit() -> None:
    assert shapes(PIXELS, pixel_values=(2, 3, 8, 8)) == {"pixel_values": (2, 3, 8, 8)}
    for wrong in ((2, 4, 8, 8), (2, 3, 8)):
        with pytest.raises(UsageError, match=r"the graph declares \[batch, 3, height, width\]"):
            shapes(PIXELS, pixel_values=wrong)


def test_a_shape_for_an_input_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="--shape pixels: the inputs are input_ids"):
        shapes(IDS, pixels=(1, 2))


def test_a_length_without_tokens_is_refused_rather_than_ignored() -> None:
    fixed = DeclaredInput("x", "float32", ("batch", 64))
    assert shapes(fixed, batch=3) == {"x": (3, 64)}
    assert "no input has tokens" in refused(fixed, length=32)


def test_an_input_of_unknown_rank_has_to_be_given() -> None:
    unknown = DeclaredInput("x", "float32", None)
    assert "--shape x=SIZE,SIZE" in refused(unknown)
    assert shapes(unknown, x=(2, 2, 2)) == {"x": (2, 2, 2)}
