"""Answers that lie across the edge of a window, worked out by hand.

32 tokens less 3 special ones and 4 of the question leave 25 of the context; 8 are shared. So the
windows over 60 tokens hold tokens 0 to 24, 17 to 41, 34 to 58 and 51 to 59.
"""

import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantbench.protocols import Array, Encoded
from quantbench.tasks.question_answering import TASK

LETTERS = string.ascii_lowercase[1:]  # each is a token
CONTEXT = " ".join(LETTERS[number % 25] for number in range(60))
ROW = {"question": "who built it?", "context": CONTEXT}

# First token, number of tokens, and in how many windows all of it lies.
CASES = (
    (0, 1, 1),
    (0, 25, 1),  # all of the first window
    (0, 26, 0),  # one more
    (1, 25, 0),
    (15, 10, 1),  # up to the last token of the first window
    (15, 11, 0),
    (16, 1, 1),
    (16, 9, 1),  # one more than is shared: still in the first window
    (16, 10, 0),  # begins before the second, ends behind the first
    (17, 1, 2),
    (17, 8, 2),  # just what two windows share
    (17, 9, 1),  # ends behind the first window
    (17, 25, 1),  # all of the second window
    (17, 26, 0),
    (18, 7, 2),
    (18, 8, 1),
    (20, 5, 2),
    (20, 6, 1),
    (23, 2, 2),
    (24, 1, 2),  # the last token of the first window
    (24, 2, 1),  # across its end
    (24, 18, 1),
    (24, 19, 0),
    (25, 1, 1),  # the first token behind it
    (33, 9, 1),
    (33, 10, 0),
    (34, 8, 2),
    (34, 25, 1),  # all of the third window
    (41, 1, 2),
    (41, 2, 1),
    (42, 17, 1),
    (50, 9, 1),
    (50, 10, 0),
    (51, 8, 2),
    (51, 9, 1),  # all of the last window
    (58, 1, 2),
    (58, 2, 1),
    (59, 1, 1),  # the last token of the context
)


def pointing(first: int, count: int, encoded: tuple[Encoded, ...]) -> list[dict[str, Array]]:
    """Outputs of 10 at the first and at the last token of the answer, wherever they stand."""

    def peaks(part: Encoded, end: int, place: int) -> Array:
        return np.array(
            [[10.0 if at is not None and at[end] == place else 0 for at in part.context]]
        )

    return [
        {
            "start_logits": peaks(part, 0, 2 * first),
            "end_logits": peaks(part, 1, 2 * (first + count) - 1),
        }
        for part in encoded
    ]


@pytest.mark.parametrize(("first", "count", "num_windows"), CASES)
def test_an_answer_is_found_if_a_window_holds_all_of_it(
    reader_dir: Path, first: int, count: int, num_windows: int
) -> None:
    args: dict[str, Any] = {"max_seq_length": 32, "doc_stride": 8}
    keys = {"question": "question", "context": "context"}
    run = TASK.open(reader_dir, args, keys, ("answers",), None)
    encoded = run.encode(ROW)
    outputs = pointing(first, count, encoded)
    both = [{float(each.max()) for each in output.values()} == {10.0} for output in outputs]
    assert (len(encoded), sum(both)) == (4, num_windows)
    found = run.decode(ROW, encoded, outputs)
    answer = CONTEXT[2 * first : 2 * (first + count) - 1]
    if num_windows:
        assert (found.answer, found.score) == (answer, 20.0)
    else:  # one end is seen, never both in one window
        assert found.score == 10.0
        assert found.answer != answer
