"""Make the small trained models and data sets of the demos.

    python scripts/make_demo_assets.py [--only qa|digits]

Writes `src/quantbench/demo/assets/`:

- `questions/`: a DistilBERT for extractive question answering, trained from scratch on generated
  text. The validation split uses names and sentence and question wordings that the training
  split never uses; this script asserts it. Professions, dates and numbers are shared.
- `digits/`: a vision transformer trained on scikit-learn's 8x8 images of handwritten digits.

Then reads everything back from disk, measures it, writes the README and fails if an accuracy is
below its floor or the directory is too large. With `--only`, the other half is left as it is but
measured all the same.

Every random choice is seeded. The same machine with the same package versions gives the same
files; other machines may differ in the last digits.
Needs torch, transformers, tokenizers, datasets and scikit-learn; takes about twenty minutes on two
cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForQuestionAnswering,
    AutoTokenizer,
)

from demo_assets import digits, reading
from demo_assets.questions import LENGTHS, Length, all_templates, generate_rows, seeded_draw
from demo_assets.rows import read_rows, write_rows

ASSETS = Path(__file__).resolve().parent.parent / "src" / "quantbench" / "demo" / "assets"
QUESTIONS, DIGITS = ASSETS / "questions", ASSETS / "digits"

SEED = 2024
NUM_THREADS = 2  # part of the result: sums are split by thread
TRAIN_ROWS, VALIDATION_ROWS = 1_500, 1_200
VOCABULARY_LENGTHS: dict[Length, float] = {"short": 0.1, "usual": 0.75, "long": 0.15}

EXACT_MATCH_FLOOR = 80.0
ACCURACY_FLOOR = 95.0
MAX_BYTES = 11_500_000

README = """\
# Demo assets

Two small models with their data, so that quantbench can be tried offline in a minute.
Made by `python scripts/make_demo_assets.py`; do not edit by hand.

| directory | model | data | float32 result on validation |
|---|---|---|---|
| `questions/` | DistilBERT, extractive question answering, {qa_parameters:,} parameters | \
{qa_train:,} train / {qa_validation:,} validation rows, SQuAD format (JSON lines) | \
exact match {exact_match:.1f}, F1 {f1:.1f} (windows of {max_length} tokens, overlap {stride}) |
| `digits/` | ViT, image classification, {digits_parameters:,} parameters | \
{digits_train:,} train / {digits_validation:,} validation images (Parquet) | \
accuracy {accuracy:.2f} |

All results are in per cent, measured from the files in this directory.

**Questions.** Text, names and facts are generated and fictional; the model was trained from
scratch on a fresh stream of such text, of which `train.jsonl` is a sample for calibration.
The validation rows use names and sentence and question wordings that never occur in training.
About one row in eight needs more than one window of {max_length} tokens.
Text and weights carry the licence of this project.

**Digits.** E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine
Learning Repository, 1998, https://doi.org/10.24432/C50P49, CC BY 4.0, as distributed with
scikit-learn: its 1,797 images, stored as PNG and split by class.

These models are for demonstrations and tests; they know nothing about real text or images.

sha256 of the weights:

    {qa_sha256}  questions/model/model.safetensors
    {digits_sha256}  digits/model/model.safetensors
"""


def require(condition: bool, message: str) -> None:
    """Stop unless something holds that the assets promise."""
    if not condition:
        raise SystemExit(message)


def fresh_directory(path: Path) -> Path:
    """Make an empty directory."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def make_questions() -> None:
    """Generate the rows, train the tokenizer and the model, save all of it."""
    shared = all_templates(held_out=True) & all_templates(held_out=False)
    require(not shared, f"wording in both splits: {sorted(shared)}")
    sample, validation = seeded_draw(SEED, False), seeded_draw(SEED + 1, True)
    vocabulary, stream = seeded_draw(SEED + 2, False), seeded_draw(SEED + 3, False)

    data = fresh_directory(QUESTIONS / "data")
    write_rows(data / "train.jsonl", generate_rows(sample, TRAIN_ROWS, LENGTHS), "train")
    rows = generate_rows(validation, VALIDATION_ROWS, LENGTHS)
    write_rows(data / "validation.jsonl", rows, "validation")

    torch.manual_seed(SEED)
    texts = generate_rows(vocabulary, 20_000, VOCABULARY_LENGTHS)
    tokenizer = reading.train_tokenizer(
        t for row in texts for t in (row["question"], row["context"])
    )
    model = reading.train(reading.new_model(tokenizer), tokenizer, stream, reading.FROM_SCRATCH)
    for draw in (sample, vocabulary, stream):
        names = draw.names_used & validation.names_used
        require(not names, f"names in both splits: {sorted(names)}")

    directory = fresh_directory(QUESTIONS / "model")
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def make_digits() -> None:
    """Split the images, train the model, save all of it."""
    data = fresh_directory(DIGITS / "data")
    splits = digits.make_splits(SEED)
    for split, rows in splits.items():
        rows.to_parquet(data / f"{split}.parquet")

    torch.manual_seed(SEED)
    processor = digits.make_processor()
    model = digits.train(*digits.to_tensors(processor, splits["train"]), seed=SEED)
    directory = fresh_directory(DIGITS / "model")
    model.save_pretrained(directory)
    processor.save_pretrained(directory)


def measure_questions() -> dict[str, Any]:
    """Measure the saved model on the saved rows."""
    directory = QUESTIONS / "model"
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    model = AutoModelForQuestionAnswering.from_pretrained(directory, local_files_only=True).eval()
    rows = read_rows(QUESTIONS / "data" / "validation.jsonl")
    texts = [row["question"] for row in rows], [row["context"] for row in rows]
    ids = tokenizer(*texts, verbose=False)["input_ids"]
    require(tokenizer.is_fast, "the tokenizer gives no offsets")
    unknown = sum(row_ids.count(tokenizer.unk_token_id) for row_ids in ids)
    require(unknown == 0, f"{unknown} unknown tokens")
    long = sum(len(row_ids) > reading.MAX_LENGTH for row_ids in ids) / len(ids)
    whole = reading.evaluate(reading.predict(model, tokenizer, rows, reading.POSITIONS), rows)
    print(f"rows longer than one window: {long:.1%}; unsplit: {whole}")
    scores = reading.evaluate(reading.predict(model, tokenizer, rows), rows)
    return {
        "qa_parameters": model.num_parameters(),
        "qa_train": len(read_rows(QUESTIONS / "data" / "train.jsonl")),
        "qa_validation": len(rows),
        "max_length": reading.MAX_LENGTH,
        "stride": reading.DOC_STRIDE,
        "qa_sha256": sha256(directory / "model.safetensors"),
        **scores,
    }


def measure_digits() -> dict[str, Any]:
    """Measure the saved model on the saved images."""
    directory = DIGITS / "model"
    processor = AutoImageProcessor.from_pretrained(directory, local_files_only=True)
    model = AutoModelForImageClassification.from_pretrained(directory, local_files_only=True).eval()
    with tempfile.TemporaryDirectory() as cache:
        files = {split: DIGITS / "data" / f"{split}.parquet" for split in ("train", "validation")}
        rows = {split: digits.load_split(file, Path(cache)) for split, file in files.items()}
        names = [model.config.id2label[i] for i in range(model.config.num_labels)]
        same = rows["validation"].features["labels"].names == names
        require(same, "the labels of the model and of the data differ")
        pixels, labels = digits.to_tensors(processor, rows["validation"])
        counts = {split: split_rows.num_rows for split, split_rows in rows.items()}
    return {
        "digits_parameters": model.num_parameters(),
        "digits_train": counts["train"],
        "digits_validation": counts["validation"],
        "digits_sha256": sha256(directory / "model.safetensors"),
        "accuracy": 100 * digits.accuracy(model, pixels, labels),
    }


def sha256(path: Path) -> str:
    """Digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> int:
    """Make, measure, describe, check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=["qa", "digits"])
    only = parser.parse_args().only
    torch.set_num_threads(NUM_THREADS)
    torch.use_deterministic_algorithms(True)
    for name, make in (("qa", make_questions), ("digits", make_digits)):
        if only in (None, name):
            print(f"{name}:", flush=True)
            began = time.monotonic()
            make()
            print(f"{name}: made in {time.monotonic() - began:.0f} s", flush=True)

    results = {**measure_questions(), **measure_digits()}
    (ASSETS / "README.md").write_text(README.format(**results), encoding="utf-8")
    size = sum(file.stat().st_size for file in ASSETS.rglob("*") if file.is_file())
    for file in ASSETS.rglob("*.safetensors"):
        file.chmod(0o644)  # they are written for their owner only
    print(json.dumps({**results, "num_bytes": size}, indent=2))
    failures = [
        message
        for failed, message in (
            (results["exact_match"] < EXACT_MATCH_FLOOR, "exact match is below the floor"),
            (results["accuracy"] < ACCURACY_FLOOR, "accuracy is below the floor"),
            (size > MAX_BYTES, "the assets are too large"),
        )
        if failed
    ]
    for message in failures:
        print(message, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
