"""Classes of a dataset are matched to classes of a model by name."""

from typing import Any

import pytest

from quantbench.core.errors import ConfigError
from quantbench.tasks.labels import align_labels, label_id

MODEL = {0: "cat", 1: "dog", 2: "cow"}
GENERIC = {0: "LABEL_0", 1: "LABEL_1"}


@pytest.mark.parametrize(
    ("dataset", "model", "expected"),
    [
        (["cat", "dog", "cow"], MODEL, (0, 1, 2)),
        (["cow", "cat", "dog"], MODEL, (2, 0, 1)),
        (["Cow", "CAT", " dog"], MODEL, (2, 0, 1)),
        (["angular_leaf_spot", "bean-rust"], {0: "Bean Rust", 1: "angular leaf spot"}, (1, 0)),
        (["no", "yes"], GENERIC, (0, 1)),
        (["LABEL_0", "LABEL_1"], {0: "no", 1: "yes"}, (0, 1)),
        # Two classes of ImageNet are called crane; the order says which is which.
        (["crane", "cat", "crane"], {0: "crane", 1: "cat", 2: "crane"}, (0, 1, 2)),
        (None, MODEL, None),
    ],
)
def test_numbers_are_mapped_by_name(dataset: Any, model: dict[int, str], expected: Any) -> None:
    assert align_labels(dataset, model) == expected


@pytest.mark.parametrize(
    ("dataset", "model", "why"),
    [
        (["cat", "dog", "pig"], MODEL, "the names differ"),
        (["cat", "dog"], MODEL, "the names differ"),
        (["cat", "dog", "cow", "pig"], MODEL, "the names differ"),
        (["a", "b", "c"], GENERIC, "their numbers differ, and one side has no names"),
        (["crane", "crane", "cat"], {0: "crane", 1: "cat", 2: "crane"}, "occurs twice"),
    ],
)
def test_a_mismatch_shows_both_lists(dataset: Any, model: dict[int, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        align_labels(dataset, model)
    (problem,) = caught.value.problems
    assert problem.path == "dataset.ref_keys[0]"
    assert ", ".join(dataset) in problem.message
    assert ", ".join(model.values()) in problem.message


def test_long_lists_are_shortened() -> None:
    many = [f"class {n}" for n in range(1000)]
    with pytest.raises(ConfigError, match=r"\(1000 in all\)") as caught:
        align_labels(many, MODEL)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("value", "aligned", "expected"),
    [(1, (2, 0, 1), 0), (1, None, 1), ("Dog", None, 1), ("DOG", (2, 0, 1), 1)],
)
def test_a_value_becomes_the_models_number(
    value: Any, aligned: tuple[int, ...] | None, expected: Any
) -> None:
    assert label_id(value, aligned, MODEL) == expected


@pytest.mark.parametrize(
    ("value", "aligned", "message"),
    [
        (3, (2, 0, 1), "no class of the dataset"),
        (-1, (2, 0, 1), "no class of the dataset"),  # how the hub marks hidden labels
        (7, None, "no class of the model"),
        ("pig", None, "is the name of no class"),
        (None, None, "neither a class number nor a class name"),
        (1.0, None, "neither a class number nor a class name"),
        (True, None, "neither a class number nor a class name"),
    ],
)
def test_a_value_that_is_no_class_is_refused(
    value: Any, aligned: tuple[int, ...] | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        label_id(value, aligned, MODEL)
    assert caught.value.problems[0].path == "dataset.ref_keys[0]"


def test_a_name_of_two_classes_is_refused() -> None:
    with pytest.raises(ConfigError, match="several classes"):
        label_id("crane", None, {0: "crane", 1: "crane"})
