"""A small random BERT that gives each token a tag, with its tokenizer, and sentences for it."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

POSITIONS = 48
# Words of one token, of several, one that is unknown and two that are none.
WORDS = (
    "who", "river", "bridge", "town", "Ann", "Lee", "zurich", "unbelievable", "1889", "café",
    "don't", "U.S.", "東京", "x-ray", "🙂", "The",
)  # fmt: skip
NO_TOKENS = ("", "\u200b", "\u00ad")
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def vocabulary() -> dict[str, int]:
    """Special tokens, some words, and all ASCII letters and figures."""
    single = string.ascii_lowercase + string.digits
    letters = [f"{joint}{letter}" for letter in single for joint in ("", "##")]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *string.punctuation]
    tokens += ["who", "river", "bridge", "town", "lee", "##lee", "un", "##believ", "##able"]
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def save_tagger(
    directory: Path,
    names: Mapping[int, str] | None = None,
    positions: int = POSITIONS,
    *,
    weights: bool = True,
) -> Path:
    """Save a BERT of that many positions; without weights only what a task reads."""
    import torch
    from transformers import BertConfig, BertForTokenClassification, BertTokenizerFast

    id2label = dict(enumerate(TAGS)) if names is None else dict(names)
    vocab = vocabulary()
    BertTokenizerFast(vocab=vocab, do_lower_case=True).save_pretrained(directory)
    config = BertConfig(
        vocab_size=len(vocab),
        hidden_size=24,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=positions,
        id2label=id2label,
        label2id={name: number for number, name in id2label.items()},
    )
    config.architectures = ["BertForTokenClassification"]
    config.save_pretrained(directory)
    if weights:
        torch.manual_seed(4)
        model = BertForTokenClassification(config)
        # What a token is weighs more than where it is, so that every tag is given.
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                bias = name.endswith("bias")
                parameter.add_(torch.randn_like(parameter) * (0.05 if bias else 0.2))
            model.bert.embeddings.word_embeddings.weight.mul_(10)
            model.classifier.weight.copy_(torch.nn.init.orthogonal_(model.classifier.weight))
        model.save_pretrained(directory)
    return directory


def sentences(count: int, most_words: int = 9, seed: int = 0) -> list[list[str]]:
    """Random sentences of known and odd words, each with at least one that has a token."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        words = rng.choices(WORDS + NO_TOKENS, k=rng.randint(0, most_words - 1))
        words.insert(rng.randint(0, len(words)), rng.choice(WORDS))
        made.append(words)
    return made


def tagged_rows(count: int, tags: tuple[str, ...] = TAGS, seed: int = 0) -> list[dict[str, Any]]:
    """Sentences with random tags by number in `tags`."""
    rng = random.Random(seed)
    return [
        {"tokens": words, "ner_tags": rng.choices(range(len(tags)), k=len(words))}
        for words in sentences(count, seed=seed)
    ]
