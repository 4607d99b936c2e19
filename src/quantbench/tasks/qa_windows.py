"""Cutting a long context into windows that overlap, each beside the whole question.

Source: `prepare_validation_features` of transformers' `run_qa` example, without its padding.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from quantbench.core.errors import UsageError
from quantbench.protocols import Array
from quantbench.tasks.spans import Offsets
from quantbench.tasks.tokenizer import Tokenizer, to_arrays

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Window:
    """One model input: int64 arrays [1, length], and where its tokens stand in the context."""

    inputs: dict[str, Array]
    offsets: Offsets


@dataclass(frozen=True)
class WindowSize:
    """Sizes in tokens: of a whole input, what two windows share, and the special tokens of one."""

    length: int
    overlap: int
    special: int


def window_size(tokenizer: Tokenizer, max_seq_length: int, doc_stride: int) -> WindowSize:
    """The size of windows for a model.

    Args:
        tokenizer: the model's.
        max_seq_length: tokens in a window, at most; a shorter limit of the model caps it.
        doc_stride: tokens that a window shares with the one before, as `run_qa` has it. (In
            Google's original BERT script a parameter of that name was the step instead.)

    Raises:
        UsageError: the overlap leaves no room to move on.
    """
    limit = tokenizer.max_length
    length = max_seq_length if limit is None else min(max_seq_length, limit)
    special = int(tokenizer.fast.num_special_tokens_to_add(pair=True))
    if doc_stride + 2 > length - special:
        capped = f" (the model's limit; {max_seq_length} was asked for)"
        raise UsageError(
            f"task_args.doc_stride = {doc_stride} is too large for windows of {length} tokens"
            + (capped if length < max_seq_length else ""),
            hint=f"{special} tokens are special, and question and new context need room: "
            f"try doc_stride: {max(length // 3, 0)}.",
        )
    return WindowSize(length=length, overlap=doc_stride, special=special)


def make_windows(
    tokenizer: Tokenizer, question: str, context: str, size: WindowSize
) -> tuple[Window, ...]:
    """Cut one row into windows, at least one, in the order of the context.

    White space before the question is dropped, as `run_qa` does. A question so long that a
    window would not get beyond its overlap is cut at the end, to half of what the overlap
    leaves; this is logged.
    """
    fast = tokenizer.fast
    question = _fitting_question(tokenizer, question.lstrip(), size)
    question_first = fast.padding_side == "right"
    encoding = fast(
        question if question_first else context,
        context if question_first else question,
        truncation="only_second" if question_first else "only_first",
        max_length=size.length,
        stride=size.overlap,
        padding=False,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_attention_mask=True,
        return_token_type_ids="token_type_ids" in tokenizer.input_names,
    )
    part = 1 if question_first else 0
    windows = []
    for index, offsets in enumerate(encoding["offset_mapping"]):
        parts = encoding.sequence_ids(index)
        inside = tuple(
            (int(offset[0]), int(offset[1])) if owner == part else None
            for offset, owner in zip(offsets, parts, strict=True)
        )
        windows.append(Window(to_arrays(encoding, index, tokenizer.input_names), inside))
    return tuple(windows)


def _fitting_question(tokenizer: Tokenizer, question: str, size: WindowSize) -> str:
    space = size.length - size.special
    offsets = _question_offsets(tokenizer, question)
    if len(offsets) < space - size.overlap:
        return question
    allowed = (space - size.overlap) // 2
    _logger.warning(
        "a question of %d tokens leaves no room for the context; only its first %d are used: %.60s",
        len(offsets),
        allowed,
        question,
    )
    cut = question
    # A word that is cut can become more tokens than before, so try until it fits.
    for keep in range(allowed, 0, -1):
        cut = question[: offsets[keep - 1][1]]
        if len(_question_offsets(tokenizer, cut)) <= allowed:
            return cut
    return ""


def _question_offsets(tokenizer: Tokenizer, question: str) -> list[tuple[int, int]]:
    encoding = tokenizer.fast(
        question, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    return [(int(start), int(end)) for start, end in encoding["offset_mapping"]]
