"""What every task does, whatever it is about: `protocols.Task` and `protocols.TaskRun`."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.special import log_softmax

from quantbench.core.errors import UsageError
from quantbench.core.metric_values import metric_value
from quantbench.protocols import Task, TaskRun
from quantbench.tasks.feature_extraction import TASK as PAIRS
from quantbench.tasks.image_classification import TASK as IMAGES
from quantbench.tasks.question_answering import TASK as QUESTIONS
from quantbench.tasks.text_classification import TASK as TEXTS
from quantbench.tasks.token_classification import TASK as TAGS


@dataclass(frozen=True)
class Case:
    """A task, its columns, rows, and what a model would answer to inputs."""

    task: Task
    model: str
    task_args: dict[str, Any]
    data_keys: dict[str, str]
    ref_keys: tuple[str, ...]
    label_names: tuple[str, ...] | None
    rows: tuple[dict[str, Any], ...]
    outputs: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


def span_logits(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Logits that depend on each token and its place alone."""
    ids = inputs["input_ids"].astype(np.float32)
    places = np.arange(ids.shape[1], dtype=np.float32)
    return {"start_logits": np.sin(ids * 7 + places), "end_logits": np.cos(ids * 3 + places)}


def class_logits(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The mean of each colour."""
    return {"logits": inputs["pixel_values"].mean(axis=(2, 3))}


def tag_logits(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Logits that depend on each token alone."""
    ids = inputs["input_ids"].astype(np.float32)
    return {"logits": np.sin(ids[..., None] * np.arange(1, 6, dtype=np.float32))}


QA_CASE = Case(
    task=QUESTIONS,
    model="reader_dir",
    task_args={"max_seq_length": 32, "doc_stride": 8},
    data_keys={"question": "q", "context": "c"},
    ref_keys=("answers",),
    label_names=None,
    rows=(
        {"q": "who built the bridge?", "c": "the engineer", "answers": {"text": ["engineer"]}},
        {"q": "what is long?", "c": "the river is long. " * 12, "answers": ["river", "the river"]},
    ),
    outputs=span_logits,
)
QA_2_CASE = dataclasses.replace(
    QA_CASE,
    task_args={**QA_CASE.task_args, "version_2": True},
    rows=(*QA_CASE.rows, {"q": "what is wide?", "c": "the river is long.", "answers": []}),
)
IMAGE_CASE = Case(
    task=IMAGES,
    model="classifier_dir",
    task_args={},
    data_keys={"primary": "picture"},
    ref_keys=("label",),
    label_names=("leaf_spot", "healthy", "bean_rust"),
    rows=(
        {"picture": Image.new("RGB", (5, 9), "red"), "label": 2},
        {"picture": Image.new("RGB", (30, 3), "blue"), "label": 1},
    ),
    outputs=class_logits,
)
IMAGE_TOP_CASE = dataclasses.replace(IMAGE_CASE, task_args={"top_k": 2})


ROWS_OF_TEXT = (
    {"first": "the river is long", "second": "is it wide?", "label": 2},
    {"first": "who built the bridge?", "second": "", "label": 0},
)


def text_logits(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Logits that depend on all tokens."""
    ids = inputs["input_ids"].astype(np.float32)
    return {"logits": np.stack([np.sin(ids * n).sum(axis=1) for n in (1, 2, 3)], axis=1)}


TEXT_CASE = Case(
    task=TEXTS,
    model="texts_dir",
    task_args={"max_seq_length": 24, "positive_class": "Neutral"},
    data_keys={"text": "first", "text_pair": "second"},
    ref_keys=("label",),
    label_names=("neutral", "in_favour", "against"),
    rows=ROWS_OF_TEXT,
    outputs=text_logits,
)
MULTI_LABEL_CASE = dataclasses.replace(
    TEXT_CASE,
    task_args={"is_multi_label": True},
    data_keys={"text": "first"},
    rows=tuple(row | {"label": [row["label"]]} for row in ROWS_OF_TEXT),
)
REGRESSION_CASE = dataclasses.replace(
    TEXT_CASE,
    model="rater_dir",
    task_args={"is_regression": True},
    label_names=None,
    outputs=lambda inputs: {"logits": text_logits(inputs)["logits"][:, :1]},
)
TAG_CASE = Case(
    task=TAGS,
    model="tagger_dir",
    task_args={"max_seq_length": 16},
    data_keys={"tokens": "words"},
    ref_keys=("tags",),
    label_names=("B-LOC", "I-LOC", "B-PER", "I-PER", "O"),
    rows=(
        {"words": ["Ann", "Lee", "built", "it"], "tags": [2, 3, 4, 4]},
        {"words": ["the", "long", "river", ""] * 5, "tags": [4, 4, 0, 4] * 5},
    ),
    outputs=tag_logits,
)


def hidden_states(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A vector for each token that depends on it alone."""
    ids = inputs["input_ids"].astype(np.float32)
    return {"last_hidden_state": np.stack([np.sin(ids * n) for n in (1, 2, 3, 4)], axis=2)}


PAIR_CASE = Case(
    task=PAIRS,
    model="encoder_dir",
    task_args={"max_seq_length": 24, "pooling": "cls"},
    data_keys={"text": "first", "text_pair": "second"},
    ref_keys=("label",),
    label_names=None,
    rows=ROWS_OF_TEXT,
    outputs=hidden_states,
)
MEAN_CASE = dataclasses.replace(PAIR_CASE, task_args={})
CASES = {
    "question-answering": QA_CASE,
    "question-answering-2": QA_2_CASE,
    "image-classification": IMAGE_CASE,
    "image-classification-top-2": IMAGE_TOP_CASE,
    "text-classification": TEXT_CASE,
    "text-classification, several labels": MULTI_LABEL_CASE,
    "text-classification, a number": REGRESSION_CASE,
    "token-classification": TAG_CASE,
    "feature-extraction": PAIR_CASE,
    "feature-extraction, mean": MEAN_CASE,
}


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture
def model_dir(case: Case, request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(case.model)


@pytest.fixture
def run(case: Case, model_dir: Path) -> TaskRun:
    return case.task.open(
        model_dir, case.task_args, case.data_keys, case.ref_keys, case.label_names
    )


def predict(case: Case, run: TaskRun) -> list[Any]:
    predictions = []
    for row in case.rows:
        encoded = run.encode(row)
        outputs = [case.outputs(dict(part.inputs)) for part in encoded]
        predictions.append(run.decode(row, encoded, outputs))
    return predictions


def test_the_spec_names_what_the_config_must_give(case: Case) -> None:
    spec = case.task.spec
    known = {*spec.data_keys, *spec.optional_data_keys}
    assert set(spec.data_keys) <= set(case.data_keys) <= known
    assert spec.num_ref_keys == len(case.ref_keys)
    assert spec.metrics
    assert spec.args.model_validate(case.task_args)


def test_an_input_is_one_sample_of_int64_or_float32(case: Case, run: TaskRun) -> None:
    for row in case.rows:
        encoded = run.encode(row)
        assert encoded
        for part in encoded:
            assert part.inputs
            for array in part.inputs.values():
                assert array.shape[0] == 1
                assert array.dtype in (np.int64, np.float32)


def test_nothing_is_padded(case: Case, run: TaskRun) -> None:
    for row in case.rows:
        for part in run.encode(row):
            assert np.all(part.inputs.get("attention_mask", np.ones(1)) == 1)


def test_encoding_a_row_gives_the_same_whatever_was_encoded_before(
    case: Case, run: TaskRun
) -> None:
    first = run.encode(case.rows[0])
    run.encode(case.rows[1])
    again = run.encode(case.rows[0])
    for one, other in zip(first, again, strict=True):
        assert one.inputs.keys() == other.inputs.keys()
        for name in one.inputs:
            np.testing.assert_array_equal(one.inputs[name], other.inputs[name])


def test_predictions_and_references_are_json(case: Case, run: TaskRun) -> None:
    answers = [prediction.answer for prediction in predict(case, run)]
    values = [answers, [run.reference(row) for row in case.rows]]
    assert json.loads(json.dumps(values, allow_nan=False)) == values


def test_class_logits_are_kept_as_what_they_stand_for(case: Case, run: TaskRun) -> None:
    for row, prediction in zip(case.rows, predict(case, run), strict=True):
        encoded = run.encode(row)
        outputs = [case.outputs(dict(part.inputs)) for part in encoded]
        if case.task.spec.output_names != ("logits",):
            assert (prediction.log_probabilities, prediction.logits) == ((), ())
        elif prediction.log_probabilities:
            # One class is right: of the sample, or of each word at its first token.
            places = [
                [0] if output["logits"].ndim == 2 else [p for p in part.context if p is not None]
                for part, output in zip(encoded, outputs, strict=True)
            ]
            logits = np.concatenate(
                [
                    np.atleast_2d(output["logits"][0])[found]
                    for output, found in zip(outputs, places, strict=True)
                ]
            )
            assert prediction.logits == ()
            kept = np.array(prediction.log_probabilities)
            np.testing.assert_allclose(kept, log_softmax(logits, axis=1), atol=1e-4)
        else:
            (output,) = outputs
            assert prediction.logits == pytest.approx(output["logits"][0].tolist(), abs=1e-4)
        assert json.dumps(prediction.model_dump(mode="json"), allow_nan=False)


def test_scores_cover_every_metric_and_every_sample(case: Case, run: TaskRun) -> None:
    predictions = predict(case, run)
    scored = run.score(predictions, [run.reference(row) for row in case.rows])
    metrics = case.task.spec.metrics_with(case.task_args)
    names = {metric.name for metric in metrics}
    assert set(scored.metrics) == set(scored.per_sample) == names
    assert set(scored.parts) == {metric.name for metric in metrics if metric.form != "mean"}
    for metric in metrics:
        values = scored.per_sample[metric.name]
        assert len(values) == len(case.rows)
        if metric.binary:
            assert set(values) <= {0.0, 1.0}
        points = scored.metrics[metric.name] * metric.scale
        if metric.form == "mean":
            assert all(0 <= value <= 1 for value in values)
            assert points == pytest.approx(100 * sum(values) / len(values))
        else:
            parts = scored.parts[metric.name]
            assert len(parts) == len(case.rows)
            assert points == pytest.approx(100 * metric_value(metric.form, parts))


def test_scoring_nothing_or_unequal_numbers_is_an_error(case: Case, run: TaskRun) -> None:
    predictions = predict(case, run)
    with pytest.raises(ValueError, match="nothing to score"):
        run.score([], [])
    with pytest.raises(ValueError, match="zip"):
        run.score(predictions, [run.reference(case.rows[0])])


@pytest.mark.parametrize("batch_size", [1, 3])
def test_dummy_inputs_are_like_encoded_ones(case: Case, run: TaskRun, batch_size: int) -> None:
    length = 20 if case.task.spec.uses_input_length else None
    dummy = run.dummy_inputs(batch_size, length, np.random.default_rng(0))
    (encoded, *_) = run.encode(case.rows[0])
    assert dummy.keys() == encoded.inputs.keys()
    for name, array in dummy.items():
        assert array.dtype == encoded.inputs[name].dtype
        assert array.shape[0] == batch_size
        assert array.ndim == encoded.inputs[name].ndim
        if length is not None:
            assert array.shape[1] == length


def test_dummy_inputs_depend_on_the_generator_alone(case: Case, run: TaskRun) -> None:
    length = 20 if case.task.spec.uses_input_length else None
    one, same, other = (
        run.dummy_inputs(2, length, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert any(not np.array_equal(one[name], other[name]) for name in one)


def test_unknown_arguments_are_refused(case: Case, model_dir: Path) -> None:
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        case.task.open(model_dir, {"surprise": 1}, case.data_keys, case.ref_keys, None)


def test_a_directory_without_the_files_of_the_task_is_refused(case: Case, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be loaded"):
        case.task.open(tmp_path, {}, case.data_keys, case.ref_keys, None)


def test_knowing_a_task_loads_no_model_library(case: Case) -> None:
    module = type(case.task).__module__
    code = f"import sys, {module}; print(sorted({{'torch', 'transformers'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
