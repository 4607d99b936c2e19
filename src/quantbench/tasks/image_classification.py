"""Image classification: one class per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, JsonValue

from quantbench.core.errors import ConfigError, Problem, UsageError
from quantbench.core.frozen import Frozen
from quantbench.core.results import Prediction
from quantbench.core.specs import MetricSpec, TaskSpec
from quantbench.protocols import Array, Encoded, Inputs, Outputs, Scored
from quantbench.tasks.labels import align_labels, class_names, label_id, matched_by_number
from quantbench.tasks.one_class import most_likely

# Grey levels beyond 8 bits have no agreed brightness: Pillow would cut them off at 255.
_DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
# Of an image that is only resized, before its middle is cut out: 200 MB as float32.
_MAX_RESIZED_PIXELS = 2**24


class ImageClassificationArgs(Frozen):
    """What is counted as right, beside the most likely class."""

    top_k: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="Adds top_k_accuracy: right if the class is among the k most likely (5 for "
        "ImageNet's top-5).",
    )


def _has_top_k(args: ImageClassificationArgs) -> bool:
    return args.top_k is not None


@dataclass(frozen=True)
class ImageClassificationRun:
    """Image classification for one model and one dataset.

    `processor` is the model's PIL image processor. `aligned` maps the dataset's class numbers to
    the model's, None if the dataset has no class names.
    """

    processor: Any
    id2label: Mapping[int, str]
    aligned: tuple[int, ...] | None
    image_column: str
    label_column: str
    notes: tuple[str, ...] = ()
    top_k: int | None = None

    def encode(self, row: Mapping[str, Any]) -> tuple[Encoded, ...]:
        """The image as `pixel_values`, float32 [1, 3, height, width].

        Grey, palette, CMYK and transparent images become RGB; transparency is dropped, as
        transformers' own loading of images does. Images are taken as they are oriented: the
        datasets library has already turned them as their EXIF data say, so that the model sees
        what people see.

        Raises:
            ConfigError: the column holds something else than 8-bit images, or one that is
                damaged, or too thin to be resized.
        """
        return (Encoded({"pixel_values": self._pixels(row[self.image_column])}, None),)

    def decode(
        self, row: Mapping[str, Any], encoded: Sequence[Encoded], outputs: Sequence[Outputs]
    ) -> Prediction:
        """The class with the highest logit.

        Args:
            row: the sample.
            encoded: its one input.
            outputs: one entry with `logits` [1, classes].

        Returns:
            As answer the model's class number, with its name and probability, and with `top_k`
            the numbers of as many classes; of equal logits the first class wins. All are None if a
            logit is not a number, which no label equals: a broken model is wrong, not right by
            chance.
        """
        logits = outputs[0]["logits"][0]
        found = most_likely(logits, self.id2label)
        if found.answer is None or self.top_k is None:
            return found
        highest = np.argsort(-logits, kind="stable")[: self.top_k]
        return found.model_copy(update={"top": tuple(highest.tolist())})

    def reference(self, row: Mapping[str, Any]) -> JsonValue:
        """The model's class number for the label of a row.

        Raises:
            ConfigError: the label is no class of the model.
        """
        return label_id(row[self.label_column], self.aligned, self.id2label)

    def score(self, predictions: Sequence[Prediction], references: Sequence[Any]) -> Scored:
        """Accuracy as a fraction; per sample 1.0 (right) or 0.0 (wrong).

        `top_k_accuracy` is scikit-learn's `top_k_accuracy_score`, but for equal logits, of which
        scikit-learn takes the last class first.

        Raises:
            ValueError: no samples, or not as many references.
        """
        if not predictions:
            raise ValueError("nothing to score: there are no predictions")
        right = tuple(
            float(prediction.answer == label)
            for prediction, label in zip(predictions, references, strict=True)
        )
        per_sample = {"accuracy": right}
        if self.top_k is not None:
            per_sample["top_k_accuracy"] = tuple(
                float(label in prediction.top)
                for prediction, label in zip(predictions, references, strict=True)
            )
        return Scored(
            {name: sum(each) / len(each) for name, each in per_sample.items()}, per_sample
        )

    def dummy_inputs(
        self, batch_size: int, input_length: int | None, rng: np.random.Generator
    ) -> Inputs:
        """Random images as the model sees them: float32 [batch_size, 3, height, width].

        The size is what the processor makes of any image. `input_length` has no meaning here.
        """
        from PIL import Image

        one = self._pixels(Image.new("RGB", (64, 64)))
        shape = (batch_size, *one.shape[1:])
        return {"pixel_values": rng.standard_normal(shape, dtype=np.float32)}

    def _pixels(self, image: Any) -> Array:
        from PIL.Image import Image

        if not isinstance(image, Image):
            raise self._refused(
                f"holds {image!r:.80}, not images of 8 bits per channel; imagefolder and Parquet "
                "files with an image column do. If only some rows are empty, leave them out"
            )
        if image.mode in _DEEP_MODES:
            raise self._refused(
                f"holds {image.mode} images, not images of 8 bits per channel: scale the grey "
                "levels to 0 ... 255 as the model's training did, and save them as 8 bits"
            )
        # The one way in which resizing a small image can need gigabytes.
        edge = (getattr(self.processor, "size", None) or {}).get("shortest_edge")
        if edge and edge**2 * max(image.size) > _MAX_RESIZED_PIXELS * min(image.size):
            width, height = image.size
            raise self._refused(
                f"holds an image of {width} x {height} pixels, which is too thin: the model's "
                f"processor makes the shorter edge {edge} before it cuts out the middle. "
                "Leave the row out"
            )
        try:
            if image.mode == "P" and "transparency" in image.info:
                image = image.convert("RGBA")  # what Pillow asks for: a palette cannot say it all
            image = image.convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:  # Pillow's, for damaged files
            name = getattr(image, "filename", "") or "an image"
            raise self._refused(
                f"holds {name}, which cannot be read ({error}): replace it, or leave the row out"
            ) from error
        pixels = self.processor(images=image, return_tensors="np")["pixel_values"]
        return np.ascontiguousarray(pixels, dtype=np.float32)

    def _refused(self, what: str) -> ConfigError:
        message = f"the column {self.image_column} {what}"
        return ConfigError("rows", [Problem("dataset.data_keys.primary", message)])


class ImageClassification:
    """The task, before a model is known."""

    spec = TaskSpec(
        name="image-classification",
        data_keys=("primary",),
        num_ref_keys=1,
        metrics=(
            MetricSpec("accuracy", scale=100.0, binary=True),
            MetricSpec("top_k_accuracy", scale=100.0, binary=True, applies=_has_top_k),
        ),
        uses_input_length=False,
        auto_class="AutoModelForImageClassification",
        architecture_suffix="ForImageClassification",
        output_names=("logits",),
        args=ImageClassificationArgs,
    )

    def open(
        self,
        model_dir: Path,
        task_args: Mapping[str, JsonValue],
        data_keys: Mapping[str, str],
        ref_keys: Sequence[str],
        label_names: Sequence[str] | None,
        graph_inputs: Sequence[str] | None = None,
    ) -> ImageClassificationRun:
        """Load the image processor of a model directory and match the classes by name.

        Image models have one input: `graph_inputs` changes nothing.

        The PIL processor is used where there is a choice, so that results do not depend on
        whether torchvision is installed.

        Raises:
            UsageError: there is no image processor, or the model is not one of several classes
                for color images of one size.
            ConfigError: the dataset's classes are not the model's, or are too few for `top_k`.
        """
        from transformers import AutoConfig, AutoImageProcessor

        args = ImageClassificationArgs.model_validate(dict(task_args))
        try:
            config = AutoConfig.from_pretrained(
                model_dir, local_files_only=True, trust_remote_code=False
            )
            processor = AutoImageProcessor.from_pretrained(
                model_dir, backend="pil", local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise UsageError(
                f"the image processor in {model_dir} cannot be loaded: {error}",
                hint="Save it beside the model: processor.save_pretrained(directory).",
            ) from error
        id2label = {int(number): str(name) for number, name in config.id2label.items()}
        if len(id2label) < 2:
            raise UsageError(
                f"the model in {model_dir} has {len(id2label)} class: every answer would be right",
                hint="A model with one output is for regression, which is another task.",
            )
        if args.top_k is not None and args.top_k >= len(id2label):
            message = f"the model has {len(id2label)} classes: every answer would be right"
            allowed = f"2 to {len(id2label) - 1}" if len(id2label) > 2 else "none: leave it out"
            problem = Problem("task_args.top_k", message, str(args.top_k), allowed)
            raise ConfigError("task_args", [problem])
        aligned = align_labels(label_names, id2label)
        by_number = matched_by_number(label_names, id2label)
        run = ImageClassificationRun(
            processor=processor,
            id2label=class_names(label_names, id2label),
            aligned=aligned,
            image_column=data_keys["primary"],
            label_column=ref_keys[0],
            notes=() if by_number is None else (by_number,),
            top_k=args.top_k,
        )
        _check_sizes(run, getattr(config, "num_channels", 3), model_dir)
        return run


def _check_sizes(run: ImageClassificationRun, num_channels: int, model_dir: Path) -> None:
    """Refuse, before anything is run, a model that does not fit its processor."""
    from PIL import Image

    images = [Image.new("RGB", size) for size in ((64, 64), (80, 48))]
    encoded = [run.encode({run.image_column: image})[0] for image in images]
    shapes = {part.inputs["pixel_values"].shape for part in encoded}
    if len(shapes) > 1:
        raise UsageError(
            f"the image processor in {model_dir} leaves images as large as they are, so they "
            "cannot be put into batches",
            hint="Set do_resize and size in preprocessor_config.json to what the model takes.",
        )
    found = shapes.pop()[1]
    if found != num_channels:
        raise UsageError(
            f"the model in {model_dir} takes images of {num_channels} channels, its image "
            f"processor gives {found}",
            hint="Models for color images are supported: num_channels 3.",
        )


TASK = ImageClassification()
