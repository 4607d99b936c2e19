"""Cutting a list of words into model inputs, and where in them each word begins.

Source: `tokenize_and_align_labels` of transformers' `run_ner` example: a word is read at its first
sub-token. What that example cuts off behind the model's limit becomes further windows here.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quantbench.core.errors import UsageError
from quantbench.protocols import Array
from quantbench.tasks.tokenizer import Tokenizer, to_arrays

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WordWindow:
    """One model input: int64 arrays [1, length], and where its words begin in it.

    `first_tokens` has the place of the first sub-token of each word, None for a word without one.
    """

    inputs: dict[str, Array]
    first_tokens: tuple[int | None, ...]


@dataclass(frozen=True)
class WordTokenizer:
    """A tokenizer for lists of words.

    `joint` is put before each word so that it becomes the tokens that it is in a running text.
    `max_length` is the number of tokens of an input, special ones included, None without a limit;
    `special` that of the special ones.
    """

    tokenizer: Tokenizer
    joint: str
    max_length: int | None
    special: int


def word_tokenizer(tokenizer: Tokenizer, max_length: int | None) -> WordTokenizer:
    """Find out how words must be given to a tokenizer.

    Those of RoBERTa, GPT-2 and the like mark the blank before a word in its first token, and add
    none to the words of a list: they are given the blank here, which is what their option
    `add_prefix_space` does and `run_ner` sets.

    Args:
        tokenizer: the model's. Its side of truncation is set to the right: of a word that is
            longer than an input the beginning is kept.
        max_length: tokens of an input, None without a limit.

    Raises:
        UsageError: the tokenizer takes words apart in a list in another way than in a text, or
            an input has no room for a word.
    """
    fast = tokenizer.fast
    fast.truncation_side = "right"
    joint = next((joint for joint in ("", " ") if _is_as_in_a_text(fast, joint)), None)
    if joint is None:
        raise UsageError(
            f"the tokenizer ({type(fast).__name__}) does not take lists of words: their tokens are "
            "others than in a text",
            hint="Save one that does: AutoTokenizer.from_pretrained(..., add_prefix_space=True).",
        )
    special = int(fast.num_special_tokens_to_add(pair=False))
    if max_length is not None and max_length <= special:
        raise UsageError(
            f"inputs of {max_length} tokens have no room for a word: {special} tokens are special",
            hint="Raise task_args.max_seq_length, or leave it out.",
        )
    return WordTokenizer(tokenizer, joint, max_length, special)


def make_windows(tokenizer: WordTokenizer, words: Sequence[str]) -> tuple[WordWindow, ...]:
    """Cut a sentence into windows at the borders of words, in their order; one if it fits.

    Each window takes the words that fit, so the first one is what `run_ner` would see. Windows do
    not overlap: words at a border see the context on one side only. A word that alone is longer
    than an input loses its end; this is logged.

    Args:
        tokenizer: for lists of words.
        words: at least one.
    """
    given = [f"{tokenizer.joint}{word}" if _needs_joint(word) else word for word in words]
    if tokenizer.max_length is None:
        return (_window(tokenizer, given),)
    counts = _tokens_per_word(tokenizer.tokenizer.fast, given)
    room = tokenizer.max_length - tokenizer.special
    windows: list[WordWindow] = []
    start = 0
    while start < len(given):
        end = start + num_fitting(counts[start:], room)
        window = _window(tokenizer, given[start:end])
        # Words that became more tokens than in the whole sentence, at the beginning of an input.
        while end > start + 1 and _is_cut(window, counts[start:end]):
            end -= 1
            window = _window(tokenizer, given[start:end])
        windows.append(window)
        if sum(counts[start:end]) > room:
            _logger.warning(
                "a word of %d tokens is longer than an input of %d: its end is cut off: %.60s",
                sum(counts[start:end]),
                tokenizer.max_length,
                "".join(words[start:end]),
            )
        start = end
    return tuple(windows)


def num_fitting(counts: Sequence[int], room: int) -> int:
    """How many of the first words have room together: all up to one that would be too much.

    The first word with tokens always counts as fitting, and words without tokens always fit, so
    that no input is without a token as long as there are any.

    Args:
        counts: tokens of each word.
        room: tokens.
    """
    total = 0
    for place, count in enumerate(counts):
        total += count
        if total > room and 0 < count < total:
            return place
    return len(counts)


def _window(tokenizer: WordTokenizer, words: Sequence[str]) -> WordWindow:
    names = tokenizer.tokenizer.input_names
    encoding = tokenizer.tokenizer.fast(
        [list(words)],
        is_split_into_words=True,
        truncation=tokenizer.max_length is not None,
        max_length=tokenizer.max_length,
        padding=False,
        return_attention_mask=True,
        return_token_type_ids="token_type_ids" in names,
    )
    first: dict[int, int] = {}
    for place, word in enumerate(encoding.word_ids(0)):
        if word is not None:
            first.setdefault(word, place)
    return WordWindow(
        to_arrays(encoding, 0, names), tuple(first.get(number) for number in range(len(words)))
    )


def _is_cut(window: WordWindow, counts: Sequence[int]) -> bool:
    places = zip(window.first_tokens, counts, strict=True)
    return any(place is None and count > 0 for place, count in places)


def _tokens_per_word(fast: Any, words: Sequence[str]) -> list[int]:
    encoding = fast(
        [list(words)], is_split_into_words=True, add_special_tokens=False, verbose=False
    )
    counts = Counter(encoding.word_ids(0))
    return [counts[number] for number in range(len(words))]


def _needs_joint(word: str) -> bool:
    """Not a word that would become a token by the blank alone, or has one."""
    return word != "" and not word.startswith(" ")


def _is_as_in_a_text(fast: Any, joint: str) -> bool:
    """Whether the second word of a list becomes the tokens that it is in a text."""
    words = ["a", "b"]
    encoding = fast(
        [[f"{joint}{word}" for word in words]], is_split_into_words=True, add_special_tokens=False
    )
    text = fast(" ".join(words), add_special_tokens=False, return_offsets_mapping=True)
    listed = [
        token
        for token, word in zip(encoding["input_ids"][0], encoding.word_ids(0), strict=True)
        if word == 1
    ]
    written = [
        token
        for token, (start, _) in zip(text["input_ids"], text["offset_mapping"], strict=True)
        if start >= 1
    ]
    return listed == written
