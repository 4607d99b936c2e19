"""Images of every kind that Pillow opens, through the datasets library and without it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from quantbench.core.errors import ConfigError, UsageError
from quantbench.protocols import Array
from quantbench.tasks.image_classification import TASK, ImageClassificationRun

ORIENTATION = 0x0112
RED, BLUE = (255, 0, 0), (0, 0, 255)


def open_task(directory: Path) -> ImageClassificationRun:
    return TASK.open(directory, {}, {"primary": "image"}, ("label",), None)


def model_dir(directory: Path, processor: dict[str, Any], **config: Any) -> Path:
    """A directory with this preprocessor_config.json and a small vision transformer's config."""
    from transformers import ViTConfig

    directory.mkdir(exist_ok=True)
    (directory / "preprocessor_config.json").write_text(json.dumps(processor))
    ViTConfig(**({"num_labels": 3} | config)).save_pretrained(directory)
    return directory


@pytest.fixture
def run(classifier_dir: Path) -> ImageClassificationRun:
    return open_task(classifier_dir)


def pixels(run: ImageClassificationRun, image: Any) -> Array:
    (part,) = run.encode({"image": image})
    return part.inputs["pixel_values"]


def color(run: ImageClassificationRun, image: Image.Image) -> tuple[int, ...]:
    """The color of an image of one color, as the model sees it, 0 to 255."""
    found = pixels(run, image)
    assert found.shape == (1, 3, 8, 12)
    assert np.ptp(found, axis=(2, 3)).max() < 0.03  # WebP and JPEG are not exact
    return tuple(round(float(value)) for value in (found[0, :, 0, 0] + 1) / 2 * 255)


def saved(image: Image.Image, path: Path, **how: Any) -> Image.Image:
    image.save(path, **how)
    with Image.open(path) as opened:
        return opened.copy()


@pytest.mark.parametrize(
    ("mode", "filename", "expected"),
    [
        ("L", "grey.png", (76, 76, 76)),
        ("1", "bits.png", None),
        ("RGBA", "alpha.png", RED),
        ("LA", "grey_alpha.png", (76, 76, 76)),
        ("P", "palette.png", RED),
        ("P", "palette.gif", RED),
        ("CMYK", "print.tif", RED),
        ("CMYK", "print.jpg", RED),
        ("YCbCr", "video.jpg", RED),
        ("RGB", "plain.bmp", RED),
        ("RGB", "plain.webp", RED),
    ],
)
def test_every_kind_of_file_of_8_bits_becomes_rgb(
    run: ImageClassificationRun, tmp_path: Path, mode: str, filename: str, expected: Any
) -> None:
    image = saved(Image.new("RGB", (20, 10), RED).convert(mode), tmp_path / filename)
    if expected is None:  # black and white dots
        assert set(np.unique(np.asarray(image.convert("L")))) <= {0, 255}
        assert pixels(run, image).shape == (1, 3, 8, 12)
    else:
        np.testing.assert_allclose(color(run, image), expected, atol=4)


def test_a_palette_with_transparency_shows_the_color_below_it(
    run: ImageClassificationRun, tmp_path: Path
) -> None:
    image = Image.new("P", (20, 10), 1)
    image.putpalette([0, 0, 0, *RED])
    for transparency in (1, bytes([255, 0])):
        image = saved(image, tmp_path / "clear.png", transparency=transparency)
        assert (image.mode, "transparency" in image.info) == ("P", True)
        assert color(run, image) == RED


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_of_an_animated_image_the_first_picture_is_seen(
    run: ImageClassificationRun, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"moving.{suffix}"
    first, second = (Image.new("RGB", (20, 10), each) for each in (RED, BLUE))
    first.save(path, save_all=True, append_images=[second])
    with Image.open(path) as image:
        assert image.n_frames == 2
        np.testing.assert_allclose(color(run, image), RED, atol=4)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 50), (50, 3), (3, 3), (1, 3)])
def test_an_image_may_be_one_pixel_wide(run: ImageClassificationRun, size: tuple[int, int]) -> None:
    # Arrays of such shapes are easily taken for ones with the channels first.
    assert color(run, Image.new("RGB", size, (255, 0, 51))) == (255, 0, 51)
    assert color(run, Image.new("L", size, 51)) == (51, 51, 51)


def test_a_very_large_image_is_fine(run: ImageClassificationRun) -> None:
    assert color(run, Image.new("L", (8000, 6000), 51)) == (51, 51, 51)


def test_a_thin_image_is_refused_where_the_shorter_edge_is_enlarged(tmp_path: Path) -> None:
    # 1 x 3000 would become 256 x 768000: measured, 2 GB.
    size = {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}
    run = open_task(model_dir(tmp_path, {"image_processor_type": "BitImageProcessor", **size}))
    assert pixels(run, Image.new("RGB", (2, 100))).shape == (1, 3, 224, 224)
    for thin in ((1, 3000), (3000, 1)):
        with pytest.raises(ConfigError, match="too thin"):
            run.encode({"image": Image.new("RGB", thin)})


def test_16_bits_are_refused_with_what_to_do(run: ImageClassificationRun, tmp_path: Path) -> None:
    grey = Image.fromarray(np.full((4, 4), 3000, np.uint16))
    # What Pillow makes of them: everything above 255 is white.
    assert grey.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    with pytest.raises(ConfigError, match=r"I;16 images(.|\n)*save them as 8 bits"):
        run.encode({"image": saved(grey, tmp_path / "deep.png")})


def test_a_missing_image_is_refused_with_what_to_do(run: ImageClassificationRun) -> None:
    with pytest.raises(
        ConfigError, match=r"column image holds None(.|\n)*leave them out"
    ) as caught:
        run.encode({"image": None})
    assert caught.value.problems[0].path == "dataset.data_keys.primary"


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_a_damaged_file_is_named(run: ImageClassificationRun, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"damaged.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with (
        Image.open(path) as image,
        pytest.raises(ConfigError, match=rf"damaged\.{suffix}, which cannot be read"),
    ):
        run.encode({"image": image})


def two_colors(path: Path, orientation: int) -> Path:
    """A file whose left half is red as it is stored, with a note on how to turn it."""
    image = Image.new("RGB", (24, 16), BLUE)
    image.paste(RED, (0, 0, 12, 16))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image.save(path, exif=exif)
    return path


@pytest.mark.parametrize(
    ("orientation", "red_half"),
    [(1, np.s_[:, :6]), (3, np.s_[:, 6:]), (6, np.s_[:4, :]), (8, np.s_[4:, :])],
)
def test_images_are_seen_as_people_see_them(
    run: ImageClassificationRun, tmp_path: Path, orientation: int, red_half: Any
) -> None:
    from datasets import Dataset, Features
    from datasets import Image as ImageFeature

    path = two_colors(tmp_path / "turned.png", orientation)
    rows = Dataset.from_dict({"image": [str(path)]}, features=Features({"image": ImageFeature()}))
    red, blue = pixels(run, rows[0]["image"])[0, ::2]
    assert red[red_half].mean() > 0.9
    assert blue[red_half].mean() < -0.9
    assert (red > blue).mean() == 0.5


def test_a_processor_that_does_not_resize_is_refused(tmp_path: Path) -> None:
    leaves = {"image_processor_type": "ViTImageProcessor", "do_resize": False}
    with pytest.raises(UsageError, match="leaves images as large as they are"):
        open_task(model_dir(tmp_path, leaves))


def test_a_model_of_grey_images_is_refused(tmp_path: Path) -> None:
    plain = {"image_processor_type": "ViTImageProcessor"}
    with pytest.raises(UsageError, match="takes images of 1 channels"):
        open_task(model_dir(tmp_path, plain, num_channels=1))


def test_a_model_of_one_class_is_refused(tmp_path: Path) -> None:
    plain = {"image_processor_type": "ViTImageProcessor"}
    with pytest.raises(UsageError, match="every answer would be right"):
        open_task(model_dir(tmp_path, plain, num_labels=1))


def test_a_model_whose_classes_are_label_0_takes_the_datasets_names(tmp_path: Path) -> None:
    directory = model_dir(tmp_path, {"image_processor_type": "ViTImageProcessor"})
    names = ("rust", "healthy", "spot")
    run = TASK.open(directory, {}, {"primary": "image"}, ("label",), names)
    (note,) = run.notes
    assert "classes are matched by number" in note
    assert "rust, healthy, spot" in note
    assert [run.reference({"label": number}) for number in range(3)] == [0, 1, 2]
    found = run.decode({}, [], [{"logits": np.array([[0.0, 0.0, 9.0]])}])
    assert (found.answer, found.name) == (2, "spot")
    assert run.reference({"label": "Healthy"}) == 1


def test_names_in_a_table_cannot_be_matched_to_label_0(tmp_path: Path) -> None:
    run = open_task(model_dir(tmp_path, {"image_processor_type": "ViTImageProcessor"}))
    assert run.reference({"label": 2}) == 2
    assert run.reference({"label": "LABEL_2"}) == 2
    with pytest.raises(ConfigError, match="classes have no names; set id2label"):
        run.reference({"label": "rust"})
