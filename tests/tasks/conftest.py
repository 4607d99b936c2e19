"""Small models' directories: what tasks read of a model, without weights."""

from pathlib import Path

import pytest

from tiny_taggers import save_tagger

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


@pytest.fixture(scope="session")
def reader_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DistilBERT of 48 positions that knows a few words."""
    from transformers import BertTokenizerFast, DistilBertConfig

    directory = tmp_path_factory.mktemp("reader")
    letters = [f"{joint}{letter}" for letter in "bcdefghijklmnopqrstuvwxyz" for joint in ("", "##")]
    words = dict.fromkeys([*SPECIAL, *WORDS, *letters, "##a"])
    vocab = {word: number for number, word in enumerate(words)}
    BertTokenizerFast(vocab=vocab, do_lower_case=True).save_pretrained(directory)
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


@pytest.fixture(scope="session")
def tagger_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 48 positions and five tags, with weights."""
    return save_tagger(tmp_path_factory.mktemp("tagger"))
