"""Old names on the hub, and what they are called today."""

import pytest

from quantbench.data.moved_names import DATASETS, MODELS, todays_name, todays_revision


@pytest.mark.parametrize(
    ("old", "today"),
    [
        ("squad", "rajpurkar/squad"),
        ("beans", "AI-Lab-Makerere/beans"),
        ("glue", "nyu-mll/glue"),
        ("conll2003", "eriktks/conll2003"),
    ],
)
def test_datasets_without_an_owner_have_one_today(old: str, today: str) -> None:
    assert todays_name("dataset", old) == today
    assert todays_name("model", old) == old


def test_so_have_models() -> None:
    old = "distilbert-base-uncased-distilled-squad"
    assert todays_name("model", old) == f"distilbert/{old}"


@pytest.mark.parametrize("name", ["google/vit-base-patch16-224", "nateraw/vit-base-beans", "x"])
def test_other_names_stay(name: str) -> None:
    assert todays_name("model", name) == todays_name("dataset", name) == name


def test_every_name_moved_to_an_owner_and_stays_there() -> None:
    for kind, table in (("model", MODELS), ("dataset", DATASETS)):
        for old, today in table.items():
            assert "/" not in old
            assert today.count("/") == 1
            assert todays_name(kind, today) == today


def test_data_that_is_a_script_is_taken_from_its_parquet_copy() -> None:
    assert todays_revision("dataset", "eriktks/conll2003") == "refs/convert/parquet"
    assert todays_revision("dataset", "rajpurkar/squad") is None
    assert todays_revision("model", "eriktks/conll2003") is None
