"""Contexts of thousands of tokens: many windows, each run alone."""

import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantbench.core.results import Prediction
from quantbench.protocols import Array, Forward
from quantbench.stages.evaluate import evaluate
from quantbench.tasks.question_answering import TASK, QuestionAnsweringRun

FILLER = "the river is long . "
NEEDLE = "engineer named stone"


@pytest.fixture
def run(reader_dir: Path) -> QuestionAnsweringRun:
    keys = {"question": "question", "context": "context"}
    args = {"max_seq_length": 48, "doc_stride": 12}
    return TASK.open(reader_dir, args, keys, ("answers",), None)


def row(before: int, after: int) -> dict[str, Any]:
    """A context with the answer behind `before` sentences of five tokens."""
    context = FILLER * before + f"{NEEDLE} built it . " + FILLER * after
    return {"question": "who built it ?", "context": context, "answers": [NEEDLE]}


class Finder:
    """A session that points at the needle's first and last word, wherever they stand together."""

    def __init__(self, run: QuestionAnsweringRun) -> None:
        self.words = [run.tokenizer.fast.convert_tokens_to_ids(word) for word in NEEDLE.split()]
        self.shapes: list[tuple[int, ...]] = []

    def bind(self, inputs: Mapping[str, Array]) -> Forward:
        tokens = inputs["input_ids"]
        self.shapes.append(tokens.shape)
        ids = list(tokens[0])
        starts, ends = np.zeros((2, *tokens.shape), dtype=np.float32)
        for place in range(len(ids) - 2):
            if ids[place : place + 3] == self.words:
                starts[0, place] = ends[0, place + 2] = 5.0
        return lambda: {"start_logits": starts, "end_logits": ends}

    def verified_num_threads(self) -> int:
        return 1

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("before", "after"), [(0, 1000), (500, 500), (997, 0), (1000, 0)])
def test_the_answer_is_found_in_5000_tokens(
    run: QuestionAnsweringRun, before: int, after: int
) -> None:
    session, sample = Finder(run), row(before, after)
    found = evaluate(session, run, [sample], ["0"], ["exact_match", "f1"], None, lambda _: None)
    assert found.predictions == (Prediction(answer=NEEDLE, score=10.0),)
    assert found.metrics == {"exact_match": 100.0, "f1": 100.0}
    # 48 tokens less 3 special, 4 of the question and 12 shared leave 29 new ones.
    assert len(session.shapes) == pytest.approx(5000 / 29, abs=2)
    assert {batch for batch, _ in session.shapes} == {1}
    assert max(length for _, length in session.shapes) == 48


def test_memory_is_that_of_the_tokens_and_nothing_piles_up(run: QuestionAnsweringRun) -> None:
    def peak(num_rows: int, sentences: int) -> int:
        rows = (row(sentences // 2, sentences // 2) for _ in range(num_rows))
        ids = [str(number) for number in range(num_rows)]
        tracemalloc.start()
        evaluate(Finder(run), run, rows, ids, ["f1"], None, lambda _: None)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(1, 10)
    short, long, few, many = peak(1, 250), peak(1, 1000), peak(3, 1000), peak(12, 1000)
    assert long < 6 * short  # of four times the tokens
    assert many < 1.1 * few
    assert long < 4_000_000
