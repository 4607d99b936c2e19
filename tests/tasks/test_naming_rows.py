"""Bad rows: one message that names the row, the column, and what to do."""

from pathlib import Path
from typing import Any

import pytest

from quantbench.core.errors import ConfigError, QuantbenchError
from quantbench.tasks.image_classification import TASK as IMAGES
from quantbench.tasks.question_answering import TASK as QUESTIONS
from quantbench.tasks.rows import check_references, naming_row

GOOD = {"q": "who", "c": "the engineer", "a": ["engineer"]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"q": None}, ["dataset.data_keys.question", "column q holds None", "leave the row out"]),
        ({"c": None}, ["dataset.data_keys.context", "column c holds None", "leave the row out"]),
        ({"c": 7}, ["dataset.data_keys.context", "column c holds 7", "write it as a text"]),
        ({"c": ["a"]}, ["dataset.data_keys.context", "column c holds ['a']", "as a text"]),
        ({"a": None}, ["dataset.ref_keys[0]", "column a holds None", "one answer or more"]),
        ({"a": {"text": []}}, ["dataset.ref_keys[0]", "column a holds no answer"]),
        ({"a": ["x", None]}, ["dataset.ref_keys[0]", "column a holds ['x', None]"]),
    ],
)
def test_of_questions(reader_dir: Path, changes: dict[str, Any], said: list[str]) -> None:
    args = {"max_seq_length": 32, "doc_stride": 8}
    run = QUESTIONS.open(reader_dir, args, {"question": "q", "context": "c"}, ("a",), None)
    what = run.reference if "a" in changes else run.encode
    with pytest.raises(ConfigError) as caught, naming_row(17):
        what(GOOD | changes)
    for words in ["row 17 (the first is 0): 1 problem", *said]:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (None, "None is neither a class number nor a class name: leave the row out"),
        (-1, "-1 is no class of the dataset: it marks rows without a label"),
        (1.0, "1.0 is neither a class number nor a class name: in a table, empty cells"),
        (3, "3 is no class of the dataset"),
        ("tomato", "'tomato' is the name of no class of the model"),
    ],
)
def test_of_images(classifier_dir: Path, label: Any, said: str) -> None:
    names = ("healthy", "bean rust", "leaf spot")
    run = IMAGES.open(classifier_dir, {}, {"primary": "image"}, ("label",), names)
    with pytest.raises(ConfigError) as caught, naming_row(17):
        run.reference({"label": label})
    assert "row 17 (the first is 0): 1 problem" in str(caught.value)
    assert "dataset.ref_keys[0]" in str(caught.value)
    assert said in str(caught.value)


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(QuantbenchError, match=r"^the disk is full$"), naming_row(17):
        raise QuantbenchError("the disk is full")


def test_all_references_are_read_and_the_first_bad_ones_shown(classifier_dir: Path) -> None:
    names = ("healthy", "bean rust", "leaf spot")
    run = IMAGES.open(classifier_dir, {}, {"primary": "image"}, ("label",), names)
    good = [(number, {"label": number % 3}) for number in range(20)]
    check_references(run, good)
    bad = [(number, {"label": None}) for number in range(20, 40)]
    with pytest.raises(ConfigError, match="20 rows with bad references") as caught:
        check_references(run, good + bad)
    assert len(caught.value.problems) == 5
    assert "row 20: None is neither" in str(caught.value)
