"""Samples that are calibrated on and evaluated are found by what they hold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
from datasets import Dataset, Features, Image, Value

from quantbench.data.shared_rows import shared_rows


def texts(*pairs: tuple[str, str]) -> Dataset:
    rows = [{"question": a, "context": b, "id": str(n)} for n, (a, b) in enumerate(pairs)]
    return Dataset.from_list(rows)


BOTH = ["context", "question"]


def test_rows_are_shared_if_all_inputs_are_equal_whatever_their_place() -> None:
    one = texts(("who", "a"), ("what", "b"), ("when", "c"))
    other = texts(("when", "b"), ("what", "b"), ("who", "x"))
    assert shared_rows(one, [0, 1, 2], other, [0, 1, 2], BOTH) == ((1, 1),)
    assert shared_rows(one, [0, 1, 2], other, [0, 1, 2], ["context"]) == ((1, 0),)


def test_only_rows_that_are_used_count() -> None:
    same = texts(("who", "a"), ("what", "b"), ("when", "c"), ("who", "a"))
    assert shared_rows(same, [0, 1], same, [2], BOTH) == ()
    assert shared_rows(same, [0, 1], same, [1, 2, 3], BOTH) == ((0, 3), (1, 1))


def test_images_are_compared_by_their_files(tmp_path: Path) -> None:
    def images(colours: Sequence[int], name: str) -> Dataset:
        paths: list[str] = []
        for colour in colours:
            path = tmp_path / f"{name}-{colour}.png"
            PIL.Image.fromarray(np.full((4, 4), colour, dtype=np.uint8)).save(path)
            paths.append(str(path))
        features = Features({"image": Image(), "label": Value("int64")})
        return Dataset.from_dict({"image": paths, "label": [0] * len(paths)}, features=features)

    one, other = images([1, 2, 3], "one"), images([9, 3], "other")
    assert shared_rows(one, [0, 1, 2], other, [0, 1], ["image"]) == ((2, 1),)
