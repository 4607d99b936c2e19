"""Our answers for images are those of transformers' own pipeline, on a trained model."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from quantbench.core.results import Evaluation
from quantbench.data.bundled import bundled_directory
from quantbench.protocols import SessionOptions
from quantbench.runtimes.pytorch import RUNTIME
from quantbench.stages.evaluate import evaluate
from quantbench.tasks.image_classification import TASK

NUM_DIGITS, TOP_K = 200, 3
MODES = ("L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr")
DIRECTORY = bundled_directory("bundled:digits", "model_name_or_path")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Real digits; then some of them in other modes, sizes and shapes; then noise."""
    from datasets import load_dataset

    files = str(DIRECTORY / "data" / "validation.parquet")
    digits = load_dataset("parquet", data_files=files, split=f"train[:{NUM_DIGITS}]")
    found = [{"image": row["image"], "label": row["labels"]} for row in digits]
    rng = np.random.default_rng(0)
    for number, mode in enumerate(MODES * 2):
        image = found[number]["image"].convert("RGB").resize((9 + 5 * number, 40))
        found.append({"image": image.convert(mode), "label": found[number]["label"]})
    for number in range(10):
        noise = rng.integers(0, 256, (30, 20 + number, 3), dtype=np.uint8)
        found.append({"image": Image.fromarray(noise), "label": number})
    return found


@pytest.fixture(scope="module")
def ours(rows: list[dict[str, Any]]) -> Iterator[Evaluation]:
    model = DIRECTORY / "model"
    run = TASK.open(model, {"top_k": TOP_K}, {"primary": "image"}, ("label",), None)
    session = RUNTIME.open(model, SessionOptions(1, auto_class=TASK.spec.auto_class))
    names = [str(number) for number in range(len(rows))]
    metrics = ("accuracy", "top_k_accuracy")
    yield evaluate(session, run, rows, names, metrics, None, lambda _: None)
    session.close()


@pytest.fixture(scope="module")
def theirs(rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Per image the probability of each class, most likely first."""
    from transformers import pipeline

    opened = pipeline("image-classification", model=str(DIRECTORY / "model"), device="cpu")
    found = [opened(row["image"], top_k=10) for row in rows]
    return [{answer["label"]: answer["score"] for answer in answers} for answers in found]


def test_classes_and_probabilities_are_those_of_the_pipeline(
    ours: Evaluation, theirs: list[dict[str, float]]
) -> None:
    assert [each.name for each in ours.predictions] == [next(iter(each)) for each in theirs]
    assert [each.score for each in ours.predictions] == pytest.approx(
        [next(iter(each.values())) for each in theirs], abs=1e-5
    )
    assert len({each.name for each in ours.predictions}) == 10


def test_metrics_are_scikit_learns_on_the_pipelines_answers(
    ours: Evaluation, theirs: list[dict[str, float]], rows: list[dict[str, Any]]
) -> None:
    names = [f"{number}" for number in range(10)]
    assert set(theirs[0]) == set(names)
    labels = [row["label"] for row in rows]
    scores = np.array([[each[name] for name in names] for each in theirs])
    assert ours.metrics == {
        "accuracy": pytest.approx(accuracy_score(labels, scores.argmax(1)), abs=1e-9),
        "top_k_accuracy": pytest.approx(top_k_accuracy_score(labels, scores, k=TOP_K), abs=1e-9),
    }
    assert 0.5 < ours.metrics["accuracy"] < 1
