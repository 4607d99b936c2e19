"""Small random models in transformers layout, their inputs, and their exports, made once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quantbench.protocols import Inputs

AUTO_CLASS = {
    "distilbert": "AutoModelForQuestionAnswering",
    "vit": "AutoModelForImageClassification",
}
KINDS = tuple(AUTO_CLASS)
# DistilBERT-base.
BASE = {
    "vocab_size": 30522, "dim": 768, "hidden_dim": 3072, "n_layers": 6, "n_heads": 12,
    "max_position_embeddings": 512,
}  # fmt: skip
OPSETS = (11, 13, 14, 17, 18)


def build(kind: str, **changes: int) -> Any:
    """A model with random weights: noise everywhere, so that no two tensors are equal."""
    import torch
    import transformers

    torch.manual_seed(0)
    if kind == "distilbert":
        small: dict[str, int] = {
            "vocab_size": 64, "dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2,
            "max_position_embeddings": 64,
        }  # fmt: skip
        config = transformers.DistilBertConfig(**(small | changes))
        model = transformers.DistilBertForQuestionAnswering(config)
    else:
        small = {
            "image_size": 16, "patch_size": 4, "hidden_size": 32, "intermediate_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_labels": 5,
        }  # fmt: skip
        model = transformers.ViTForImageClassification(transformers.ViTConfig(**(small | changes)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


def inputs(kind: str, batch: int = 1, length: int = 12, seed: int = 0) -> Inputs:
    """Inputs without padding."""
    rng = np.random.default_rng(seed)
    if kind == "vit":
        return {"pixel_values": rng.standard_normal((batch, 3, 16, 16)).astype(np.float32)}
    return {
        "input_ids": rng.integers(0, 64, (batch, length)),
        "attention_mask": np.ones((batch, length), dtype=np.int64),
    }


def samples(kind: str, count: int) -> Iterator[Inputs]:
    """Single samples of different lengths."""
    return (inputs(kind, 1, 5 + 3 * i, seed=i) for i in range(count))


@dataclass
class Models:
    """The saved models, and their exports by opset."""

    root: Path
    made: dict[tuple[str, int], Path] = field(default_factory=dict)

    def directory(self, kind: str) -> Path:
        path = self.root / kind
        if not path.exists():
            build(kind).save_pretrained(path)
        return path

    def exported(self, kind: str, opset: int) -> Path:
        from quantbench.stages.export import export_onnx

        if (kind, opset) not in self.made:
            path = self.root / f"{kind}-{opset}.onnx"
            shapes = [inputs(kind, 2, 9), inputs(kind, 1, 14, seed=1)]
            export_onnx(self.directory(kind), AUTO_CLASS[kind], opset, shapes, path)
            self.made[kind, opset] = path
        return self.made[kind, opset]


_MADE: list[Models] = []


def made_once(root: Path) -> Models:
    """The same models for all test directories of a session."""
    if not _MADE:
        _MADE.append(Models(root))
    return _MADE[0]
