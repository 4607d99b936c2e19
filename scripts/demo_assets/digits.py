"""The image-classification model: a small vision transformer for scikit-learn's digits."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import ClassLabel, Dataset, Features, Image, load_dataset
from PIL import Image as PillowImage
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from transformers import ViTConfig, ViTForImageClassification
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

CLASS_NAMES = [str(digit) for digit in range(10)]
VALIDATION_ROWS = 400
IMAGE_SIZE = 32
EPOCHS = 40
BATCH_SIZE = 64
LEARNING_RATE = 1e-3
WARMUP_STEPS = 100


def make_splits(seed: int) -> dict[str, Dataset]:
    """The 1,797 real 8x8 grey images as RGB PNG files, split by class."""
    digits = load_digits()
    features = Features({"image": Image(), "labels": ClassLabel(names=CLASS_NAMES)})
    train, validation = train_test_split(
        np.arange(len(digits.target)),
        test_size=VALIDATION_ROWS,
        stratify=digits.target,
        random_state=seed,
    )

    def png(pixels: np.ndarray) -> dict[str, Any]:
        # The data set counts grey from 0 to 16.
        grey = np.round(pixels * (255 / 16)).astype(np.uint8)
        buffer = io.BytesIO()
        PillowImage.fromarray(grey).convert("RGB").save(buffer, format="PNG", optimize=True)
        return {"bytes": buffer.getvalue(), "path": None}

    def rows(indices: np.ndarray) -> Dataset:
        columns = {
            "image": [png(digits.images[i]) for i in indices],
            "labels": [int(digits.target[i]) for i in indices],
        }
        return Dataset.from_dict(columns, features=features)

    return {"train": rows(train), "validation": rows(validation)}


def make_processor() -> ViTImageProcessorPil:
    """Scale to the input size and to -1 ... 1."""
    return ViTImageProcessorPil(
        do_resize=True,
        size={"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        resample=PillowImage.Resampling.BILINEAR,
        do_rescale=True,
        do_normalize=True,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )


def to_tensors(processor: Any, rows: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixel values and labels of all rows."""
    pixels = processor(images=list(rows["image"]), return_tensors="pt")["pixel_values"]
    return pixels, torch.tensor(rows["labels"])


def augment(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Shift each image by up to three pixels and add a little noise."""
    margin = 3
    padded = torch.nn.functional.pad(pixels, [margin] * 4, value=-1.0)  # -1 is the background
    shifts = torch.randint(0, 2 * margin + 1, (len(pixels), 2), generator=generator).tolist()
    moved = [
        image[:, y : y + IMAGE_SIZE, x : x + IMAGE_SIZE]
        for image, (y, x) in zip(padded, shifts, strict=True)
    ]
    noise = torch.randn(pixels.shape, generator=generator)
    return torch.stack(moved) + 0.05 * noise


def train(pixels: torch.Tensor, labels: torch.Tensor, seed: int) -> ViTForImageClassification:
    """Train the model from scratch."""
    config = ViTConfig(
        image_size=IMAGE_SIZE,
        patch_size=4,
        hidden_size=96,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        id2label=dict(enumerate(CLASS_NAMES)),
        label2id={name: index for index, name in enumerate(CLASS_NAMES)},
    )
    model = ViTForImageClassification(config).train()
    generator = torch.Generator().manual_seed(seed)
    total = EPOCHS * math.ceil(len(labels) / BATCH_SIZE)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=0.05)

    def factor(step: int) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * step / total))
        return min((step + 1) / WARMUP_STEPS, 1.0) * cosine

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    began = time.monotonic()
    for epoch in range(1, EPOCHS + 1):
        losses = []
        order = torch.randperm(len(labels), generator=generator)
        for indices in torch.split(order, BATCH_SIZE):
            images = augment(pixels[indices], generator)
            logits = model(pixel_values=images).logits
            loss = torch.nn.functional.cross_entropy(logits, labels[indices], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
        if epoch % 10 == 0:
            seconds = time.monotonic() - began
            print(
                f"  epoch {epoch}/{EPOCHS}  loss {np.mean(losses):.3f}  {seconds:.0f} s", flush=True
            )
    return model.eval()


@torch.no_grad()
def accuracy(model: ViTForImageClassification, pixels: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of the images that are classified correctly."""
    predictions = torch.cat(
        [model(pixel_values=batch).logits for batch in torch.split(pixels, 100)]
    )
    return float((predictions.argmax(-1) == labels).float().mean())


def load_split(path: Path, cache: Path) -> Dataset:
    """Read a split the way a user would."""
    files = {"validation": str(path)}
    return load_dataset("parquet", data_files=files, cache_dir=str(cache))["validation"]
