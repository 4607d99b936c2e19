"""Images in, classes out, labels matched by name."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from quantbench.core.errors import ConfigError
from quantbench.core.results import Prediction
from quantbench.protocols import Array
from quantbench.tasks.image_classification import TASK, ImageClassificationRun
from quantbench.tasks.labels import align_labels

NAMES = ("leaf_spot", "bean_rust", "healthy")


def open_task(
    directory: Path, label_names: tuple[str, ...] | None = NAMES, **task_args: Any
) -> ImageClassificationRun:
    return TASK.open(directory, task_args, {"primary": "image"}, ("label",), label_names)


@pytest.fixture
def run(classifier_dir: Path) -> ImageClassificationRun:
    return open_task(classifier_dir)


def pixels(run: ImageClassificationRun, image: Any) -> Array:
    (part,) = run.encode({"image": image})
    return part.inputs["pixel_values"]


def answer(run: ImageClassificationRun, logits: Any) -> Any:
    return run.decode({}, [], [{"logits": np.array([logits], np.float32)}])


def test_an_image_is_resized_scaled_and_normalised_by_the_models_processor(
    run: ImageClassificationRun,
) -> None:
    found = pixels(run, Image.new("RGB", (40, 30), (255, 0, 51)))
    assert (found.shape, found.dtype) == ((1, 3, 8, 12), np.float32)
    for channel, value in enumerate((1.0, -1.0, 51 / 255 * 2 - 1)):
        np.testing.assert_allclose(found[0, channel], value, atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK"])
def test_other_kinds_of_images_become_rgb(run: ImageClassificationRun, mode: str) -> None:
    image = Image.new("RGB", (6, 6), "white").convert(mode)
    np.testing.assert_allclose(pixels(run, image), 1.0, atol=1e-6)


def test_transparency_is_dropped(run: ImageClassificationRun) -> None:
    image = Image.new("RGBA", (6, 6), (255, 255, 255, 0))
    np.testing.assert_allclose(pixels(run, image), 1.0, atol=1e-6)


def test_a_transparent_palette_is_read_without_a_warning(run: ImageClassificationRun) -> None:
    image = Image.new("P", (6, 6))
    image.putpalette([255, 255, 255] * 256)
    image.info["transparency"] = bytes(256)
    np.testing.assert_allclose(pixels(run, image), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    "value", ["cat.png", None, Image.new("I;16", (4, 4)), Image.new("F", (4, 4))]
)
def test_what_is_not_an_image_of_8_bits_is_refused(run: ImageClassificationRun, value: Any) -> None:
    with pytest.raises(ConfigError, match="not images of 8 bits") as caught:
        pixels(run, value)
    assert caught.value.problems[0].path == "dataset.data_keys.primary"


def test_the_prediction_is_the_highest_logit_with_name_and_probability(
    run: ImageClassificationRun,
) -> None:
    found = answer(run, [0.0, math.log(3), -math.inf])
    assert (found.answer, found.name) == (1, "Healthy")
    assert found.score == pytest.approx(0.75)


def test_of_equal_logits_the_first_class_wins(run: ImageClassificationRun) -> None:
    assert answer(run, [1.0, 1.0, 1.0]).answer == 0


def test_huge_logits_do_not_overflow(run: ImageClassificationRun) -> None:
    assert answer(run, [1e30, 0.0, 0.0]).score == 1.0


def test_a_model_that_gives_no_numbers_is_wrong(run: ImageClassificationRun) -> None:
    found = answer(run, [0.0, math.nan, 0.0])
    assert found.answer is None
    assert run.score([found], [0]).metrics == {"accuracy": 0.0}


def test_references_are_the_models_numbers(run: ImageClassificationRun) -> None:
    # The model has bean rust, healthy, leaf spot.
    assert [run.reference({"label": n}) for n in range(3)] == [2, 0, 1]


def test_a_column_of_names_is_matched_by_name(classifier_dir: Path) -> None:
    run = open_task(classifier_dir, label_names=None)
    assert [run.reference({"label": name}) for name in ("Leaf Spot", "healthy")] == [2, 1]


def test_accuracy_is_a_fraction(run: ImageClassificationRun) -> None:
    predictions = [answer(run, logits) for logits in np.eye(3)]
    scored = run.score(predictions, [0, 1, 0])
    assert scored.metrics == {"accuracy": pytest.approx(2 / 3)}
    assert scored.per_sample == {"accuracy": (1.0, 1.0, 0.0)}


class TestTopK:
    """`top_k`: right if the class is among the k most likely."""

    @pytest.mark.parametrize("k", [2, 5, 9])
    def test_it_is_scikit_learns(self, run: ImageClassificationRun, k: int) -> None:
        from sklearn.metrics import top_k_accuracy_score

        rng = np.random.default_rng(k)
        logits, labels = rng.standard_normal((300, 10)), rng.integers(0, 10, 300)
        of_ten = dataclasses.replace(run, id2label=dict(enumerate("abcdefghij")), top_k=k)
        predictions = [of_ten.decode({}, [], [{"logits": row[None]}]) for row in logits]
        scored = of_ten.score(predictions, labels.tolist())
        expected = top_k_accuracy_score(labels, logits, k=k, labels=range(10))
        assert scored.metrics["top_k_accuracy"] == pytest.approx(expected, abs=1e-9)
        assert set(scored.per_sample["top_k_accuracy"]) == {0.0, 1.0}
        assert scored.metrics["accuracy"] == pytest.approx((logits.argmax(1) == labels).mean())

    def test_the_answer_is_the_first_of_them(self, classifier_dir: Path) -> None:
        found = answer(open_task(classifier_dir, top_k=2), [1.0, 3.0, 2.0])
        assert (found.answer, found.top) == (1, (1, 2))
        assert answer(open_task(classifier_dir, top_k=2), [1.0, 1.0, 1.0]).top == (0, 1)

    def test_nothing_is_kept_and_no_metric_added_without_it(
        self, run: ImageClassificationRun
    ) -> None:
        assert answer(run, [1.0, 3.0, 2.0]).top == ()
        assert [metric.name for metric in TASK.spec.metrics_with({})] == ["accuracy"]
        names = [metric.name for metric in TASK.spec.metrics_with({"top_k": 2})]
        assert names == ["accuracy", "top_k_accuracy"]

    def test_a_model_that_gives_no_numbers_is_wrong(self, classifier_dir: Path) -> None:
        run = open_task(classifier_dir, top_k=2)
        scored = run.score([answer(run, [0.0, math.nan, 0.0])], [0])
        assert scored.metrics == {"accuracy": 0.0, "top_k_accuracy": 0.0}

    def test_as_many_as_there_are_classes_is_refused(self, classifier_dir: Path) -> None:
        with pytest.raises(ConfigError, match="the model has 3 classes") as caught:
            open_task(classifier_dir, top_k=3)
        (problem,) = caught.value.problems
        assert (problem.path, problem.given, problem.allowed) == ("task_args.top_k", "3", "2 to 2")

    @pytest.mark.parametrize("k", [1, 0, -1])
    def test_less_than_two_is_refused(self, classifier_dir: Path, k: int) -> None:
        with pytest.raises(ValueError, match="greater than or equal to 2"):
            open_task(classifier_dir, top_k=k)

    def test_predictions_that_were_stored_before_are_read(self) -> None:
        assert Prediction.model_validate({"answer": 1, "name": None, "score": 0.5}).top == ()


def test_classes_of_another_dataset_are_refused(classifier_dir: Path) -> None:
    with pytest.raises(ConfigError, match="bean rust, Healthy, leaf-spot"):
        open_task(classifier_dir, label_names=("cat", "dog", "cow"))


def test_names_come_from_the_models_config(run: ImageClassificationRun) -> None:
    assert run.aligned == align_labels(NAMES, {0: "bean rust", 1: "Healthy", 2: "leaf-spot"})
