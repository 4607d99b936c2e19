"""Files written while a run reads them: nothing is kept under the digest of the old ones."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from explain.made_facts import facts
from quantbench import registry, store
from quantbench.core.config import SweepConfig
from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.explanation import Explanation
from quantbench.core.plan import Arm, Plan, calibrated_operators, make_plan
from quantbench.core.results import Block, Timing
from quantbench.core.units import (
    CalibrateUnit,
    EvaluateUnit,
    ExplainUnit,
    ExportUnit,
    Prepared,
    TimedArm,
    TimeUnit,
    Unit,
)
from quantbench.data import model_files, models
from quantbench.stages import calibrate as calibrate_stage
from quantbench.stages import evaluate as evaluate_stage
from quantbench.stages import explain as explain_stage
from quantbench.stages import export as export_stage
from quantbench.stages import time as time_stage
from quantbench.stages.calibrate import RangesFacts
from quantbench.worker.access import Access
from quantbench.worker.answer import answer
from quantbench.worker.keys import time_keys, unit_keys
from quantbench.worker.opened import open_config
from quantbench.worker.prepare import prepare

ROW = '{"question": "Who?", "context": "Ann Lee lives here.", "answers": ["Ann Lee"]}\n'


@pytest.fixture
def model(tmp_path: Path) -> Path:
    bundled = models.resolve_model("bundled:questions", None).directory
    return Path(shutil.copytree(bundled, tmp_path / "model"))


@pytest.fixture
def config(model: Path, tmp_path: Path) -> Iterator[SweepConfig]:
    data = tmp_path / "rows.jsonl"
    data.write_text(ROW * 4)
    open_config.cache_clear()
    yield SweepConfig.model_validate(
        {
            "task": "question-answering",
            "model_name_or_path": str(model),
            "dataset": {
                "path": "json",
                "data_files": {"validation": str(data), "train": str(data)},
                "calibration_split": "train",
                "allow_shared_samples": True,
                "data_keys": {"question": "question", "context": "context"},
                "ref_keys": ("answers",),
            },
            "input_lengths": (16,),
            "quantization_approach": "static",
            "calibration": {"num_calibration_samples": 2},
        }
    )
    open_config.cache_clear()


def write_to(file: Path) -> None:
    """Another process writes to a file."""
    file.write_bytes(file.read_bytes() + b"\n")


def planned(config: SweepConfig) -> Plan:
    return make_plan(config, registry.task(config.task).spec)


def original(config: SweepConfig) -> Arm:
    (found,) = (arm for arm in planned(config).arms if arm.id == "original")
    return found


def evaluation(config: SweepConfig, prepared: Prepared) -> EvaluateUnit:
    return EvaluateUnit(
        config=config,
        subject=prepared.subject,
        arm=original(config),
        artifact_key=None,
        graph_digest=None,
        num_threads=1,
    )


def stored_file(root: Path) -> str:
    """The key of an artifact that holds a file, for a stage that reads one."""

    def build(folder: Path) -> store.Facts:
        (folder / "model.onnx").write_bytes(b"")
        return {}

    store.make(root, "ee" * 16, "export", build)
    return "ee" * 16


def done(unit: Unit, root: Path) -> dict[str, Any]:
    message = {"unit": unit.model_dump(mode="json"), "store": str(root), "fresh": False}
    found: dict[str, Any] = answer(message, lambda _: None)["result"]
    return found


def test_an_export_of_a_model_that_is_written_to_meanwhile_is_not_kept(
    config: SweepConfig, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = prepare(config).subject
    unit = ExportUnit(config=config, subject=subject, export=config.export(), levels=(0,))
    export_onnx = export_stage.export_onnx

    def overwritten(*arguments: Any) -> Any:
        found = export_onnx(*arguments)
        write_to(model / "config.json")
        return found

    monkeypatch.setattr(export_stage, "export_onnx", overwritten)
    result = done(unit, tmp_path / "store")
    assert result["outcome"] == "failed"
    assert "changed while they were read" in result["error"]
    assert "Restore them" in result["hint"]
    assert store.find(tmp_path / "store", *unit_keys(unit)) is None
    # The worker does not take the old digest for the new file.
    again = done(unit, tmp_path / "store")
    assert "the model changed since the run began" in again["error"]


def test_predictions_on_data_that_are_written_to_meanwhile_are_not_kept(
    config: SweepConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = evaluation(config, prepare(config))
    evaluate = evaluate_stage.evaluate

    def overwritten(*arguments: Any, **more: Any) -> Any:
        found = evaluate(*arguments, **more)
        (tmp_path / "rows.jsonl").write_text(ROW * 5)
        return found

    monkeypatch.setattr(evaluate_stage, "evaluate", overwritten)
    result = done(unit, tmp_path / "store")
    assert "changed while they were read" in result["error"]
    assert store.find(tmp_path / "store", *unit_keys(unit)) is None
    assert "the evaluation data changed" in done(unit, tmp_path / "store")["error"]


def test_ranges_of_data_that_are_written_to_meanwhile_are_not_kept(
    config: SweepConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(config)
    ((export, calibration),) = plan.calibrations
    unit = CalibrateUnit(
        config=config,
        subject=prepare(config).subject,
        float_key=stored_file(tmp_path / "store"),
        operators=calibrated_operators(plan, export, calibration),
        calibration=calibration,
    )

    def overwritten(_: Path, samples: Iterator[Any], *__: Any, **___: Any) -> RangesFacts:
        assert len(list(samples)) == 2
        (tmp_path / "rows.jsonl").write_text(ROW * 5)
        return RangesFacts(num_tensors=1, num_samples=2)

    monkeypatch.setattr(calibrate_stage, "collect_ranges", overwritten)
    assert "changed while they were read" in done(unit, tmp_path / "store")["error"]
    assert store.find(tmp_path / "store", *unit_keys(unit)) is None


def test_times_of_a_model_that_is_written_to_meanwhile_are_not_kept(
    config: SweepConfig, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell,) = planned(config).cells
    arms = [
        TimedArm(
            arm=original(config).model_copy(update={"id": name}),
            artifact_key=None,
            graph_digest=None,
            compared_with=compared_with,
        )
        for name, compared_with in (("one", ()), ("other", ("one",)))
    ]
    unit = TimeUnit(
        config=config,
        subject=prepare(config).subject,
        cell=cell,
        reference_id="one",
        arms=tuple(arms),
        num_threads=1,
    )

    def overwritten(*_: Any, **__: Any) -> dict[str, Timing]:
        write_to(model / "config.json")
        timing = Timing(
            cell=cell,
            session="s",
            reference_id="one",
            blocks=(Block(round=0, position=0, samples_ns=(1,)),),
            processes=(),
            stopped="budget",
        )
        return {"one": timing, "other": timing}

    monkeypatch.setattr(time_stage, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(time_stage, "time_cell", overwritten)
    assert "changed while they were read" in done(unit, tmp_path / "store")["error"]
    assert store.find(tmp_path / "store", *time_keys(unit).values()) is None


def test_an_explanation_by_data_that_are_written_to_meanwhile_is_not_kept(
    config: SweepConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(config)
    quantized = next(arm for arm in plan.arms if arm.role == "row")
    key = stored_file(tmp_path / "store")
    unit = ExplainUnit(
        config=config,
        subject=prepare(config).subject,
        arm=quantized,
        float_key=key,
        artifact_key=key,
        cell=plan.cells[0],
        num_samples=2,
        num_threads=1,
    )

    def overwritten(*_: Any, **__: Any) -> Explanation:
        (tmp_path / "rows.jsonl").write_text(ROW * 5)
        return facts()

    monkeypatch.setattr(explain_stage, "explain_file", overwritten)
    assert "changed while they were read" in done(unit, tmp_path / "store")["error"]
    assert store.find(tmp_path / "store", *unit_keys(unit)) is None


def test_what_was_made_of_files_that_stay_is_kept(config: SweepConfig, tmp_path: Path) -> None:
    unit = evaluation(config, prepare(config))
    assert done(unit, tmp_path / "store")["outcome"] == "completed"
    assert store.find(tmp_path / "store", *unit_keys(unit)) is not None


def test_a_model_that_is_written_to_while_its_digest_is_taken_is_refused(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = model_files.digest

    def overwritten(directory: Path) -> str:
        found = digest(directory)
        write_to(model / "config.json")
        return found

    monkeypatch.setattr(model_files, "digest", overwritten)
    with pytest.raises(UsageError, match="changed while they were read"):
        models.resolve_model(str(model), None)


def test_a_file_that_was_touched_and_is_the_same_is_looked_at_again(
    config: SweepConfig, model: Path, tmp_path: Path
) -> None:
    unit = evaluation(config, prepare(config))
    (model / "config.json").touch()
    assert done(unit, tmp_path / "store")["outcome"] == "completed"


def test_access_keeps_nothing_of_a_build_that_raised(tmp_path: Path) -> None:
    def build(_: Path) -> store.Facts:
        raise QuantbenchError("changed")

    with pytest.raises(QuantbenchError, match="changed"):
        Access(tmp_path, False, lambda _: None).make("ab" * 16, "export", build)
    assert store.find(tmp_path, "ab" * 16) is None
