"""Our answers are those of transformers' own pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from quantbench.core.results import Prediction
from quantbench.protocols import SessionOptions
from quantbench.runtimes.pytorch import RUNTIME
from quantbench.tasks.text_classification import TASK, TextClassificationRun
from small_texts import WORDS, save_text_classifier

NUM_TEXTS = 220


def texts(seed: int) -> list[str]:
    """Random words, some of them unknown; some texts are longer than the model takes."""
    rng = np.random.default_rng(seed)
    words = [*(word.removeprefix("##") for word in WORDS), "Zürich", "日本", "…"]
    lengths = rng.geometric(0.06, NUM_TEXTS)
    return [" ".join(rng.choice(words, length)) for length in lengths]


def opened(directory: Path, *columns: str, **task_args: Any) -> TextClassificationRun:
    return TASK.open(directory, task_args, {key: key for key in columns}, ("label",), None)


def predictions(directory: Path, rows: list[dict[str, str]], **task_args: Any) -> list[Prediction]:
    task = opened(directory, *rows[0], **task_args)
    session = RUNTIME.open(directory, SessionOptions(1, auto_class=TASK.spec.auto_class))
    found = []
    for row in rows:
        encoded = task.encode(row)
        found.append(task.decode(row, encoded, [session.bind(p.inputs)() for p in encoded]))
    session.close()
    return found


def of_pipeline(directory: Path, rows: list[dict[str, str]], **options: Any) -> list[Any]:
    from transformers import pipeline

    model = str(directory)
    classify = pipeline("text-classification", model=model, device="cpu")
    return [classify(row, truncation=True, max_length=48, **options) for row in rows]


def test_the_texts_are_such_that_much_could_go_wrong(texts_dir: Path) -> None:
    rows = [{"text": text} for text in texts(0)]
    found = predictions(texts_dir, rows)
    assert len({prediction.answer for prediction in found}) >= 2
    assert sum(len(row["text"].split()) > 48 for row in rows) >= 5
    scores = [prediction.score or 0.0 for prediction in found]
    assert max(scores) - min(scores) > 0.05


@pytest.mark.parametrize("is_pair", [False, True])
def test_one_class(texts_dir: Path, is_pair: bool) -> None:
    rows = [{"text": text} for text in texts(0)]
    if is_pair:
        rows = [row | {"text_pair": other} for row, other in zip(rows, texts(1), strict=True)]
    ours, theirs = predictions(texts_dir, rows), of_pipeline(texts_dir, rows)
    assert [prediction.name for prediction in ours] == [answer["label"] for answer in theirs]
    assert [prediction.score for prediction in ours] == pytest.approx(
        [answer["score"] for answer in theirs], abs=1e-5
    )
    found: Any = [prediction.answer for prediction in ours]
    wanted = np.where(np.arange(NUM_TEXTS) % 3, found, 1)
    metrics = opened(texts_dir, *rows[0]).score(ours, wanted.tolist()).metrics
    assert metrics == {
        "accuracy": pytest.approx(accuracy_score(wanted, found), abs=1e-9),
        "macro_f1": pytest.approx(f1_score(wanted, found, average="macro"), abs=1e-9),
        "matthews_correlation": pytest.approx(matthews_corrcoef(wanted, found), abs=1e-9),
    }
    assert metrics["accuracy"] < 1


def test_several_classes(tmp_path: Path) -> None:
    trained_for = "multi_label_classification"
    save_text_classifier(tmp_path, "rude", "untrue", "long", problem_type=trained_for)
    rows = [{"text": text} for text in texts(2)]
    ours = predictions(tmp_path, rows, is_multi_label=True)
    for prediction, answers in zip(ours, of_pipeline(tmp_path, rows, top_k=None), strict=True):
        chosen = {answer["label"] for answer in answers if answer["score"] > 0.5}
        names = [name for name in ("rude", "untrue", "long") if name in chosen]
        assert prediction.name == (", ".join(names) or "no class")
        assert prediction.score == pytest.approx(answers[0]["score"], abs=1e-5)
    assert len({prediction.name for prediction in ours}) >= 2
    chosen: list[Any] = [prediction.answer for prediction in ours]
    found = np.array([[number in answer for number in range(3)] for answer in chosen])
    wanted = found ^ (np.random.default_rng(0).random(found.shape) < 0.2)
    lists = [np.flatnonzero(row).tolist() for row in wanted]
    assert opened(tmp_path, "text", is_multi_label=True).score(ours, lists).metrics == {
        "accuracy": pytest.approx(accuracy_score(wanted, found), abs=1e-9),
        "micro_f1": pytest.approx(f1_score(wanted, found, average="micro"), abs=1e-9),
    }


def test_a_number(tmp_path: Path) -> None:
    save_text_classifier(tmp_path, "LABEL_0", problem_type="regression")
    rows = [{"text": text} for text in texts(3)]
    ours = predictions(tmp_path, rows, is_regression=True)
    theirs = of_pipeline(tmp_path, rows)
    assert [prediction.score for prediction in ours] == pytest.approx(
        [answer["score"] for answer in theirs], abs=1e-5
    )
    found = np.array([prediction.score for prediction in ours])
    wanted = np.round(found + np.random.default_rng(0).normal(size=NUM_TEXTS) * found.std(), 1)
    metrics = opened(tmp_path, "text", is_regression=True).score(ours, wanted.tolist()).metrics
    assert metrics == {
        "pearson": pytest.approx(pearsonr(wanted, found).statistic, abs=1e-9),
        "spearman": pytest.approx(spearmanr(wanted, found).statistic, abs=1e-9),
    }
