"""Small models for texts: a tokenizer of a few words, and what belongs to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_models import build

# fmt: off
WORDS = [
    "who", "it", "what", "where", "when", "is", "was", "the", "a", "in", "of", "and", "to",
    "by", "river", "bridge", "town", "built", "opened", "engineer", "named", "after",
    "long", "wide", "stone", "18", "##90", "##s", "cafe", "zurich", "?", ".", ",", "!",
    "un", "##believ", "##able", "##x",
]
# fmt: on
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
POSITIONS = 48
END = "<|endoftext|>"


def save_tokenizer(directory: Path) -> dict[str, int]:
    """Save a BERT tokenizer that knows a few words and all letters; returns its vocabulary."""
    from transformers import BertTokenizerFast

    letters = [f"{joint}{letter}" for letter in "bcdefghijklmnopqrstuvwxyz" for joint in ("", "##")]
    words = dict.fromkeys([*SPECIAL, *WORDS, *letters, "##a"])
    vocab = {word: number for number, word in enumerate(words)}
    BertTokenizerFast(vocab=vocab, do_lower_case=True).save_pretrained(directory)
    return vocab


def save_text_classifier(directory: Path, *names: str, **changes: Any) -> Path:
    """Save a BERT of 48 positions with weights and tokenizer, for texts of those classes.

    Its weights are large, so that texts differ in their answers.
    """
    import torch

    vocab = save_tokenizer(directory)
    labels = {
        "id2label": dict(enumerate(names)),
        "label2id": {name: number for number, name in enumerate(names)},
    }
    sizes = {
        "vocab_size": len(vocab),
        "max_position_embeddings": POSITIONS,
        "num_labels": len(names),
    }
    model = build("bert-classifier", **sizes, **labels, **changes)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
        model.bert.embeddings.word_embeddings.weight.mul_(9)
        # Without what all texts have in common, so that no class is the answer to all of them.
        tokens = torch.randint(len(SPECIAL), len(vocab), (64, 9))
        model.classifier.bias.sub_(model(tokens).logits.mean(dim=0))
    model.save_pretrained(directory)
    return directory


def save_encoder(directory: Path) -> Path:
    """Save a BERT without a head, whose vectors differ from text to text."""
    from transformers import BertForSequenceClassification

    save_text_classifier(directory, "no", "yes")
    BertForSequenceClassification.from_pretrained(directory).bert.save_pretrained(directory)
    return directory


def small_config(config: Any, directory: Path, **changes: Any) -> Any:
    """A config without tokens beyond its vocabulary, saved."""
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config, name, None)
    for name, value in changes.items():
        setattr(config, name, value)
    config.save_pretrained(directory)
    return config
