"""Training and measuring a classifier of texts."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from minilm.docstrings import Docstring

MAX_LENGTH = 64
BATCH_SIZE = 32
LEARNING_RATE = 1e-4
WEIGHT_DECAY = 0.01
WARMUP_SHARE = 0.1


@dataclass(frozen=True)
class Encoder:
    """Texts and classes as tensors; `classes` are the names in the order of their numbers."""

    tokenizer: Any
    classes: tuple[str, ...]

    def inputs(self, rows: Sequence[Docstring]) -> dict[str, torch.Tensor]:
        """What the model reads: int64 [rows, longest], cut at `MAX_LENGTH` tokens."""
        texts = [row.text for row in rows]
        encoded = self.tokenizer(
            texts, truncation=True, max_length=MAX_LENGTH, padding=True, return_tensors="pt"
        )
        return dict(encoded)

    def labels(self, rows: Sequence[Docstring]) -> torch.Tensor:
        """The numbers of their classes: int64 [rows]."""
        return torch.tensor([self.classes.index(row.topic) for row in rows])


def batches(rows: Sequence[Docstring], seed: int) -> Iterator[list[Docstring]]:
    """All rows in a new order again and again, `BATCH_SIZE` at a time; a rest is left out."""
    rng = random.Random(seed)  # noqa: S311 (nothing secret)
    size = min(BATCH_SIZE, len(rows))
    while True:
        order = rng.sample(rows, len(rows))
        for start in range(0, len(order) - size + 1, size):
            yield order[start : start + size]


def schedule(step: int, total: int) -> float:
    """A factor of the learning rate: linear up, then linear down to zero."""
    warmup = max(1, round(WARMUP_SHARE * total))
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (total - step) / max(1, total - warmup))


def train(model: Any, encoder: Encoder, rows: Sequence[Docstring], steps: int, seed: int) -> None:
    """Train all weights of a model with AdamW; prints the loss as it goes."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, steps))
    every = max(1, steps // 12)
    began, losses = time.monotonic(), list[float]()
    for step, batch in enumerate(itertools.islice(batches(rows, seed), steps), start=1):
        loss = model(**encoder.inputs(batch), labels=encoder.labels(batch)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        if step % every == 0:
            seconds = time.monotonic() - began
            mean = np.mean(losses[-every:])
            print(f"  step {step}/{steps}  loss {mean:.3f}  {seconds:.0f} s", flush=True)
    model.eval()


@torch.no_grad()
def predict(model: Any, encoder: Encoder, rows: Sequence[Docstring]) -> list[str]:
    """The class that a model finds for each row."""
    found: list[str] = []
    for start in range(0, len(rows), BATCH_SIZE):
        logits = model(**encoder.inputs(rows[start : start + BATCH_SIZE])).logits
        found += [encoder.classes[number] for number in logits.argmax(-1).tolist()]
    return found
