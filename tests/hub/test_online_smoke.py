"""What the check of a run on the real hub accepts; the numbers are made up."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import synthetic
from quantbench import registry
from quantbench.core.config_file import check_config
from quantbench.core.plan import ORIGINAL_ID, make_plan
from quantbench.core.results import ArmResult, Evaluation, SweepResult

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def smoke() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "online_smoke", ROOT / "scripts" / "online_smoke.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def result(exact_match: float, **subject: Any) -> SweepResult:
    """Rows 1 to 4 of the made-up sweep, pinned, with another accuracy of the original."""
    sweep = synthetic.sweep()
    assert sweep.plan is not None
    assert sweep.subject is not None
    original = sweep.arm(ORIGINAL_ID)
    assert isinstance(original.evaluation, Evaluation)
    metrics = original.evaluation.metrics | {"exact_match": exact_match}
    better = original.model_copy(
        update={"evaluation": original.evaluation.model_copy(update={"metrics": metrics})}
    )
    pinned = {"model_revision": COMMIT, "dataset_revision": COMMIT} | subject
    arms = [better if arm.arm.id == ORIGINAL_ID else arm for arm in sweep.arms]
    return sweep.model_copy(
        update={
            "arms": tuple(arms),
            "plan": sweep.plan.model_copy(update={"rows": sweep.plan.rows[:4]}),
            "subject": sweep.subject.model_copy(update=pinned),
        }
    )


def problems(smoke: ModuleType, run: SweepResult, at_least: float = 81.0) -> list[str]:
    expected = smoke.Expected("distilbert-squad", "exact_match", at_least, synthetic.NUM_SAMPLES)
    found: list[str] = smoke.problems(run, expected)
    return found


def test_a_run_as_expected_has_no_problems(smoke: ModuleType) -> None:
    assert problems(smoke, result(81.0)) == []


def test_an_original_that_is_too_bad_is_one(smoke: ModuleType) -> None:
    assert problems(smoke, result(80.9)) == ["exact_match of the original is 80.9, not ≥ 81.0"]


@pytest.mark.parametrize("revision", [None, "main", "abc123"])
def test_a_model_or_dataset_that_is_not_pinned_is_one(
    smoke: ModuleType, revision: str | None
) -> None:
    for what in ("model", "dataset"):
        (problem,) = problems(smoke, result(85.0, **{f"{what}_revision": revision}))
        assert problem.startswith(f"the {what} is not pinned")


def test_another_number_of_samples_is_one(smoke: ModuleType) -> None:
    expected = smoke.Expected("distilbert-squad", "exact_match", 81.0, 1000)
    assert smoke.problems(result(85.0), expected) == ["1200 samples, not 1000"]


def test_an_original_without_accuracy_is_one(smoke: ModuleType) -> None:
    run = result(85.0)
    assert run.plan is not None
    empty = ArmResult(arm=run.plan.arm(ORIGINAL_ID))
    arms = tuple(empty if arm.arm.id == ORIGINAL_ID else arm for arm in run.arms)
    (problem,) = problems(smoke, run.model_copy(update={"arms": arms}))
    assert "was not evaluated" in problem


def test_every_row_that_is_not_complete_is_one(smoke: ModuleType) -> None:
    run = result(85.0)
    all_rows = synthetic.sweep().plan
    found = problems(smoke, run.model_copy(update={"plan": all_rows}))
    assert found == [f"row {number} is not complete" for number in (5, 6, 7, 8)]


def test_the_short_copies_are_configs_of_one_row_with_all_samples(smoke: ModuleType) -> None:
    for expected in smoke.EXPECTED:
        path = ROOT / "examples" / f"{expected.example}.yaml"
        whole = yaml.safe_load(path.read_text())
        config = check_config(smoke.shortened(whole), str(path), registry.catalog())
        plan = make_plan(config, registry.task(config.task).spec)
        assert len(plan.rows) == 1
        assert len(plan.cells) == 1
        assert plan.rows[0].trial.parameters["operators_to_quantize"] == ["Add", "MatMul"]
        assert plan.rows[0].arm_id is not None
        for name in ("model_name_or_path", "dataset", "max_eval_samples", "sampling"):
            assert smoke.shortened(whole).get(name) == whole.get(name)
