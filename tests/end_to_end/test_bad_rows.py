"""Rows that cannot be used are found before any work: the command ends, and nothing is written."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from quantbench import cli, registry
from quantbench.core.config import SweepConfig
from quantbench.core.errors import ConfigError
from quantbench.core.plan import ORIGINAL_ID, make_plan
from quantbench.core.units import EvaluateUnit
from quantbench.worker.access import Access
from quantbench.worker.keys import calibration_rows
from quantbench.worker.measure import evaluate_arm
from quantbench.worker.prepare import prepare

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


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path.name


def config_of(files: dict[str, str], **changes: Any) -> SweepConfig:
    dataset: dict[str, Any] = {
        "path": "json",
        "data_files": files,
        "data_keys": {"question": "question", "context": "context"},
        "ref_keys": ["answers"],
    }
    if "train" in files:
        dataset |= {"calibration_split": "train", "allow_shared_samples": True}
    return SweepConfig.model_validate(
        {
            "task": "question-answering",
            "model_name_or_path": "bundled:questions",
            "dataset": dataset,
            "input_lengths": [32],
        }
        | changes
    )


def test_rows_that_are_not_used_may_be_empty(folder: Path) -> None:
    files = {"validation": write(folder / "rows.jsonl", with_row(27, context=None))}
    config = config_of(files, max_eval_samples=20, sampling="head")
    assert prepare(config).subject.num_eval_samples == 20


@pytest.mark.parametrize("sampling", ["head", "random"])
def test_of_a_split_smaller_than_the_sample_asked_for_all_rows_are_taken(
    folder: Path, sampling: str
) -> None:
    files = {"validation": write(folder / "rows.jsonl", [GOOD] * ROWS)}
    config = config_of(files, max_eval_samples=ROWS + 1, sampling=sampling)
    assert prepare(config).subject.num_eval_samples == ROWS


def test_so_may_rows_that_are_not_calibrated_on(folder: Path) -> None:
    rows = with_row(0, context=None)
    files = {
        "validation": write(folder / "rows.jsonl", [GOOD] * ROWS),
        "train": write(folder / "train.jsonl", rows),
    }
    config = config_of(
        files,
        quantization_approach="static",
        calibration={"num_calibration_samples": 5},
        sampling="random",
    )
    assert 0 not in calibration_rows(config, ROWS, 5)
    assert prepare(config).subject.calibration_num_rows == ROWS


def test_samples_that_are_calibrated_on_and_evaluated_are_refused_unless_allowed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = [GOOD | {"question": f"Who is number {n}?"} for n in range(5)] + [GOOD | {"id": 7}]
    files = {"validation": "rows.jsonl", "train": write(folder / "shared.jsonl", train)}
    config = config_of(
        files, quantization_approach="static", calibration={"num_calibration_samples": 6}
    )
    plain = config.model_dump(mode="json", exclude_unset=True)
    never = plain | {"dataset": plain["dataset"] | {"allow_shared_samples": False}}
    rows = with_row(0, question="Who was it?")
    said = refused(folder, capsys, rows, **never)
    assert "29 of the 30 samples that are evaluated are calibrated on too" in said
    assert "row 1 of validation, which is row 5 of train" in said
    assert prepare(config).subject.num_shared_samples == 29


SAMPLES = "calibration.num_calibration_samples"


def test_a_split_with_fewer_rows_than_are_calibrated_on_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"validation": "rows.jsonl", "train": write(folder / "train.jsonl", [GOOD] * 5)}
    dataset = config_of(files).dataset.model_dump(mode="json", exclude_defaults=True)
    swept = {"quantization_approach": ["static"], SAMPLES: [5, 10]}
    said = refused(folder, capsys, [GOOD] * ROWS, dataset=dataset, benchmarked=swept)
    assert f"{SAMPLES} = 10\n" in said
    assert "the split train has 5 rows" in said
    assert "allowed: 1 to 5\n" in said


@pytest.mark.parametrize("asked", [5, 10])
def test_a_split_may_have_just_as_many_rows_as_are_calibrated_on(folder: Path, asked: int) -> None:
    files = {
        "validation": write(folder / "rows.jsonl", [GOOD] * ROWS),
        "train": write(folder / "five.jsonl", [GOOD] * 5),
    }
    calibration = {"num_calibration_samples": asked}
    config = config_of(files, quantization_approach="static", calibration=calibration)
    if asked == 5:
        assert prepare(config).subject.calibration_num_rows == 5
        return
    with pytest.raises(ConfigError, match=f"{SAMPLES} = 10\n.* the split train has 5 rows"):
        prepare(config)


def test_rows_with_one_id_are_samples_of_their_own(folder: Path) -> None:
    rows = [GOOD | {"id": "same"} for _ in range(ROWS)]
    config = config_of({"validation": write(folder / "rows.jsonl", rows)})
    subject = prepare(config).subject
    original = make_plan(config, registry.task(config.task).spec).arm(ORIGINAL_ID)
    unit = EvaluateUnit(
        config=config,
        subject=subject,
        arm=original,
        artifact_key=None,
        graph_digest=None,
        num_threads=1,
    )
    found = evaluate_arm(unit, Access(folder / "store", fresh=False, on_progress=lambda _: None))
    assert len(set(found.sample_ids)) == ROWS == len(found.predictions)
