"""One text or two in; one class, several classes or a number out."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from quantbench.core.errors import ConfigError, QuantbenchError, UsageError
from quantbench.core.results import Prediction
from quantbench.tasks.text_classification import TASK, TextClassificationRun
from small_texts import POSITIONS, save_text_classifier

NAMES = ("neutral", "in_favour", "against")  # the model has against, neutral, in-favour


def open_task(
    directory: Path,
    label_names: tuple[str, ...] | None = NAMES,
    keys: dict[str, str] | None = None,
    **task_args: Any,
) -> TextClassificationRun:
    return TASK.open(directory, task_args, keys or {"text": "text"}, ("label",), label_names)


@pytest.fixture
def run(texts_dir: Path) -> TextClassificationRun:
    return open_task(texts_dir)


@pytest.fixture
def pairs(texts_dir: Path) -> TextClassificationRun:
    return open_task(texts_dir, keys={"text": "one", "text_pair": "two"})


@pytest.fixture
def several(texts_dir: Path) -> TextClassificationRun:
    return open_task(texts_dir, is_multi_label=True)


@pytest.fixture
def rater(rater_dir: Path) -> TextClassificationRun:
    return open_task(rater_dir, None, is_regression=True)


def tokens(run: TextClassificationRun, row: dict[str, Any]) -> list[str]:
    (part,) = run.encode(row)
    found: list[str] = run.tokenizer.fast.convert_ids_to_tokens(part.inputs["input_ids"][0])
    return found


def answer(run: TextClassificationRun, *logits: float) -> Prediction:
    return run.decode({}, [], [{"logits": np.array([logits], np.float32)}])


def of_classes(*classes: int | None) -> list[Prediction]:
    return [Prediction(answer=number) for number in classes]


class TestTexts:
    def test_a_text_is_one_input_between_special_tokens(self, run: TextClassificationRun) -> None:
        assert tokens(run, {"text": "The river"}) == ["[CLS]", "the", "river", "[SEP]"]

    def test_two_texts_are_told_apart_by_token_types(self, pairs: TextClassificationRun) -> None:
        row = {"one": "the river", "two": "is long"}
        assert tokens(pairs, row) == ["[CLS]", "the", "river", "[SEP]", "is", "long", "[SEP]"]
        (part,) = pairs.encode(row)
        assert part.inputs["token_type_ids"].tolist() == [[0] * 4 + [1] * 3]

    def test_two_texts_work_without_token_types(self, reader_dir: Path) -> None:
        run = open_task(reader_dir, None, keys={"text": "one", "text_pair": "two"})
        (part,) = run.encode({"one": "the river", "two": "is long"})
        assert part.inputs.keys() == {"input_ids", "attention_mask"}
        assert part.inputs["input_ids"].shape == (1, 7)

    def test_a_text_is_cut_at_the_limit_of_the_model(self, run: TextClassificationRun) -> None:
        found = tokens(run, {"text": "stone " * 90})
        assert (len(found), found[-1]) == (POSITIONS, "[SEP]")

    def test_or_at_the_length_that_is_asked_for(self, texts_dir: Path) -> None:
        assert len(tokens(open_task(texts_dir, max_seq_length=9), {"text": "stone " * 90})) == 9

    def test_of_two_texts_the_longer_one_is_cut(self, texts_dir: Path) -> None:
        keys = {"text": "one", "text_pair": "two"}
        run = open_task(texts_dir, keys=keys, max_seq_length=10)
        found = tokens(run, {"one": "who built it", "two": "stone " * 90})
        assert found == ["[CLS]", "who", "built", "it", "[SEP]", *["stone"] * 4, "[SEP]"]
        found = tokens(run, {"one": "stone " * 90, "two": "who built it"})
        assert found == ["[CLS]", *["stone"] * 4, "[SEP]", "who", "built", "it", "[SEP]"]

    def test_an_empty_text_is_a_text(self, pairs: TextClassificationRun) -> None:
        assert tokens(pairs, {"one": "", "two": ""}) == ["[CLS]", "[SEP]", "[SEP]"]

    def test_unless_the_tokenizer_makes_no_token_of_it(self, gpt2_dir: Path) -> None:
        run = open_task(gpt2_dir, None)
        assert len(tokens(run, {"text": "x"})) == 1
        with pytest.raises(ConfigError, match="not a single token in text: leave the row out"):
            run.encode({"text": ""})

    @pytest.mark.parametrize("value", [None, 3, ["a text"]])
    @pytest.mark.parametrize(("column", "key"), [("one", "text"), ("two", "text_pair")])
    def test_what_is_not_a_text_is_refused_with_its_column(
        self, pairs: TextClassificationRun, value: Any, column: str, key: str
    ) -> None:
        with pytest.raises(
            ConfigError, match=f"the column {column} holds .*, not a text"
        ) as caught:
            pairs.encode({"one": "a", "two": "b"} | {column: value})
        assert caught.value.problems[0].path == f"dataset.data_keys.{key}"

    def test_only_the_inputs_of_a_given_file_are_made(self, texts_dir: Path) -> None:
        inputs = ("input_ids", "attention_mask")
        run = TASK.open(texts_dir, {}, {"text": "text"}, ("label",), NAMES, inputs)
        assert tuple(run.encode({"text": "the river"})[0].inputs) == inputs

    def test_more_tokens_than_the_model_takes_are_refused(self, texts_dir: Path) -> None:
        with pytest.raises(ConfigError, match="at most 48 tokens") as caught:
            open_task(texts_dir, max_seq_length=49)
        assert caught.value.problems[0].path == "task_args.max_seq_length"

    def test_a_length_without_room_for_text_is_refused(self, texts_dir: Path) -> None:
        keys = {"text": "one", "text_pair": "two"}
        with pytest.raises(ConfigError, match=r"3 tokens are special(.|\n)*at least 5"):
            open_task(texts_dir, keys=keys, max_seq_length=4)
        shortest = open_task(texts_dir, keys=keys, max_seq_length=5)
        assert len(tokens(shortest, {"one": "stone " * 9, "two": "long " * 9})) == 5


class TestOneClass:
    def test_the_answer_is_the_highest_logit(self, run: TextClassificationRun) -> None:
        found = answer(run, 0.0, math.log(3), -math.inf)
        assert (found.answer, found.name) == (1, "Neutral")
        assert found.score == pytest.approx(0.75)

    def test_labels_are_matched_by_name(self, run: TextClassificationRun) -> None:
        assert [run.reference({"label": number}) for number in range(3)] == [1, 2, 0]

    def test_a_column_of_names_is_matched_too(self, texts_dir: Path) -> None:
        run = open_task(texts_dir, None)
        assert [run.reference({"label": name}) for name in ("In favour", "against")] == [2, 0]

    def test_other_classes_are_refused_with_both_lists(self, texts_dir: Path) -> None:
        with pytest.raises(ConfigError, match=r"cat, dog(.|\n)*against, Neutral, in-favour"):
            open_task(texts_dir, ("cat", "dog"))

    @pytest.mark.parametrize("value", [None, -1, 3, 1.0, True, "cat", [1]])
    def test_what_is_no_class_is_refused(self, run: TextClassificationRun, value: Any) -> None:
        with pytest.raises(ConfigError) as caught:
            run.reference({"label": value})
        assert caught.value.problems[0].path == "dataset.ref_keys[0]"

    def test_a_model_without_names_gets_the_datasets_and_a_note(self, tmp_path: Path) -> None:
        run = open_task(save_text_classifier(tmp_path, "LABEL_0", "LABEL_1"), ("no", "yes"))
        assert answer(run, 0, 1).name == "yes"
        assert "matched by number" in run.notes[0]

    def test_a_logit_that_is_no_number_is_wrong_whatever_is_right(self, texts_dir: Path) -> None:
        run = open_task(texts_dir, positive_class="neutral")
        found = answer(run, 0.0, math.nan, 0.0)
        assert found.answer is None
        for label in range(3):
            scored = run.score([found], [label])
            assert set(scored.metrics.values()) == {0.0}
            assert set(scored.per_sample.values()) == {(0.0,)}

    def test_f1_is_there_only_with_a_positive_class(self, run: TextClassificationRun) -> None:
        scored = run.score(of_classes(0, 1), [0, 2])
        assert list(scored.metrics) == ["accuracy", "macro_f1", "matthews_correlation"]
        names = [metric.name for metric in TASK.spec.metrics_with({"positive_class": 1})]
        assert names == [*scored.metrics, "f1"]

    @pytest.mark.parametrize("positive", ["Neutral", 0])  # as the label column has it
    def test_f1_asks_for_the_positive_class_alone(self, texts_dir: Path, positive: Any) -> None:
        run = open_task(texts_dir, positive_class=positive)
        scored = run.score(of_classes(1, 1, 0, 0, 1), [1, 0, 1, 2, 1])
        assert scored.metrics["f1"] == pytest.approx(2 * 2 / (3 + 3))
        assert scored.per_sample["f1"] == (1.0, 0.0, 0.0, 1.0, 1.0)
        assert scored.per_sample["accuracy"] == (1.0, 0.0, 0.0, 0.0, 1.0)
        assert scored.parts["f1"][:4] == ((1, 1, 1), (0, 1, 0), (0, 0, 1), (0, 0, 0))

    @pytest.mark.parametrize("positive", ["cat", 3, -1])
    def test_a_positive_class_that_is_none_is_refused(self, texts_dir: Path, positive: Any) -> None:
        with pytest.raises(ConfigError) as caught:
            open_task(texts_dir, positive_class=positive)
        assert caught.value.problems[0].path == "task_args.positive_class"

    def test_metrics_are_those_of_scikit_learn(self, texts_dir: Path) -> None:
        from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

        run = open_task(texts_dir, positive_class="against")
        rng = np.random.default_rng(0)
        for count in (7, 40, 500):
            wanted, found = rng.integers(0, 3, (2, count)).tolist()
            scored = run.score(of_classes(*found), wanted).metrics
            assert scored == {
                "accuracy": pytest.approx(accuracy_score(wanted, found), abs=1e-9),
                "macro_f1": pytest.approx(f1_score(wanted, found, average="macro"), abs=1e-9),
                "matthews_correlation": pytest.approx(matthews_corrcoef(wanted, found), abs=1e-9),
                "f1": pytest.approx(f1_score(wanted, found, labels=[0], average="micro"), abs=1e-9),
            }


class TestSeveralClasses:
    def test_the_answer_is_every_class_above_one_half(self, several: TextClassificationRun) -> None:
        found = answer(several, math.log(3), 0.0, 1e-6)
        assert (found.answer, found.name) == ([0, 2], "against, in-favour")
        assert found.score == pytest.approx(0.75)
        assert answer(several, -1, -2, -3).answer == []
        assert answer(several, -1, -2, -3).name == "no class"

    def test_huge_logits_do_not_overflow(self, several: TextClassificationRun) -> None:
        assert answer(several, -1e30, -1e30, -1e30).score == 0.0
        assert answer(several, 1e30, 0, 0).score == 1.0

    @pytest.mark.parametrize(
        ("value", "classes"),
        [
            ([2, 0], [0, 1]),
            (["in favour", "Neutral"], [1, 2]),
            ([1, 0, 1], [0, 1]),
            ([0.0, 1.0, 0.0], [2]),
            ([False, False, True], [0]),
            ([0, 0, 0], []),
            ([], []),
        ],
    )
    def test_labels_are_names_numbers_or_vectors_of_the_dataset(
        self, several: TextClassificationRun, value: Any, classes: list[int]
    ) -> None:
        assert several.reference({"label": value}) == classes

    def test_without_names_numbers_and_vectors_are_the_models(self, texts_dir: Path) -> None:
        run = open_task(texts_dir, None, is_multi_label=True)
        assert run.reference({"label": [0, 0, 1]}) == run.reference({"label": [2]}) == [2]

    @pytest.mark.parametrize(
        ("value", "why"),
        [
            (1, "is not a list"),
            ("neutral", "is not a list"),
            (None, "is not a list"),
            ([1, 1], "names a class twice"),
            ([0, 1, 1, 0], "names a class twice"),
            ([0.5, 0.0, 1.0], "is no vector"),
            ([1.0, 0.0], "is no vector"),
            ([3], "is no class of the dataset"),
            (["cat"], "no class of the model"),
            ([None], "neither a class number nor a class name"),
        ],
    )
    def test_anything_else_is_refused(
        self, several: TextClassificationRun, value: Any, why: str
    ) -> None:
        with pytest.raises(ConfigError, match=why) as caught:
            several.reference({"label": value})
        assert caught.value.problems[0].path == "dataset.ref_keys[0]"

    def test_a_list_that_can_be_numbers_or_a_vector_is_refused(self, tmp_path: Path) -> None:
        save_text_classifier(tmp_path, "rude", "untrue")
        run = open_task(tmp_path, None, is_multi_label=True)
        with pytest.raises(ConfigError, match="two class numbers or a vector"):
            run.reference({"label": [0, 1]})
        assert [run.reference({"label": v}) for v in ([0.0, 1.0], [1], [1, 1], ["rude"])] == [
            [1], [1], [0, 1], [0],
        ]  # fmt: skip

    def test_samples_are_right_if_all_their_classes_are(
        self, several: TextClassificationRun
    ) -> None:
        predictions = [Prediction(answer=found) for found in ([0, 1], [0], [], [], None)]
        scored = several.score(predictions, [[0, 1], [0, 2], [], [1], []])
        assert scored.per_sample["accuracy"] == (1.0, 0.0, 1.0, 0.0, 0.0)
        assert scored.per_sample["micro_f1"] == pytest.approx((1.0, 2 / 3, 1.0, 0.0, 0.0))
        assert scored.parts["micro_f1"][1] == (1, 1, 2)
        assert scored.metrics["micro_f1"] == pytest.approx(2 * 3 / (3 + 5))

    def test_metrics_are_those_of_scikit_learn(self, several: TextClassificationRun) -> None:
        from sklearn.metrics import accuracy_score, f1_score

        rng = np.random.default_rng(0)
        for count in (7, 300):
            found, wanted = (rng.random((2, count, 3)) > 0.4).astype(int)
            lists = [[np.flatnonzero(row).tolist() for row in side] for side in (found, wanted)]
            scored = several.score([Prediction(answer=row) for row in lists[0]], lists[1]).metrics
            assert scored == {
                "accuracy": pytest.approx(accuracy_score(wanted, found), abs=1e-9),
                "micro_f1": pytest.approx(f1_score(wanted, found, average="micro"), abs=1e-9),
            }


class TestOneNumber:
    def test_the_answer_is_the_number_rounded_to_agree_on_and_the_score_is_exact(
        self, rater: TextClassificationRun
    ) -> None:
        found = answer(rater, 3.14159)
        assert found.answer == 3.14
        assert found.score == pytest.approx(3.14159, abs=1e-6)
        assert str(answer(rater, -0.001).answer) == "0.0"

    @pytest.mark.parametrize("logit", [math.nan, math.inf])
    def test_what_is_not_finite_fails_the_row(
        self, rater: TextClassificationRun, logit: float
    ) -> None:
        with pytest.raises(QuantbenchError, match=f"the model answers {logit}"):
            answer(rater, logit)

    def test_references_are_numbers(self, rater: TextClassificationRun) -> None:
        assert [rater.reference({"label": value}) for value in (3, 2.5, -1.0)] == [3.0, 2.5, -1.0]

    @pytest.mark.parametrize("value", [None, "3", True, math.nan, [1.0]])
    def test_anything_else_is_refused(self, rater: TextClassificationRun, value: Any) -> None:
        with pytest.raises(ConfigError, match=r"the column label holds .*, not a number") as caught:
            rater.reference({"label": value})
        assert caught.value.problems[0].path == "dataset.ref_keys[0]"

    def test_metrics_are_those_of_scipy_on_the_exact_numbers(
        self, rater: TextClassificationRun
    ) -> None:
        from scipy.stats import pearsonr, spearmanr

        rng = np.random.default_rng(0)
        for count in (5, 400):
            wanted = np.round(rng.random(count) * 5, 1)  # with equal ones among them
            found = [answer(rater, value + rng.normal() / 100) for value in wanted]
            exact = [prediction.score for prediction in found]
            scored = rater.score(found, wanted.tolist())
            assert scored.metrics == {
                "pearson": pytest.approx(pearsonr(wanted, exact).statistic, abs=1e-9),
                "spearman": pytest.approx(spearmanr(wanted, exact).statistic, abs=1e-9),
            }
            rounded = np.round(exact, 2)  # what both models may differ in beyond counts for none
            assert scored.per_sample["pearson"] == pytest.approx(-np.abs(wanted - rounded))


class TestWhatIsAskedFor:
    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ({"is_regression": True, "is_multi_label": True}, "contradicts is_regression"),
            ({"is_regression": True, "positive_class": 1}, "means nothing with is_regression"),
            ({"is_multi_label": True, "positive_class": 1}, "means nothing with is_multi_label"),
            ({"positive_class": True}, "the name or the number of a class"),
            ({"positive_class": 1.0}, "the name or the number of a class"),
            ({"max_seq_length": 0}, "greater than or equal to 1"),
        ],
    )
    def test_arguments_that_cannot_be(
        self, texts_dir: Path, args: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValidationError, match=message):
            open_task(texts_dir, **args)

    def test_each_kind_of_answer_has_its_metrics(self) -> None:
        found = {
            name: [metric.name for metric in TASK.spec.metrics_with({name: True})]
            for name in ("is_regression", "is_multi_label")
        }
        assert found == {
            "is_regression": ["pearson", "spearman"],
            "is_multi_label": ["accuracy", "micro_f1"],
        }

    @pytest.mark.parametrize("args", [{}, {"is_multi_label": True}])
    def test_a_model_of_one_output_is_for_regression(
        self, rater_dir: Path, args: dict[str, Any]
    ) -> None:
        with pytest.raises(UsageError, match="has one output") as caught:
            open_task(rater_dir, None, **args)
        assert "Set task_args.is_regression: true" in str(caught.value)

    def test_a_model_of_several_outputs_is_not(self, texts_dir: Path) -> None:
        with pytest.raises(UsageError, match=r"has 3 outputs(.|\n)*Leave is_regression out"):
            open_task(texts_dir, None, is_regression=True)

    @pytest.mark.parametrize(
        ("trained_for", "args", "hint"),
        [
            ("multi_label_classification", {}, "Set task_args.is_multi_label: true"),
            ("single_label_classification", {"is_multi_label": True}, "is_multi_label out"),
            ("regression", {}, "Set task_args.is_regression: true"),
        ],
    )
    def test_a_model_that_was_trained_for_another_kind_is_refused(
        self, tmp_path: Path, trained_for: str, args: dict[str, Any], hint: str
    ) -> None:
        save_text_classifier(tmp_path, "a", "b", problem_type=trained_for)
        with pytest.raises(UsageError, match=f"was trained for {trained_for}") as caught:
            open_task(tmp_path, None, **args)
        assert hint in str(caught.value)

    def test_classes_are_no_numbers_to_score(self, rater_dir: Path) -> None:
        with pytest.raises(ConfigError, match=r"holds classes \(bad, good\)"):
            open_task(rater_dir, ("bad", "good"), is_regression=True)
