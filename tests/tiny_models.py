"""Small random models in transformers layout, their inputs, and their exports, made once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quantbench.core.exporters import Export, Exporter, default_exporter
from quantbench.protocols import Inputs

QUESTIONS = "AutoModelForQuestionAnswering"
IMAGES = "AutoModelForImageClassification"
TEXTS = "AutoModelForSequenceClassification"
AUTO_CLASS = {
    "bert": QUESTIONS,
    "distilbert": QUESTIONS,
    "roberta": QUESTIONS,
    "minilm": QUESTIONS,
    "bert-classifier": TEXTS,
    "vit": IMAGES,
    "deit": IMAGES,
    "deit-distilled": IMAGES,
    "swin": IMAGES,
}
# The two that most tests use.
KINDS = ("distilbert", "vit")
# DistilBERT-base.
BASE = {
    "vocab_size": 30522, "dim": 768, "hidden_dim": 3072, "n_layers": 6, "n_heads": 12,
    "max_position_embeddings": 512,
}  # fmt: skip
_TEXT = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "max_position_embeddings": 64,
}  # fmt: skip
_IMAGE = {
    "image_size": 16, "patch_size": 4, "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 2, "num_labels": 5,
}  # fmt: skip
_SMALL: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("BertConfig", "BertForQuestionAnswering", _TEXT),
    "distilbert": (
        "DistilBertConfig",
        "DistilBertForQuestionAnswering",
        {
            "vocab_size": 64, "dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2,
            "max_position_embeddings": 64,
        },
    ),
    # Positions are counted from behind the padding token, from the tokens that are not padding.
    "roberta": (
        "RobertaConfig",
        "RobertaForQuestionAnswering",
        _TEXT | {"max_position_embeddings": 66, "type_vocab_size": 1, "pad_token_id": 1},
    ),
    # MiniLM-L6-H384 is a BERT: 6 layers of 12 heads, here an eighth as wide.
    "minilm": (
        "BertConfig",
        "BertForQuestionAnswering",
        _TEXT | {
            "hidden_size": 48, "intermediate_size": 192, "num_hidden_layers": 6,
            "num_attention_heads": 12,
        },
    ),
    "bert-classifier": (
        "BertConfig",
        "BertForSequenceClassification",
        _TEXT | {"num_labels": 3},
    ),
    "vit": ("ViTConfig", "ViTForImageClassification", _IMAGE),
    "deit": ("DeiTConfig", "DeiTForImageClassification", _IMAGE),
    # What most DeiT checkpoints on the hub are: two heads, three outputs.
    "deit-distilled": ("DeiTConfig", "DeiTForImageClassificationWithTeacher", _IMAGE),
    # Windows of 2 x 2 in both stages, so that every second block shifts and masks them.
    "swin": (
        "SwinConfig",
        "SwinForImageClassification",
        {
            "image_size": 16, "patch_size": 2, "embed_dim": 16, "depths": [2, 2],
            "num_heads": [2, 4], "window_size": 2, "num_labels": 5,
        },
    ),
}  # fmt: skip


def build(kind: str, **changes: Any) -> Any:
    """A model with random weights: noise everywhere, so that no two tensors are equal."""
    import torch
    import transformers

    torch.manual_seed(0)
    config_class, model_class, small = _SMALL[kind]
    config = getattr(transformers, config_class)(**(small | changes))
    model = getattr(transformers, model_class)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


def inputs(kind: str, batch: int = 1, length: int = 12, seed: int = 0) -> Inputs:
    """Inputs without padding."""
    rng = np.random.default_rng(seed)
    if AUTO_CLASS[kind] == IMAGES:
        return {"pixel_values": rng.standard_normal((batch, 3, 16, 16)).astype(np.float32)}
    given = {
        "input_ids": rng.integers(2 if kind == "roberta" else 0, 64, (batch, length)),
        "attention_mask": np.ones((batch, length), dtype=np.int64),
    }
    if kind in ("bert", "minilm", "bert-classifier"):
        given["token_type_ids"] = np.arange(length).repeat(batch).reshape(length, batch).T // 3 % 2
    return given


def samples(kind: str, count: int) -> Iterator[Inputs]:
    """Single samples of different lengths."""
    return (inputs(kind, 1, 5 + 3 * i, seed=i) for i in range(count))


@dataclass
class Models:
    """The saved models, and their exports by opset."""

    root: Path
    made: dict[tuple[str, Export], Path] = field(default_factory=dict)

    def directory(self, kind: str) -> Path:
        path = self.root / kind
        if not path.exists():
            build(kind).save_pretrained(path)
        return path

    def exported(self, kind: str, opset: int, exporter: Exporter | None = None) -> Path:
        from quantbench.stages.export import export_onnx

        export = Export(opset=opset, exporter=exporter or default_exporter(opset))
        if (kind, export) not in self.made:
            path = self.root / f"{kind}-{export.name}.onnx"
            shapes = [inputs(kind, 2, 9), inputs(kind, 1, 14, seed=1)]
            directory = self.directory(kind)
            export_onnx(directory, AUTO_CLASS[kind], opset, shapes, path, export.exporter)
            self.made[kind, export] = path
        return self.made[kind, export]


_MADE: list[Models] = []


def made_once(root: Path) -> Models:
    """The same models for all test directories of a session."""
    if not _MADE:
        _MADE.append(Models(root))
    return _MADE[0]
