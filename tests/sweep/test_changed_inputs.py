"""Files written while a run reads them: nothing is kept under the digest of the old ones."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quantbench import store
from quantbench.core.config import SweepConfig
from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.units import EvaluateUnit, ExportUnit, Prepared
from quantbench.data import model_files, models
from quantbench.stages import evaluate as evaluate_stage
from quantbench.stages import export as export_stage
from quantbench.worker.access import Access
from quantbench.worker.answer import answer
from quantbench.worker.keys import unit_keys
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
                "data_files": {"validation": str(data)},
                "data_keys": {"question": "question", "context": "context"},
                "ref_keys": ("answers",),
            },
            "input_lengths": (16,),
        }
    )
    open_config.cache_clear()


def write_to(file: Path) -> None:
    """Another process writes to a file."""
    file.write_bytes(file.read_bytes() + b"\n")


def evaluation(config: SweepConfig, prepared: Prepared) -> EvaluateUnit:
    from quantbench import registry
    from quantbench.core.plan import make_plan

    plan = make_plan(config, registry.task(config.task).spec)
    (original,) = (arm for arm in plan.arms if arm.id == "original")
    return EvaluateUnit(
        config=config,
        subject=prepared.subject,
        arm=original,
        artifact_key=None,
        graph_digest=None,
        num_threads=1,
    )


def done(unit: ExportUnit | EvaluateUnit, root: Path) -> dict[str, Any]:
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
