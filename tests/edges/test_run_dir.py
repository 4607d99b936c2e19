"""A run's folder holds one config, and is refused before anything is written if it cannot."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from quantbench import environment, registry, run_dir
from quantbench.core.config import SweepConfig
from quantbench.core.config_file import read_config
from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.plan import make_plan
from quantbench.core.results import ArmResult, Spent, Subject
from quantbench.core.units import Prepared

CONFIG: dict[str, Any] = {
    "task": "image-classification",
    "model_name_or_path": "m",
    "dataset": {"path": "d", "data_keys": {"primary": "image"}, "ref_keys": ["labels"]},
}
SUBJECT = Subject(
    model_name_or_path="m",
    model_revision=None,
    model_digest="0" * 64,
    model_type="vit",
    architecture="ViTForImageClassification",
    num_parameters=1,
    license=None,
    dataset_path="d",
    dataset_revision=None,
    eval_fingerprint="1" * 64,
    eval_num_rows=10,
    num_eval_samples=10,
    calibration_fingerprint=None,
    calibration_num_rows=None,
)


def config(**changes: Any) -> SweepConfig:
    return SweepConfig.model_validate_json(json.dumps(CONFIG | changes))


def start(path: Path, subject: Subject = SUBJECT, *, fresh: bool = False) -> run_dir.RunDir:
    with run_dir.locked(path):
        pass
    plan = make_plan(config(), registry.task("image-classification").spec)
    prepared = Prepared(
        subject=subject, environment=environment.read_environment(2), files=("a/*",), stamp="s"
    )
    return run_dir.open_run(path, config(), json.dumps(CONFIG), plan, prepared, fresh)


def check(path: Path, given: SweepConfig | None = None) -> None:
    run_dir.check_target(path, given or config(), registry.catalog())


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    run = start(tmp_path / "runs" / "one")
    result = run_dir.load_run(run.path, registry.catalog())
    assert result.plan is not None
    arm = result.plan.arms[0]
    run.write_arm(ArmResult(arm=arm))
    again = run_dir.load_run(run.path, registry.catalog())
    assert again.config == config()
    assert again.subject == SUBJECT
    assert again.arms == (ArmResult(arm=arm),)


def test_a_new_or_empty_folder_is_fine_and_is_not_made_by_the_check(tmp_path: Path) -> None:
    check(tmp_path / "a" / "b")
    check(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_same_config_may_go_on(tmp_path: Path) -> None:
    start(tmp_path / "run")
    check(tmp_path / "run")
    start(tmp_path / "run")


def test_a_folder_of_another_config_is_refused_with_the_difference(tmp_path: Path) -> None:
    start(tmp_path / "run")
    with pytest.raises(UsageError, match="seed: 0 there, 1 given"):
        check(tmp_path / "run", config(seed=1))


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="not empty and holds no run"):
        check(tmp_path)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(UsageError, match="is a file"):
        check(tmp_path / "run")


def test_a_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_dir.os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(UsageError, match="cannot be written"):
        check(tmp_path / "run")


def test_results_of_another_model_are_not_mixed_in(tmp_path: Path) -> None:
    start(tmp_path / "run")
    other = SUBJECT.model_copy(update={"model_digest": "f" * 64})
    with pytest.raises(UsageError, match="the model or the data differs"):
        start(tmp_path / "run", other)


def test_a_run_of_an_unknown_format_is_refused(tmp_path: Path) -> None:
    start(tmp_path / "run")
    file = tmp_path / "run" / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schema_version": 99}))
    with pytest.raises(QuantbenchError, match="format version 99"):
        run_dir.load_run(tmp_path / "run", registry.catalog())


def test_what_is_no_run_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        run_dir.load_run(tmp_path, registry.catalog())


def test_two_processes_cannot_write_to_one_folder(tmp_path: Path) -> None:
    with (
        run_dir.locked(tmp_path / "run"),
        pytest.raises(UsageError, match="another quantbench is running"),
        run_dir.locked(tmp_path / "run"),
    ):
        pass
    with run_dir.locked(tmp_path / "run"):
        pass


def test_a_run_that_was_ended_at_its_very_start_can_go_on(tmp_path: Path) -> None:
    (tmp_path / "run" / "results").mkdir(parents=True)
    with run_dir.locked(tmp_path / "run"):
        check(tmp_path / "run")


@pytest.mark.parametrize("name", ["run.json", "plan.json"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    start(tmp_path / "run")
    (tmp_path / "run" / name).write_text('{"half": ')
    with pytest.raises(QuantbenchError, match=f"{name} is damaged"):
        run_dir.load_run(tmp_path / "run", registry.catalog())


def test_fresh_throws_away_what_was_measured_there(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    plan = make_plan(config(), registry.task("image-classification").spec)
    run.write_arm(ArmResult(arm=plan.arms[0]))
    run.add_spent(Spent(stage="export", name="opset 17", seconds=1.0, peak_rss_bytes=None))
    again = start(tmp_path / "run", fresh=True)
    assert again.read_arms() == {}
    assert again.read_spent() == ()


def test_fresh_may_change_the_model_under_a_run(tmp_path: Path) -> None:
    start(tmp_path / "run")
    other = SUBJECT.model_copy(update={"model_digest": "f" * 64})
    start(tmp_path / "run", other, fresh=True)
    assert run_dir.load_run(tmp_path / "run", registry.catalog()).subject == other


def test_the_pinned_config_has_the_commits_and_all_defaults(tmp_path: Path) -> None:
    subject = SUBJECT.model_copy(update={"model_revision": "a" * 40, "dataset_revision": "b" * 40})
    prepared = Prepared(subject=subject, environment=environment.read_environment(2))
    pinned = run_dir.pinned(config(), prepared)
    assert (pinned.model_revision, pinned.dataset.revision) == ("a" * 40, "b" * 40)
    run = start(tmp_path / "run")
    text = (run.path / "pinned.yaml").read_text()
    assert "optimization_level: 99" in text
    assert read_config(text, "pinned.yaml", registry.catalog()).seed == config().seed


def test_what_was_prepared_is_known_to_whoever_goes_on(tmp_path: Path) -> None:
    assert run_dir.prepared_before(tmp_path / "run") is None
    start(tmp_path / "run")
    found = run_dir.prepared_before(tmp_path / "run")
    assert found is not None
    assert (found.subject, found.files, found.stamp) == (SUBJECT, ("a/*",), "s")


def test_half_written_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    left = [run.path / ".table.parquet-abcdefgh", run.path / "arms" / ".original.json-abcd1234"]
    for file in left:
        file.write_text("half")
    start(tmp_path / "run")
    assert not any(file.exists() for file in left)


def test_a_line_that_was_cut_off_does_not_block_the_run(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    spent = Spent(stage="export", name="opset 17", seconds=1.0, peak_rss_bytes=None)
    run.add_spent(spent)
    with (run.path / "spent.jsonl").open("a") as file:
        file.write('{"stage": "quanti')
    assert start(tmp_path / "run").read_spent() == (spent,)


def test_a_fresh_start_that_was_killed_is_begun_again(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    for name in ("arms", "results"):
        (run.path / name).rmdir()
    again = start(tmp_path / "run")
    plan = make_plan(config(), registry.task("image-classification").spec)
    again.write_arm(ArmResult(arm=plan.arms[0]))


def test_a_license_that_was_corrected_does_not_make_it_another_model(tmp_path: Path) -> None:
    start(tmp_path / "run")
    start(tmp_path / "run", SUBJECT.model_copy(update={"license": "mit"}))


def put_a_pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize("name", ["run.json", "plan.json", "config.yaml", "spent.jsonl", "log.txt"])
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    start(tmp_path / "run")
    put_a_pipe(tmp_path / "run" / name)
    with pytest.raises(UsageError, match=f"{name} is no ordinary file"):
        run_dir.load_run(tmp_path / "run", registry.catalog())
    with pytest.raises(UsageError, match=f"{name} is no ordinary file"):
        check(tmp_path / "run")
    with pytest.raises(UsageError, match=f"{name} is no ordinary file"):
        start(tmp_path / "run")


def test_a_folder_in_place_of_a_file_and_a_file_in_place_of_a_folder_are_refused(
    tmp_path: Path,
) -> None:
    start(tmp_path / "file")
    (tmp_path / "file" / "plan.json").unlink()
    (tmp_path / "file" / "plan.json").mkdir()
    with pytest.raises(UsageError, match=r"plan\.json is no ordinary file"):
        run_dir.load_run(tmp_path / "file", registry.catalog())
    start(tmp_path / "folder")
    (tmp_path / "folder" / "arms").rmdir()
    (tmp_path / "folder" / "arms").touch()
    with pytest.raises(UsageError, match="arms is no folder"):
        run_dir.load_run(tmp_path / "folder", registry.catalog())


def test_a_pipe_in_place_of_the_result_of_an_arm_is_named(tmp_path: Path) -> None:
    start(tmp_path / "run")
    put_a_pipe(tmp_path / "run" / "arms" / "original.json")
    with pytest.raises(QuantbenchError, match=r"original\.json is damaged: it is no ordinary file"):
        run_dir.load_run(tmp_path / "run", registry.catalog())
