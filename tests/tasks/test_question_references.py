"""Answers and scores against those that an older transformers and the official scripts gave.

`scripts/make_question_references.py` made the reference, and says how. In one window the
pipeline's rule is that of `run_qa` with every token a candidate. Of several windows the pipeline
compares probabilities, each divided by the sum over its own window, where `run_qa` and this project
compare logits; and it adds up those of equal texts. Where this leads to other answers, the samples
are named in `DIFFERENT`, and the pipeline's answer must follow from our logits by its rule.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantbench.core.results import Prediction
from quantbench.data.bundled import bundled_directory
from quantbench.protocols import Encoded, Outputs, SessionOptions
from quantbench.runtimes.pytorch import RUNTIME
from quantbench.tasks.question_answering import TASK
from quantbench.tasks.squad_scores import score_version_1, score_version_2
from squad_cases import CASES

REFERENCE: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "question_references.json").read_text(encoding="utf-8")
)
SETUPS: list[str] = list(REFERENCE["setups"])
DIRECTORY = bundled_directory("bundled:questions", "model_name_or_path")
# By setup, the numbers of the samples that have another answer, for the reason above.
DIFFERENT = {
    "long_windows": {198},
    "short_windows": {28, 35, 45, 54, 78, 107, 115, 146, 160, 161, 170, 174, 178, 188, 244, 247},
    "no_answers": {28, 45, 54, 78, 146, 160, 170, 174, 178, 188, 244},
}


@dataclass(frozen=True)
class Answered:
    """A sample with what the pipeline and this project make of it."""

    context: str
    references: list[str]
    theirs: str
    ours: Prediction
    encoded: Sequence[Encoded]
    outputs: Sequence[Outputs]


def answered(setup: str) -> list[Answered]:
    lines = (DIRECTORY / "data" / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    args = REFERENCE["setups"][setup] | {"n_best": 512}  # every token, as in the pipeline
    assert REFERENCE["max_answer_length"] == 30  # the default here too
    keys = {"question": "question", "context": "context"}
    run = TASK.open(DIRECTORY / "model", args, keys, ("answers",), None)
    options = SessionOptions(num_threads=1, auto_class=TASK.spec.auto_class)
    session = RUNTIME.open(DIRECTORY / "model", options)
    found = []
    for question, context, theirs in REFERENCE["answers"][setup]:
        row = {"question": rows[question]["question"], "context": rows[context]["context"]}
        texts = rows[question]["answers"]["text"] if question == context else []
        encoded = run.encode(row)
        outputs = [dict(session.bind(part.inputs)()) for part in encoded]
        ours = run.decode(row, encoded, outputs)
        found.append(Answered(row["context"], texts, theirs, ours, encoded, outputs))
    session.close()
    return found


@pytest.fixture(scope="module", params=SETUPS)
def setup(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def samples(setup: str) -> list[Answered]:
    return answered(setup)


def by_probability(sample: Answered, version_2: bool) -> str:
    """The pipeline's rule on our logits."""
    total: dict[str, float] = {}
    null = np.inf
    for part, output in zip(sample.encoded, sample.outputs, strict=True):
        inside = [place is not None for place in part.context]
        inside[0] = True  # [CLS] takes part in the sum
        start, end = (
            softmax(np.where(inside, output[name][0].astype(np.float64), -10000.0))
            for name in ("start_logits", "end_logits")
        )
        null = min(null, start[0] * end[0])
        start[0] = end[0] = 0.0
        pairs = np.triu(np.outer(start, end))  # no end before its start
        pairs = np.tril(pairs, REFERENCE["max_answer_length"] - 1)
        first, last = np.unravel_index(pairs.argmax(), pairs.shape)
        begin, finish = part.context[first], part.context[last]
        assert begin is not None
        assert finish is not None
        text = sample.context[begin[0] : finish[1]]
        same = next((known for known in total if known.lower() == text.lower()), text)
        total[same] = total.get(same, 0.0) + float(pairs[first, last])
    if version_2:
        total[""] = float(null)
    return max(total, key=total.__getitem__)


def softmax(logits: Any) -> Any:
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def test_there_are_samples_enough_of_every_kind() -> None:
    assert set(SETUPS) == {"long_windows", "short_windows", "no_answers"}
    for setup in SETUPS:
        assert len(REFERENCE["answers"][setup]) >= 200
    empty = [answer == "" for _, _, answer in REFERENCE["answers"]["no_answers"]]
    assert 0 < sum(empty) < len(empty)


def test_answers_are_those_of_the_pipeline_but_for_the_samples_named(
    setup: str, samples: list[Answered]
) -> None:
    different = {n for n, sample in enumerate(samples) if sample.ours.answer != sample.theirs}
    assert different == DIFFERENT[setup]
    # Where there is nothing to compare between windows, none may differ.
    assert all(len(samples[n].encoded) > 1 for n in different)


def test_all_of_the_pipelines_answers_follow_from_our_logits_by_its_rule(
    setup: str, samples: list[Answered]
) -> None:
    version_2 = REFERENCE["setups"][setup]["version_2"]
    assert [by_probability(sample, version_2) for sample in samples] == [
        sample.theirs for sample in samples
    ]


def test_there_are_samples_of_one_window_and_of_several(
    setup: str, samples: list[Answered]
) -> None:
    several = sum(len(sample.encoded) > 1 for sample in samples)
    assert several >= (20 if setup == "long_windows" else 100)
    assert setup != "long_windows" or len(samples) - several >= 200


def test_the_pipelines_answers_score_as_the_official_scripts_print(
    setup: str, samples: list[Answered]
) -> None:
    expected = official(REFERENCE["metrics"][setup])
    score = score_version_2 if REFERENCE["setups"][setup]["version_2"] else score_version_1
    found = score(
        [sample.theirs for sample in samples], [sample.references for sample in samples]
    ).metrics
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("version", [1, 2])
def test_awkward_answers_score_as_the_official_scripts_print(version: int) -> None:
    printed = REFERENCE["cases"][f"version_{version}"]
    assert len(printed) == len(CASES)
    num_compared = 0
    for case, expected in zip(CASES, printed, strict=True):
        if expected is None:
            assert version == 1
            assert not case.references
            continue
        assert expected["prediction"] == case.prediction
        score = score_version_2 if version == 2 else score_version_1
        found = score([case.prediction], [case.references]).metrics
        wanted = official({k: v for k, v in expected.items() if k != "prediction"})
        # The script leaves out the kind of question that there is none of; ours is 0 there.
        assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-9)
        num_compared += 1
    assert num_compared >= 50


def official(printed: Mapping[str, float]) -> dict[str, float]:
    """The names of version 1.1, which `evaluate-v2.0.py` calls `exact`."""
    return {"exact_match" if name == "exact" else name: value for name, value in printed.items()}
