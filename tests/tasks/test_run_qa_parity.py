"""Predictions in PyTorch against those of transformers' `run_qa` example, for 270 questions.

transformers 5 has no `question-answering` pipeline any more, and its examples are not installed
with it: what `utils_qa.postprocess_qa_predictions` specifies is written down here anew, on features
that the tokenizer makes as `run_qa` asks it to.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantbench.core.results import Evaluation
from quantbench.protocols import SessionOptions
from quantbench.runtimes.pytorch import PyTorch
from quantbench.stages.evaluate import evaluate
from quantbench.tasks.question_answering import TASK
from squad_cases import official

LENGTH, STRIDE, N_BEST, MAX_ANSWER_LENGTH = 40, 10, 20, 30
AUTO_CLASS = "AutoModelForQuestionAnswering"
WORDS = (
    "river", "bridge", "town", "engineer", "named", "the", "a", "long", "wide", "stone", "built",
    "opened", "in", "1890s", "cafe", "Zürich", "unbelievable", "was", "by", "\u201cstone\u201d",
    "it", ",", ".", "\u2014", "e\u0301", "日本", "of", "and", "x9",
)  # fmt: skip


@pytest.fixture(scope="module")
def model_dir(reader_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader with random weights, large enough for logits that are far apart."""
    import torch
    from transformers import AutoConfig, AutoTokenizer, DistilBertForQuestionAnswering

    directory = tmp_path_factory.mktemp("answering")
    torch.manual_seed(0)
    model = DistilBertForQuestionAnswering(AutoConfig.from_pretrained(reader_dir))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    model.save_pretrained(directory)
    AutoTokenizer.from_pretrained(reader_dir).save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Contexts of one to eight windows; a fifth of the questions has no answer."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(270):
        words = rng.choice(WORDS, size=int(rng.integers(3, 150)))
        begin = int(rng.integers(0, len(words)))
        answers = [" ".join(words[begin : begin + 3])] if rng.random() < 0.8 else []
        question = "  " + " ".join(rng.choice(WORDS, size=int(rng.integers(2, 9)))) + " ?"
        context = " ".join(words)
        found.append({"question": question, "context": context, "answers": {"text": answers}})
    return found


@pytest.fixture(scope="module")
def reference(model_dir: Path, rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Per question its features with their logits, float32, as `run_qa` makes them unpadded."""
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModelForQuestionAnswering.from_pretrained(model_dir).eval()
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more only wait for each other in so small a model
    found = []
    for row in rows:
        encoding = tokenizer(
            row["question"].lstrip(),
            row["context"],
            truncation="only_second",
            max_length=LENGTH,
            stride=STRIDE,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        features = []
        for number, ids in enumerate(encoding["input_ids"]):
            with torch.inference_mode():
                output = model(
                    input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)).long()
                )
            owners = encoding.sequence_ids(number)
            offsets = encoding["offset_mapping"][number]
            features.append(
                {
                    "offset_mapping": [
                        at if owner == 1 else None
                        for at, owner in zip(offsets, owners, strict=True)
                    ],
                    "start": output.start_logits[0].numpy(),
                    "end": output.end_logits[0].numpy(),
                }
            )
        found.append(features)
    torch.set_num_threads(num_threads)
    return found


def candidates(features: Sequence[Mapping[str, Any]], context: str) -> list[tuple[float, str]]:
    """Score and text of every span that may be an answer, best first."""
    found = []
    for feature in features:
        starts = feature["start"].argsort()[::-1][:N_BEST]
        ends = feature["end"].argsort()[::-1][:N_BEST]
        places = feature["offset_mapping"]
        for i in starts:
            for j in ends:
                if places[i] is None or places[j] is None:
                    continue
                if j < i or j - i + 1 > MAX_ANSWER_LENGTH:
                    continue
                text = context[places[i][0] : places[j][1]]
                found.append((float(feature["start"][i] + feature["end"][j]), text))
    return sorted(found, key=lambda item: item[0], reverse=True)


def no_answer_score(features: Sequence[Mapping[str, Any]]) -> float:
    return min(float(feature["start"][0] + feature["end"][0]) for feature in features)


def best_text(features: Sequence[Mapping[str, Any]], context: str) -> str:
    """SQuAD v1.1."""
    return candidates(features, context)[0][1]


def best_not_empty(features: Sequence[Mapping[str, Any]], context: str) -> str:
    """SQuAD v2, where it is not beaten by no answer."""
    return next(text for _, text in candidates(features, context) if text)


def score_diff(features: Sequence[Mapping[str, Any]], context: str) -> float:
    """SQuAD v2: by how much no answer scores higher than the best text that is not empty."""
    null = no_answer_score(features)
    ranked = sorted([*candidates(features, context), (null, "")], key=lambda x: x[0], reverse=True)
    return null - next(score for score, text in ranked[:N_BEST] if text)


def ours(model_dir: Path, rows: list[dict[str, Any]], **task_args: Any) -> Evaluation:
    args = {"max_seq_length": LENGTH, "doc_stride": STRIDE, **task_args}
    keys = {"question": "question", "context": "context"}
    run = TASK.open(model_dir, args, keys, ("answers",), None)
    session = PyTorch().open(model_dir, SessionOptions(num_threads=1, auto_class=AUTO_CLASS))
    names = [metric.name for metric in TASK.spec.metrics_with(args)]
    ids = [str(number) for number in range(len(rows))]
    try:
        return evaluate(session, run, rows, ids, names, None, lambda _: None)
    finally:
        session.close()


def test_most_contexts_are_longer_than_a_window(reference: list[list[dict[str, Any]]]) -> None:
    assert sum(len(features) > 1 for features in reference) > 160
    assert max(len(features) for features in reference) > 6


def test_version_1_answers_as_run_qa(
    model_dir: Path, rows: list[dict[str, Any]], reference: list[list[dict[str, Any]]]
) -> None:
    pairs = [
        (row, features)
        for row, features in zip(rows, reference, strict=True)
        if row["answers"]["text"]
    ]
    answerable = [row for row, _ in pairs]
    found = ours(model_dir, answerable)
    expected = [best_text(features, row["context"]) for row, features in pairs]
    assert [each.answer for each in found.predictions] == expected
    texts = [row["answers"]["text"] for row in answerable]
    assert found.metrics == pytest.approx(official(expected, texts, version=1), abs=1e-9)


def test_both_versions_are_asked_200_questions_and_more(rows: list[dict[str, Any]]) -> None:
    assert 200 <= sum(bool(row["answers"]["text"]) for row in rows) < len(rows)


@pytest.mark.parametrize("part", [None, 0.5])
def test_version_2_answers_as_run_qa(
    model_dir: Path,
    rows: list[dict[str, Any]],
    reference: list[list[dict[str, Any]]],
    part: float | None,
) -> None:
    """At the default threshold, and at the one where half of the questions are answered."""
    contexts = [row["context"] for row in rows]
    differences = list(map(score_diff, reference, contexts))
    args: dict[str, Any] = {"version_2": True}
    threshold = 0.0
    if part is not None:
        # Between two of the differences, so that rounding decides nothing.
        middle = sorted(differences)[int(part * len(rows)) :][:2]
        threshold = args["null_score_diff_threshold"] = math.fsum(middle) / 2
    expected = [
        "" if difference > threshold else best_not_empty(features, context)
        for features, context, difference in zip(reference, contexts, differences, strict=True)
    ]
    found = ours(model_dir, rows, **args)
    assert [each.answer for each in found.predictions] == expected
    if part is not None:
        assert sum(bool(text) for text in expected) == int(part * len(rows)) + 1
    texts = [row["answers"]["text"] for row in rows]
    scores = official(expected, texts, version=2)
    scores["exact_match"] = scores.pop("exact")
    assert found.metrics == pytest.approx(scores, abs=1e-9)
