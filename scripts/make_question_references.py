"""Make the reference answers and scores of question answering that tests compare with.

transformers 5 has no `question-answering` pipeline, so an older one answers here; and the official
scripts of SQuAD, as TensorFlow's model garden distributes them, score. Both stay out of the
project's environment:

    pip install --target /tmp/former --no-deps NAME==VERSION ...
    pip install --target /tmp/former requests
    PYTHONPATH=/tmp/former python scripts/make_question_references.py

where names and versions are those of `VERSIONS` below (others are refused) and `python` is the one
of the project's environment, which has everything else. It writes
`tests/data/question_references.json`:

- `answers`: of the bundled model, per setup (`SETUPS`) a list of [row of the question, row of the
  context, answer], rows counted in the bundled validation split;
- `metrics`: what the official scripts print for these answers;
- `cases`: what they print for each of the cases in `tests/squad_cases.py`, in their order;
- `versions`: of what made them.

`tests/tasks/test_question_references.py` compares. Seeded by nothing: nothing is drawn. About a
minute on two cores.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "tests" / "data" / "question_references.json"
ASSETS = ROOT / "src" / "quantbench" / "demo" / "assets" / "questions"
VERSIONS = {
    "transformers": "4.57.6",
    "tokenizers": "0.22.2",
    "huggingface-hub": "0.36.2",
    "tf-models-official": "2.20.0",
    "absl-py": "2.5.1",
}
NUM_ROWS = 260
# Those of the demo; windows so short that most contexts need several; and these with every second
# question asked about a text that does not answer it, where no answer is an answer.
SETUPS: dict[str, dict[str, Any]] = {
    "long_windows": {"max_seq_length": 128, "doc_stride": 32, "version_2": False},
    "short_windows": {"max_seq_length": 64, "doc_stride": 16, "version_2": False},
    "no_answers": {"max_seq_length": 64, "doc_stride": 16, "version_2": True},
}
MAX_ANSWER_LENGTH = 30
# Of what `evaluate-v2.0.py` prints; the rest is about thresholds.
NAMES_2 = ("exact", "f1", "HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1")
# From a row to a context of another passage: each passage has fewer rows than that.
OTHER_CONTEXT = 101


def main() -> None:
    """Check the versions, answer, score, write."""
    found = {name: version(name) for name in VERSIONS}
    if found != VERSIONS:
        sys.exit(f"found {found}\nneeded {VERSIONS}: see the top of {Path(__file__).name}")
    lines = (ASSETS / "data" / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    answers = {name: answers_of_pipeline(rows, setup) for name, setup in SETUPS.items()}
    metrics = {
        name: official_metrics(
            [answer for _, _, answer in answers[name]],
            [references(rows, *pair[:2]) for pair in answers[name]],
            setup["version_2"],
        )
        for name, setup in SETUPS.items()
    }
    written = {
        "versions": found | {name: version(name) for name in ("torch", "numpy")},
        "setups": SETUPS,
        "max_answer_length": MAX_ANSWER_LENGTH,
        "metrics": metrics,
        "cases": official_cases(),
        "answers": answers,
    }
    text = json.dumps(written, ensure_ascii=False, separators=(",", ":"))
    OUTPUT.write_text(text.replace("],[", "],\n[") + "\n", encoding="utf-8")


def asked(setup: dict[str, Any]) -> list[tuple[int, int]]:
    """The rows of question and context of every sample of a setup."""
    return [
        (row, row + OTHER_CONTEXT if setup["version_2"] and row % 2 else row)
        for row in range(NUM_ROWS)
    ]


def references(rows: Sequence[dict[str, Any]], question: int, context: int) -> list[str]:
    """The right answers to a question about a context: none if that is another one's."""
    texts: list[str] = rows[question]["answers"]["text"]
    return texts if question == context else []


def answers_of_pipeline(
    rows: Sequence[dict[str, Any]], setup: dict[str, Any]
) -> list[tuple[int, int, str]]:
    """The pipeline's answers, at the token and not widened to whole words."""
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer, pipeline

    torch.set_num_threads(1)
    model_dir = ASSETS / "model"
    answer = pipeline(
        "question-answering",
        model=AutoModelForQuestionAnswering.from_pretrained(model_dir),
        tokenizer=AutoTokenizer.from_pretrained(model_dir),
        device="cpu",
    )
    found = []
    for question, context in asked(setup):
        given = answer(
            question=rows[question]["question"],
            context=rows[context]["context"],
            max_seq_len=setup["max_seq_length"],
            doc_stride=setup["doc_stride"],
            max_answer_len=MAX_ANSWER_LENGTH,
            handle_impossible_answer=setup["version_2"],
            align_to_words=False,
            top_k=1,
        )
        found.append((question, context, given["answer"]))
    return found


def official_metrics(
    answers: Sequence[str], wanted: Sequence[Sequence[str]], version_2: bool
) -> dict[str, float]:
    """What `evaluate-v1.1.py` or `evaluate-v2.0.py` prints of exact match and F1, in per cent."""
    questions = [
        {"id": str(number), "answers": [{"text": text} for text in texts]}
        for number, texts in enumerate(wanted)
    ]
    dataset = [{"paragraphs": [{"qas": questions}]}]
    predictions = {str(number): answer for number, answer in enumerate(answers)}
    if not version_2:  # the model garden's copy leaves them fractions, and renames F1
        script = importlib.import_module("official.nlp.tools.squad_evaluate_v1_1")
        printed = script.evaluate(dataset, predictions)
        return {"exact_match": 100 * printed["exact_match"], "f1": 100 * printed["final_f1"]}
    script = importlib.import_module("official.nlp.tools.squad_evaluate_v2_0")
    printed = script.evaluate(dataset, predictions)
    return {name: printed[name] for name in NAMES_2 if name in printed}


def official_cases() -> dict[str, list[dict[str, Any] | None]]:
    """Each case alone; None for version 1.1 where there are no references."""
    sys.path.insert(0, str(ROOT / "tests"))
    cases = importlib.import_module("squad_cases").CASES
    return {
        name: [
            None
            if not version_2 and case.version_1 is None
            else {"prediction": case.prediction}
            | official_metrics([case.prediction], [case.references], version_2)
            for case in cases
        ]
        for name, version_2 in (("version_1", False), ("version_2", True))
    }


if __name__ == "__main__":
    main()
