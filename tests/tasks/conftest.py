"""Small models' directories: what tasks read of a model."""

from pathlib import Path

import pytest

from small_texts import (
    END,
    POSITIONS,
    save_encoder,
    save_text_classifier,
    save_tokenizer,
    small_config,
)
from tiny_taggers import save_tagger


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


@pytest.fixture(scope="session")
def texts_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of texts, of three classes."""
    directory = tmp_path_factory.mktemp("texts")
    return save_text_classifier(directory, "against", "Neutral", "in-favour")


@pytest.fixture(scope="session")
def rater_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that gives a text a number."""
    return save_text_classifier(tmp_path_factory.mktemp("rater"), "LABEL_0")


@pytest.fixture
def gpt2_dir(tmp_path: Path) -> Path:
    """A GPT-2: bytes, a few merges, no padding token, and no special token in its inputs."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import GPT2Config, GPT2TokenizerFast

    merges = [("t", "h"), ("Ġ", "th"), ("Ġ", "r"), ("Ġr", "i")]
    words = [*sorted(ByteLevel.alphabet()), *("".join(pair) for pair in merges), END]
    vocab = {word: number for number, word in enumerate(words)}
    tokenizer = GPT2TokenizerFast(vocab=vocab, merges=merges)
    assert tokenizer.pad_token is None
    tokenizer.save_pretrained(tmp_path)
    config = GPT2Config(vocab_size=len(words), n_embd=32, n_layer=2, n_head=2, n_positions=64)
    small_config(config, tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def encoder_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT without a head."""
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def tagger_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 48 positions and five tags, with weights."""
    return save_tagger(tmp_path_factory.mktemp("tagger"))
