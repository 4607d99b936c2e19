"""What is guessed, from what, and what is left to a person."""

from typing import Any

import pytest
import yaml
from init_facts import SQUAD, classifier, column, dataset, images, model, reader, tagger

from quantbench import registry
from quantbench.core.config_file import read_config
from quantbench.core.errors import ConfigError, UsageError
from quantbench.core.plan import make_plan
from quantbench.data.describe import DatasetFacts
from quantbench.data.models import ModelSource
from quantbench.starter.entries import open_places
from quantbench.starter.guess import guess_config
from quantbench.starter.text import to_yaml

CATALOG = registry.catalog()


def text_of(source: ModelSource, data: DatasetFacts | None, limit: int | None = None) -> str:
    return to_yaml([], guess_config(source, limit, data, CATALOG.tasks))


def read(source: ModelSource, data: DatasetFacts | None, limit: int | None = None) -> Any:
    return yaml.safe_load(text_of(source, data, limit))


def places(source: ModelSource, data: DatasetFacts | None) -> list[str]:
    return list(open_places(guess_config(source, None, data, CATALOG.tasks)))


def test_a_reader_and_squad_give_a_config_that_plan_accepts() -> None:
    text = text_of(reader(), dataset(*SQUAD))
    config = read_config(text, "guessed", CATALOG)
    assert config.task == "question-answering"
    assert config.dataset.data_keys == {"question": "question", "context": "context"}
    assert config.dataset.ref_keys == ("answers",)
    assert config.dataset.eval_split == "validation"
    assert config.dataset.calibration_split == "train"
    assert config.metrics == ("exact_match", "f1")
    plan = make_plan(config, CATALOG.tasks[config.task])
    assert len(plan.rows) == 4
    assert not any(row.inert or row.refused for row in plan.rows)
    assert len({row.arm_id for row in plan.rows}) == 4  # no row is spent on what another one is


def test_a_classifier_and_images_give_a_config_that_plan_accepts() -> None:
    config = read_config(text_of(classifier("a", "b"), dataset(*images("a", "b"))), "", CATALOG)
    assert config.task == "image-classification"
    assert config.dataset.data_keys == {"primary": "image"}
    assert config.dataset.ref_keys == ("labels",)
    plan = make_plan(config, CATALOG.tasks[config.task])
    assert not plan.inert


def test_a_tagger_and_words_with_tags_give_a_config_that_plan_accepts() -> None:
    # As CoNLL-2003 has them, in another order of the classes.
    data = dataset(
        column("id", "text"),
        column("tokens", "texts"),
        column("pos_tags", "tags", "NN", "VB"),
        column("ner_tags", "tags", "O", "B-PER"),
    )
    text = text_of(tagger("B-PER", "O"), data)
    config = read_config(text, "", CATALOG)
    assert config.task == "token-classification"
    assert config.dataset.data_keys == {"tokens": "tokens"}
    assert config.dataset.ref_keys == ("ner_tags",)
    assert config.metrics == ("f1", "precision", "recall", "accuracy")
    assert "# classes: matched by name" in text
    assert not make_plan(config, CATALOG.tasks[config.task]).inert


@pytest.mark.parametrize(
    ("kind", "said"),
    [("texts", "are looked up among the model's"), ("integers", "tags has no names; its numbers")],
)
def test_tags_without_class_names_are_taken_too(kind: Any, said: str) -> None:
    data = dataset(column("words", "texts"), column("tags", kind))
    text = text_of(tagger("B-PER", "O"), data)
    config = read_config(text, "", CATALOG)
    assert config.dataset.data_keys == {"tokens": "words"}
    assert config.dataset.ref_keys == ("tags",)
    assert said in text


@pytest.mark.parametrize(
    ("source", "data"),
    [
        (reader(max_position_embeddings=64), dataset(*SQUAD, splits={"validation": 5000})),
        (classifier("a", "b"), dataset(*images("a", "b"))),
    ],
)
def test_every_value_says_why_it_is_there(source: ModelSource, data: DatasetFacts) -> None:
    lines = text_of(source, data).splitlines()
    not_guessed = ("model_name_or_path:", "path:")  # as they were given
    for number, line in enumerate(lines):
        is_value = line.strip() and not line.strip().endswith(":") and "#" not in line
        if is_value and not line.strip().startswith(not_guessed):
            assert lines[number - 1].strip().startswith("# "), line
    assert sum("guessed: " in line for line in lines) >= 9


def test_a_model_of_no_task_is_refused_with_its_architecture_and_the_tasks() -> None:
    with pytest.raises(UsageError) as caught:
        text_of(model("BertForMaskedLM"), None)
    for part in ("BertForMaskedLM", "question-answering (…ForQuestionAnswering)", "image-class"):
        assert part in str(caught.value)


def test_without_a_dataset_plan_says_that_it_is_missing() -> None:
    text = text_of(reader(), None)
    with pytest.raises(ConfigError) as caught:
        read_config(text, "guessed", CATALOG)
    assert [problem.path for problem in caught.value.problems] == ["dataset"]
    assert "# dataset:  # fill in" in text
    assert places(reader(), None) == ["dataset"]


def test_the_place_for_a_dataset_is_a_valid_one_once_it_is_uncommented_and_filled_in() -> None:
    lines = text_of(reader(), None).splitlines()
    start = lines.index(next(line for line in lines if line.startswith("# dataset:")))
    end = next(n for n in range(start, len(lines)) if not lines[n].startswith("#"))
    block = [line.removeprefix("# ").replace("...", "x") for line in lines[start:end]]
    text = "\n".join([*lines[:start], *block, *lines[end:]])
    config = read_config(text, "filled in", CATALOG)
    assert config.dataset.data_keys == {"question": "x", "context": "x"}
    assert config.dataset.calibration_split == "train"


def test_columns_that_are_not_there_fail_the_plan_one_by_one() -> None:
    data = dataset(column("question", "text"), column("a", "text"), column("b", "text"))
    text = text_of(reader(), data)
    with pytest.raises(ConfigError) as caught:
        read_config(text, "guessed", CATALOG)
    found = [problem.path for problem in caught.value.problems]
    assert sorted(found) == ["dataset.data_keys.context", "dataset.ref_keys"]
    assert sorted(places(reader(), data)) == sorted(found)
    assert "fill in: one of the columns question (text), a (text), b (text)" in text


def test_data_for_another_task_leaves_all_columns_open() -> None:
    data = dataset(*images("a", "b"))
    assert places(reader(), data) == [
        "dataset.data_keys.question", "dataset.data_keys.context", "dataset.ref_keys",
    ]  # fmt: skip
    with pytest.raises(ConfigError):
        read_config(text_of(reader(), data), "guessed", CATALOG)


def test_a_column_without_a_known_name_is_taken_if_it_is_the_only_one_of_its_kind() -> None:
    data = dataset(column("scan", "image"), column("finding", "classes", "a", "b"))
    found = read(classifier("a", "b"), data)["dataset"]
    assert found["data_keys"] == {"primary": "scan"}
    assert found["ref_keys"] == ["finding"]
    assert "the only column that holds images" in text_of(classifier("a", "b"), data)


def test_one_text_column_is_not_both_question_and_context() -> None:
    data = dataset(column("body", "text"), column("answers", "answers"))
    assert places(reader(), data) == ["dataset.data_keys.question", "dataset.data_keys.context"]


def test_a_column_is_not_taken_by_its_name_if_it_holds_something_else() -> None:
    data = dataset(column("image", "text"), *images("a", "b")[1:])
    assert places(classifier("a", "b"), data) == ["dataset.data_keys.primary"]


@pytest.mark.parametrize(
    ("splits", "evaluated", "calibrated"),
    [
        ({"train": 9, "validation": 9, "test": 9}, "validation", "train"),
        ({"test": 9, "train": 9}, "test", "train"),
        ({"validation": 0, "test": 9}, "test", None),
        ({"train": 9, "validation_matched": 9}, "validation_matched", "train"),
        ({"train": 9}, "train", None),
        ({"validation": 9}, "validation", None),
    ],
)
def test_splits_are_found_by_their_names(
    splits: dict[str, int], evaluated: str, calibrated: str | None
) -> None:
    config = read_config(text_of(reader(), dataset(*SQUAD, splits=splits)), "guessed", CATALOG)
    assert config.dataset.eval_split == evaluated
    assert config.dataset.calibration_split == calibrated
    static = "static" in config.benchmarked["quantization_approach"]
    assert static is (calibrated is not None)


def test_splits_of_unknown_names_fail_the_plan_although_the_parameter_has_a_default() -> None:
    data = dataset(*SQUAD, splits={"north": 9, "south": 9})
    text = text_of(reader(), data)
    with pytest.raises(ConfigError) as caught:
        read_config(text, "guessed", CATALOG)
    assert [problem.path for problem in caught.value.problems] == ["dataset.eval_split"]
    assert "fill in: one of the splits north (9 rows), south (9 rows)" in text


def test_windows_are_made_to_fit_a_model_with_fewer_positions() -> None:
    found = read(reader(max_position_embeddings=128), dataset(*SQUAD))
    assert found["task_args"] == {"max_seq_length": 128, "doc_stride": 42}
    assert found["input_lengths"] == [32, 128]
    found = read(reader(max_position_embeddings=24), dataset(*SQUAD))
    assert found["input_lengths"] == [24]


def test_the_tokenizer_may_limit_more_than_the_model_and_shifted_positions_are_not_counted() -> (
    None
):
    found = read(reader(), dataset(*SQUAD), 96)
    assert found["task_args"]["max_seq_length"] == 96
    roberta = reader(model_type="roberta", max_position_embeddings=130, pad_token_id=1)
    assert read(roberta, dataset(*SQUAD))["task_args"]["max_seq_length"] == 128


def test_windows_that_fit_are_left_to_the_defaults() -> None:
    assert "task_args" not in read(reader(max_position_embeddings=384), dataset(*SQUAD))


def test_images_have_no_lengths_and_no_windows() -> None:
    found = read(classifier("a", "b"), dataset(*images("a", "b")))
    assert "input_lengths" not in found
    assert "task_args" not in found


def test_a_large_split_is_evaluated_in_part() -> None:
    large = {"train": 5, "validation": 10_570}
    assert read(reader(), dataset(*SQUAD, splits=large))["max_eval_samples"] == 1000
    assert "max_eval_samples" not in read(reader(), dataset(*SQUAD))


def test_names_that_moved_are_written_as_they_are_today_with_the_note() -> None:
    data = dataset(*SQUAD, notes=("the dataset squad is called rajpurkar/squad today",))
    assert "  # the dataset squad is called rajpurkar/squad today\n  path: " in text_of(
        reader(), data
    )
    source = ModelSource(**(vars(reader()) | {"notes": ("it moved",)}))
    assert "# it moved\nmodel_name_or_path: " in text_of(source, data)


def test_commits_of_the_hub_are_pinned() -> None:
    data = dataset(*SQUAD, revision="d" * 40, name="plain")
    source = ModelSource(**(vars(reader()) | {"revision": "e" * 40}))
    found = read(source, data)
    assert found["model_revision"] == "e" * 40
    assert found["dataset"]["revision"] == "d" * 40
    assert found["dataset"]["name"] == "plain"


def test_classes_are_shown_as_matched_by_name_whatever_their_order() -> None:
    text = text_of(classifier("Bean Rust", "healthy"), dataset(*images("healthy", "bean_rust")))
    assert "# classes: matched by name" in text
    assert "#   0 healthy → 1 healthy" in text
    assert "#   1 bean_rust → 0 Bean Rust" in text


def test_classes_without_names_are_marked_as_matched_by_order_only() -> None:
    text = text_of(classifier("LABEL_0", "LABEL_1"), dataset(*images("healthy", "rust")))
    assert "# classes: guessed: matched by their order only" in text
    assert "#   1 rust → 1 LABEL_1" in text


def test_two_classes_without_names_need_not_stand_in_the_model_config() -> None:
    source = model("ViTForImageClassification", model_type="vit")
    assert read(source, dataset(*images("healthy", "rust")))["dataset"]["ref_keys"] == ["labels"]


def test_classes_that_do_not_match_are_left_to_a_person_with_both_lists() -> None:
    data = dataset(*images("cat", "dog"))
    text = text_of(classifier("healthy", "rust"), data)
    assert "0 = cat, 1 = dog" in text
    assert "0 = healthy, 1 = rust" in text
    with pytest.raises(ConfigError) as caught:
        read_config(text, "guessed", CATALOG)
    assert [problem.path for problem in caught.value.problems] == ["dataset.ref_keys"]


def test_labels_without_names_say_that_nothing_checks_their_numbers() -> None:
    data = dataset(column("image", "image"), column("label", "integer"))
    text = text_of(classifier("healthy", "rust"), data)
    assert "label has no names; its numbers are taken as the model's" in text
    assert read(classifier("healthy", "rust"), data)["dataset"]["ref_keys"] == ["label"]


def test_many_classes_are_shown_in_part() -> None:
    names = [f"class {number}" for number in range(1000)]
    text = text_of(classifier(*names), dataset(*images(*names)))
    assert "… 1000 in all" in text
    assert len(text.splitlines()) < 80


def test_class_numbers_of_a_broken_model_config_are_told() -> None:
    source = model("ViTForImageClassification", id2label={"first": "a"})
    with pytest.raises(UsageError, match="'first' in id2label"):
        text_of(source, dataset(*images("a", "b")))


def text_model(**config: Any) -> ModelSource:
    return model("BertForSequenceClassification", model_type="bert", **config)


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (("text",), {"text": "text"}),
        (("sentence",), {"text": "sentence"}),
        (("sentence1", "sentence2"), {"text": "sentence1", "text_pair": "sentence2"}),
        (("question1", "question2"), {"text": "question1", "text_pair": "question2"}),
        (("premise", "hypothesis"), {"text": "premise", "text_pair": "hypothesis"}),
        (("question", "sentence"), {"text": "question", "text_pair": "sentence"}),
        (("body",), {"text": "body"}),
    ],
)
def test_one_text_or_two_are_found_by_their_names(
    names: tuple[str, ...], keys: dict[str, str]
) -> None:
    texts = [column(name, "text") for name in names]
    data = dataset(*texts, column("label", "classes", "no", "yes"))
    source = text_model(id2label={"0": "yes", "1": "no"})
    config = read_config(text_of(source, data), "guessed", CATALOG)
    assert config.task == "text-classification"
    assert config.dataset.data_keys == keys
    assert config.dataset.ref_keys == ("label",)
    assert config.metrics == ("accuracy", "macro_f1", "matthews_correlation")


def test_the_kind_of_answer_is_guessed_from_the_model() -> None:
    text = column("text", "text")
    source = text_model(id2label={"0": "LABEL_0"})
    found = read(source, dataset(text, column("score", "number")))
    assert found["task_args"] == {"is_regression": True}
    assert found["dataset"]["ref_keys"] == ["score"]
    assert found["metrics"] == ["pearson", "spearman"]
    names = {"0": "rude", "1": "untrue"}
    source = text_model(id2label=names, problem_type="multi_label_classification")
    found = read(source, dataset(text, column("labels", "texts")))
    assert found["task_args"] == {"is_multi_label": True}
    assert found["dataset"]["ref_keys"] == ["labels"]
    assert found["metrics"] == ["accuracy", "micro_f1"]
