"""Rows that cannot be used are found before any work: the command ends, and nothing is written."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from quantbench import cli

GOOD = {"question": "Who?", "context": "Ann Lee lives here.", "answers": ["Ann Lee"]}
ROWS = 30


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "store"))
    return tmp_path


def refused(
    folder: Path, capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]], **changes: Any
) -> str:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config: dict[str, Any] = {
        "task": "question-answering",
        "model_name_or_path": "bundled:questions",
        "dataset": {
            "path": "json",
            "data_files": {"validation": "rows.jsonl"},
            "data_keys": {"question": "question", "context": "context"},
            "ref_keys": ["answers"],
        },
        "input_lengths": [32],
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(config | changes))
    assert cli.main(["run", "sweep.yaml", "--quiet"]) == 2
    assert not (folder / "runs").exists()
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def with_row(number: int, **values: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [dict(GOOD) for _ in range(ROWS)]
    rows[number] |= values
    return rows


def test_an_empty_value_far_down_is_named_with_its_row(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(folder, capsys, with_row(27, context=None))
    assert "dataset.data_keys.context" in said
    assert "the column context is empty in 1 of the 30 rows" in said
    assert "first in row 27" in said


def test_all_columns_with_empty_values_are_told_at_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(folder, capsys, with_row(5, context=None, answers=None))
    assert "dataset.data_keys.context" in said
    assert "dataset.ref_keys[0]" in said


def test_values_of_two_types_in_a_column_are_named_with_their_row(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(folder, capsys, with_row(12, question=5))
    assert "row 12: the column question holds 5, rows before it hold texts" in said


def test_rows_that_are_not_used_may_be_empty(folder: Path) -> None:
    from quantbench.core.config import SweepConfig
    from quantbench.worker.prepare import prepare

    rows = with_row(27, context=None)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = SweepConfig.model_validate(
        {
            "task": "question-answering",
            "model_name_or_path": "bundled:questions",
            "dataset": {
                "path": "json",
                "data_files": {"validation": "rows.jsonl"},
                "data_keys": {"question": "question", "context": "context"},
                "ref_keys": ["answers"],
            },
            "input_lengths": [32],
            "max_eval_samples": 20,
            "sampling": "head",
        }
    )
    assert prepare(config).subject.num_eval_samples == 20
