"""Feature extraction: the vectors are those of the model, and similarity is their cosine."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from quantbench.analysis.distance import cosine
from quantbench.core.errors import ConfigError, QuantbenchError
from quantbench.core.results import Evaluation, Prediction
from quantbench.protocols import SessionOptions
from quantbench.runtimes import ort, pytorch
from quantbench.stages.evaluate import evaluate
from quantbench.stages.export import export_onnx
from quantbench.tasks.feature_extraction import TASK, FeatureExtractionRun
from small_texts import POSITIONS, WORDS

COLUMNS = {"text": "one", "text_pair": "two"}


def opened(directory: Path, **args: Any) -> FeatureExtractionRun:
    return TASK.open(directory, args, COLUMNS, ("similarity",), None)


def pairs(count: int) -> list[dict[str, Any]]:
    """Random texts, some of them longer than the model."""
    draw = random.Random(0)
    words = [word for word in WORDS if not word.startswith("##")]

    def text() -> str:
        return " ".join(draw.choices(words, k=draw.choice((1, 4, 9, 70))))

    return [{"one": text(), "two": text(), "similarity": draw.random()} for _ in range(count)]


def evaluated(run: FeatureExtractionRun, session: Any, rows: list[dict[str, Any]]) -> Evaluation:
    names = [str(number) for number in range(len(rows))]
    metrics = ("spearman", "pearson")
    return evaluate(session, run, rows, names, metrics, None, lambda _: None)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_are_those_of_transformers_own_pipeline(encoder_dir: Path, pooling: str) -> None:
    from transformers import pipeline

    own = pipeline("feature-extraction", model=str(encoder_dir), device="cpu")
    own.model.eval()
    run = opened(encoder_dir, pooling=pooling)
    session = pytorch.RUNTIME.open(encoder_dir, SessionOptions(1, auto_class="AutoModel"))
    rows = pairs(200)
    found = evaluated(run, session, rows)
    limit = {"truncation": True, "max_length": POSITIONS}
    for row, prediction in zip(rows, found.predictions, strict=True):
        wanted: list[float] = []
        for column in COLUMNS.values():
            states = np.array(own(row[column], tokenize_kwargs=limit)[0])
            vector = states.mean(axis=0) if pooling == "mean" else states[0]
            wanted += (vector / np.linalg.norm(vector)).tolist()
        assert prediction.vector == pytest.approx(wanted, abs=1e-5)
        half = len(wanted) // 2
        assert prediction.score == pytest.approx(
            float(np.dot(wanted[:half], wanted[half:])), abs=1e-5
        )


def test_metrics_are_scipys_of_cosines_and_references(encoder_dir: Path) -> None:
    rows = pairs(40)
    session = pytorch.RUNTIME.open(encoder_dir, SessionOptions(1, auto_class="AutoModel"))
    found = evaluated(opened(encoder_dir), session, rows)
    cosines = [prediction.score for prediction in found.predictions]
    references = [row["similarity"] for row in rows]
    for name, of in (("spearman", stats.spearmanr), ("pearson", stats.pearsonr)):
        assert found.metrics[name] == pytest.approx(of(references, cosines).statistic, abs=1e-9)


def test_an_export_has_the_vectors_of_the_original(encoder_dir: Path, tmp_path: Path) -> None:
    run, path = opened(encoder_dir), tmp_path / "model.onnx"
    rows = pairs(8)
    samples = [part.inputs for row in rows[:2] for part in run.encode(row)]
    export_onnx(encoder_dir, "AutoModel", 17, samples, path)
    original = pytorch.RUNTIME.open(encoder_dir, SessionOptions(1, auto_class="AutoModel"))
    before = evaluated(run, original, rows)
    after = evaluated(run, ort.RUNTIME.open(path, SessionOptions(1, 99)), rows)
    found = cosine(before, after)
    assert found == pytest.approx(1.0, abs=1e-6)


def test_the_cosine_to_the_original_is_the_mean_over_samples() -> None:
    def of(*vectors: tuple[float, ...]) -> Evaluation:
        predictions = tuple(Prediction(answer=0.0, vector=vector) for vector in vectors)
        return Evaluation.model_construct(predictions=predictions)

    assert cosine(of((1.0, 0.0), (0.0, 1.0)), of((0.0, 1.0), (0.0, 1.0))) == pytest.approx(0.5)
    assert cosine(of(()), of(())) is None


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"one": None, "two": "a"}, "the column one holds None"),
        ({"one": "a", "two": 5}, "the column two holds 5"),
    ],
)
def test_what_is_no_text_is_refused(
    encoder_dir: Path, row: dict[str, object], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        opened(encoder_dir).encode(row)


@pytest.mark.parametrize("value", [None, "high", float("nan"), True])
def test_what_is_no_similarity_is_refused(encoder_dir: Path, value: object) -> None:
    with pytest.raises(ConfigError, match="not a number"):
        opened(encoder_dir).reference({"similarity": value})


def test_more_tokens_than_the_model_takes_are_refused(encoder_dir: Path) -> None:
    with pytest.raises(ConfigError, match=f"at most {POSITIONS}"):
        opened(encoder_dir, max_seq_length=POSITIONS + 1)


def test_vectors_without_a_direction_fail(encoder_dir: Path) -> None:
    run = opened(encoder_dir)
    row = pairs(1)[0]
    nothing = {"last_hidden_state": np.zeros((1, 5, 32), dtype=np.float32)}
    with pytest.raises(QuantbenchError, match="not a number"):
        run.decode(row, run.encode(row), [nothing, nothing])
