"""The extractive question-answering model: vocabulary, windows, training, evaluation."""

from __future__ import annotations

import collections
import math
import re
import string
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import BertWordPieceTokenizer
from torch.nn.functional import cross_entropy
from transformers import (
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    DistilBertTokenizerFast,
    PreTrainedTokenizerFast,
)

from demo_assets.questions import SLOTS, Draw, Length, generate_rows

Row = dict[str, Any]
Model = Any  # one of transformers' ...ForQuestionAnswering

MAX_LENGTH = 128
DOC_STRIDE = 40
MAX_ANSWER_LENGTH = 30
VOCABULARY_SIZE = 2_600
POSITIONS = 384
NO_LABEL = -100  # what cross_entropy skips


@dataclass(frozen=True)
class Phase:
    """A stretch of training; short passages first, because matching names is learned there."""

    batches: int
    lengths: dict[Length, float]


@dataclass(frozen=True)
class Training:
    """How a model is trained.

    A third of the passages is cut into windows of `whole` tokens instead of `MAX_LENGTH`.
    """

    phases: tuple[Phase, ...]
    learning_rate: float
    warmup_batches: int
    whole: int
    tokens_per_batch: int = 3_000

    @property
    def num_batches(self) -> int:
        """Of all phases."""
        return sum(phase.batches for phase in self.phases)


MIXED: dict[Length, float] = {"short": 0.1, "usual": 0.83, "long": 0.07}
FROM_SCRATCH = Training(
    phases=(Phase(500, {"short": 1.0}), Phase(4000, MIXED)),
    learning_rate=1e-3,
    warmup_batches=200,
    whole=POSITIONS,  # so that positions up to the last one are trained
)


@dataclass(frozen=True)
class Window:
    """One tokenized piece of a row; `start` and `end` are 0 ([CLS]) if the answer is elsewhere."""

    row: int
    input_ids: list[int]
    token_types: list[int] | None  # None if the tokenizer gives none
    offsets: list[tuple[int, int] | None]  # None outside the context
    start: int
    end: int
    slots: list[int]  # by token, see `label_tokens`
    relevant: list[int]


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Train a lowercase WordPiece vocabulary; rare and unseen names fall into pieces."""
    trainer = BertWordPieceTokenizer(lowercase=True)
    trainer.train_from_iterator(texts, vocab_size=VOCABULARY_SIZE, show_progress=False)
    # Sorted by id: the order of equal counts must not depend on a hash map.
    vocabulary = dict(sorted(trainer.get_vocab().items(), key=lambda item: item[1]))
    return DistilBertTokenizerFast(vocab=vocabulary, do_lower_case=True, model_max_length=POSITIONS)


def label_tokens(row: Row, offsets: list[tuple[int, int] | None]) -> tuple[list[int], list[int]]:
    """For each token: which slot it belongs to, and whether the question is about its fact.

    The [CLS] token is labelled with the slot that is asked for. Rows read from a file have no
    labels; they are not trained on.
    """
    slots, relevant = [NO_LABEL] * len(offsets), [NO_LABEL] * len(offsets)
    if "hints" in row:
        slots[0] = SLOTS.index(row["asked"])
        for hint in row["hints"]:
            for i, span in enumerate(offsets):
                if span and hint.start <= span[0] and span[1] <= hint.end:
                    slots[i], relevant[i] = SLOTS.index(hint.slot), int(hint.relevant)
    return slots, relevant


def make_windows(
    tokenizer: PreTrainedTokenizerFast, rows: list[Row], max_length: int, stride: int
) -> list[Window]:
    """Cut each row into overlapping windows of at most `max_length` tokens."""
    encoding = tokenizer(
        [row["question"] for row in rows],
        [row["context"] for row in rows],
        truncation="only_second",
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    windows = []
    for index, row_index in enumerate(encoding["overflow_to_sample_mapping"]):
        parts = encoding.sequence_ids(index)
        offsets = [
            tuple(span) if part == 1 else None
            for span, part in zip(encoding["offset_mapping"][index], parts, strict=True)
        ]
        answers = rows[row_index]["answers"]
        begin = answers["answer_start"][0]
        finish = begin + len(answers["text"][0])
        starts = [i for i, span in enumerate(offsets) if span and span[0] == begin]
        ends = [i for i, span in enumerate(offsets) if span and span[1] == finish]
        start, end = (starts[0], ends[0]) if starts and ends else (0, 0)
        slots, relevant = label_tokens(rows[row_index], offsets)
        ids = encoding["input_ids"][index]
        types = encoding["token_type_ids"][index] if "token_type_ids" in encoding else None
        windows.append(Window(row_index, ids, types, offsets, start, end, slots, relevant))
    return windows


def make_batches(windows: list[Window], tokens: int) -> list[list[Window]]:
    """Group windows of similar length, about `tokens` tokens in each batch."""
    batches: list[list[Window]] = []
    batch: list[Window] = []
    for window in sorted(windows, key=lambda window: len(window.input_ids)):
        if batch and (len(batch) + 1) * len(window.input_ids) > tokens:
            batches.append(batch)
            batch = []
        batch.append(window)
    return [*batches, batch]


def stack(lists: list[list[int]], fill: int) -> torch.Tensor:
    """Pad lists to the longest one."""
    longest = max(map(len, lists))
    return torch.tensor([values + [fill] * (longest - len(values)) for values in lists])


def to_tensors(batch: list[Window], pad: int) -> dict[str, torch.Tensor]:
    """Make the inputs of the model."""
    mask = [[1] * len(window.input_ids) for window in batch]
    inputs = {
        "input_ids": stack([window.input_ids for window in batch], pad),
        "attention_mask": stack(mask, 0),
    }
    types = [window.token_types for window in batch if window.token_types is not None]
    return inputs | ({"token_type_ids": stack(types, 0)} if types else {})


def training_batches(
    tokenizer: PreTrainedTokenizerFast, draw: Draw, training: Training
) -> Iterator[list[Window]]:
    """Fresh passages for every batch: nothing is seen twice, so nothing is memorised."""
    for phase in training.phases:
        left = phase.batches
        while left:
            rows = generate_rows(draw, 2_000, phase.lengths)
            whole = [i for i in range(len(rows)) if i % 3 == 0]
            split = [i for i in range(len(rows)) if i % 3]
            windows = make_windows(tokenizer, [rows[i] for i in whole], training.whole, DOC_STRIDE)
            windows += make_windows(tokenizer, [rows[i] for i in split], MAX_LENGTH, DOC_STRIDE)
            batches = make_batches(windows, training.tokens_per_batch)
            draw.rng.shuffle(batches)
            yield from batches[:left]
            left -= min(left, len(batches))


def schedule(step: int, warmup: int, total: int) -> float:
    """Linear warm-up, then a cosine down to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


@torch.no_grad()
def prepare_matching(model: DistilBertForQuestionAnswering) -> None:
    """Let attention start out between equal tokens and between neighbours.

    Answering means finding the names of the question in the passage. From the usual start, that
    takes far longer to learn than everything else. Equal query and key projections give equal
    vectors a high attention score from the first step, and sinusoidal positions, trained from
    then on, make neighbouring positions similar.
    """
    table = model.distilbert.embeddings.position_embeddings.weight
    positions = torch.arange(table.shape[0])[:, None]
    angles = positions / 1000 ** (torch.arange(0, table.shape[1], 2) / table.shape[1])
    table.copy_(0.06 * torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1))
    for layer in model.distilbert.transformer.layer:
        layer.attention.k_lin.weight.copy_(layer.attention.q_lin.weight)


def new_model(tokenizer: PreTrainedTokenizerFast) -> DistilBertForQuestionAnswering:
    """A small model that knows nothing yet."""
    config = DistilBertConfig(
        vocab_size=len(tokenizer),
        dim=160,
        hidden_dim=640,
        n_layers=4,
        n_heads=5,
        max_position_embeddings=POSITIONS,
        dropout=0.0,  # the stream never repeats, so there is nothing to regularise
        attention_dropout=0.0,
        qa_dropout=0.0,
        initializer_range=0.08,  # about 1 / sqrt(dim); the default is meant for dim 768
        pad_token_id=tokenizer.pad_token_id,
    )
    model = DistilBertForQuestionAnswering(config)
    prepare_matching(model)
    return model


def train(
    model: Model, tokenizer: PreTrainedTokenizerFast, draw: Draw, training: Training
) -> Model:
    """Train a model for question answering on passages of the training split."""
    config = model.train().config
    # Two more tasks on the layer before the last, which give every value of a passage a label
    # and so teach far more per passage than the answer alone. Their head is thrown away.
    hint_heads = torch.nn.Linear(config.hidden_size, len(SLOTS) + 2)
    parameters = [*model.parameters(), *hint_heads.parameters()]
    total, warmup = training.num_batches, training.warmup_batches
    optimizer = torch.optim.AdamW(parameters, training.learning_rate, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: schedule(step, warmup, total)
    )
    every = max(1, min(100, total // 10))
    began, losses = time.monotonic(), collections.deque[float](maxlen=every)
    for step, batch in enumerate(training_batches(tokenizer, draw, training), start=1):
        output = model(
            **to_tensors(batch, config.pad_token_id),
            start_positions=torch.tensor([window.start for window in batch]),
            end_positions=torch.tensor([window.end for window in batch]),
            output_hidden_states=True,
        )
        hints = hint_heads(output.hidden_states[-2])
        slots = stack([window.slots for window in batch], NO_LABEL)
        relevant = stack([window.relevant for window in batch], NO_LABEL)
        loss = (
            output.loss
            + cross_entropy(hints[..., : len(SLOTS)].flatten(0, 1), slots.flatten())
            + cross_entropy(hints[..., len(SLOTS) :].flatten(0, 1), relevant.flatten())
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        scheduler.step()
        losses.append(output.loss.item())
        if step % every == 0:
            seconds = time.monotonic() - began
            print(
                f"  batch {step}/{total}  loss {np.mean(losses):.3f}  {seconds:.0f} s", flush=True
            )
    return model.eval()


# --- evaluation ------------------------------------------------------------------------------


def normalize(text: str) -> str:
    """SQuAD v1.1: lower case, no punctuation, no articles, single spaces."""
    text = "".join(char for char in text.lower() if char not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def f1(prediction: str, answer: str) -> float:
    """F1 over the words of two texts, as in SQuAD v1.1."""
    predicted, expected = normalize(prediction).split(), normalize(answer).split()
    common = sum((collections.Counter(predicted) & collections.Counter(expected)).values())
    return 2 * common / (len(predicted) + len(expected)) if common else 0.0


def best_span(window: Window, start: np.ndarray, end: np.ndarray) -> tuple[float, int, int]:
    """The best-scoring span of at most MAX_ANSWER_LENGTH tokens that lies within the context."""
    best = (-math.inf, 0, 0)
    inside = [i for i, span in enumerate(window.offsets) if span is not None]
    for i in sorted(inside, key=lambda i: -start[i])[:20]:
        for j in range(i, min(i + MAX_ANSWER_LENGTH, inside[-1] + 1)):
            best = max(best, (float(start[i] + end[j]), i, j))
    return best


@torch.no_grad()
def predict(
    model: Model,
    tokenizer: PreTrainedTokenizerFast,
    rows: list[Row],
    max_length: int = MAX_LENGTH,
) -> list[str]:
    """The text of the best span over all windows of each row."""
    best: dict[int, tuple[float, str]] = {}
    windows = make_windows(tokenizer, rows, max_length, DOC_STRIDE)
    for batch in make_batches(windows, 8_000):
        output = model(**to_tensors(batch, tokenizer.pad_token_id))
        starts, ends = output.start_logits.numpy(), output.end_logits.numpy()
        for window, start, end in zip(batch, starts, ends, strict=True):
            score, i, j = best_span(window, start, end)
            first, last = window.offsets[i], window.offsets[j]
            text = rows[window.row]["context"][first[0] : last[1]] if first and last else ""
            best[window.row] = max(best.get(window.row, (-math.inf, "")), (score, text))
    return [best[index][1] for index in range(len(rows))]


def evaluate(predictions: list[str], rows: list[Row]) -> dict[str, float]:
    """Exact match and F1 in per cent; each row counts its best acceptable answer."""
    exact = [
        max(float(normalize(text) == normalize(a)) for a in row["answers"]["text"])
        for text, row in zip(predictions, rows, strict=True)
    ]
    overlap = [
        max(f1(text, answer) for answer in row["answers"]["text"])
        for text, row in zip(predictions, rows, strict=True)
    ]
    return {"exact_match": 100 * float(np.mean(exact)), "f1": 100 * float(np.mean(overlap))}
