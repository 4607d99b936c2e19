"""Small models' directories: what tasks read of a model, without weights."""

from pathlib import Path
from typing import Any

import pytest

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


def save_tokenizer(directory: Path) -> dict[str, int]:
    """Save a BERT tokenizer that knows a few words and all letters; returns its vocabulary."""
    from transformers import BertTokenizerFast

    letters = [f"{joint}{letter}" for letter in "bcdefghijklmnopqrstuvwxyz" for joint in ("", "##")]
    words = dict.fromkeys([*SPECIAL, *WORDS, *letters, "##a"])
    vocab = {word: number for number, word in enumerate(words)}
    BertTokenizerFast(vocab=vocab, do_lower_case=True).save_pretrained(directory)
    return vocab


@pytest.fixture(scope="session")
def reader_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DistilBERT of 48 positions that knows a few words."""
    from transformers import DistilBertConfig

    directory = tmp_path_factory.mktemp("reader")
    vocab = save_tokenizer(directory)
    config = DistilBertConfig(
        vocab_size=len(vocab),
        max_position_embeddings=POSITIONS,
        dim=24,
        hidden_dim=24,
        n_heads=2,
        n_layers=2,
    )
    config.architectures = ["DistilBertForQuestionAnswering"]
    config.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def classifier_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vision transformer of three classes for images of 8 x 12."""
    from transformers import ViTConfig
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    directory = tmp_path_factory.mktemp("classifier")
    processor = ViTImageProcessorPil(
        size={"height": 8, "width": 12}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    processor.save_pretrained(directory)
    names = {0: "bean rust", 1: "Healthy", 2: "leaf-spot"}
    ViTConfig(id2label=names, label2id={v: k for k, v in names.items()}).save_pretrained(directory)
    return directory


def save_text_classifier(directory: Path, *names: str, **changes: Any) -> Path:
    """Save a BERT of 48 positions with weights and tokenizer, for texts of those classes."""
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
    build("bert-classifier", **sizes, **labels, **changes).save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def texts_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of texts, of three classes."""
    directory = tmp_path_factory.mktemp("texts")
    return save_text_classifier(directory, "against", "Neutral", "in-favour")


@pytest.fixture(scope="session")
def rater_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that gives a text a number."""
    return save_text_classifier(tmp_path_factory.mktemp("rater"), "LABEL_0")
