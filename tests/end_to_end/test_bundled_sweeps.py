"""The whole path on the bundled trained models: config in, results and card out."""

import importlib.resources
import json
from pathlib import Path
from typing import Any, TypeGuard

import pytest
import yaml

from quantbench import cli, registry, run_dir
from quantbench.analysis import flips
from quantbench.analysis.front_matter import front_matter_problems, split_front_matter
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import Artifact, Evaluation, SweepResult, Timing

# A few samples and rounds: enough for every stage to do its work, not for good numbers.
SHORT: dict[str, Any] = {
    "max_eval_samples": 24,
    "batch_sizes": [1],
    "time_benchmark_args": {"duration": 0.5, "warmup_runs": 2},
}


def demo_config(name: str, **changes: Any) -> str:
    text = (importlib.resources.files("quantbench.demo") / f"demo-{name}.yaml").read_text()
    return yaml.safe_dump(yaml.safe_load(text) | SHORT | changes, sort_keys=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweeps")


def run(folder: Path, name: str, text: str) -> int:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTBENCH_STORE", str(folder / "store"))
        return cli.main(["run", str(path), "--out", str(folder / name), "--quiet"])


@pytest.fixture(scope="module")
def questions(folder: Path) -> SweepResult:
    text = demo_config("questions", input_lengths=[32], calibration={"num_calibration_samples": 10})
    assert run(folder, "questions", text) == 0
    return run_dir.load_run(folder / "questions", registry.catalog())


@pytest.fixture(scope="module")
def digits(folder: Path) -> SweepResult:
    assert run(folder, "digits", demo_config("digits")) == 0
    return run_dir.load_run(folder / "digits", registry.catalog())


def artifact(result: SweepResult, number: int) -> Artifact:
    assert result.plan is not None
    arm_id = result.plan.rows[number - 1].arm_id
    assert arm_id is not None
    found = result.arm(arm_id).artifact
    assert isinstance(found, Artifact)
    return found


def test_every_row_of_both_grids_is_evaluated_and_timed(
    questions: SweepResult, digits: SweepResult
) -> None:
    for result in (questions, digits):
        assert result.plan is not None
        assert len(result.plan.rows) == 8
        for row in result.plan.rows:
            assert row.arm_id is not None
            found = result.arm(row.arm_id)
            assert isinstance(found.evaluation, Evaluation)
            assert found.evaluation.num_samples == 24
            assert [isinstance(timing, Timing) for timing in found.timings] == [True]


def test_onnx_runtime_fp32_answers_as_pytorch_does(
    questions: SweepResult, digits: SweepResult
) -> None:
    for result in (questions, digits):
        assert result.plan is not None
        reference_id = result.plan.rows[0].reference_id
        assert reference_id is not None
        original = result.arm(ORIGINAL_ID).evaluation
        reference = result.arm(reference_id).evaluation
        assert isinstance(original, Evaluation)
        assert isinstance(reference, Evaluation)
        assert [item.answer for item in original.predictions] == [
            item.answer for item in reference.predictions
        ]
        assert original.metrics == reference.metrics


def test_the_bundled_models_are_good_enough_for_quantization_to_show(
    questions: SweepResult, digits: SweepResult
) -> None:
    found = questions.arm(ORIGINAL_ID).evaluation
    assert isinstance(found, Evaluation)
    assert found.metrics["exact_match"] >= 70  # of 24; all 500 are held to 80 where they are made
    found = digits.arm(ORIGINAL_ID).evaluation
    assert isinstance(found, Evaluation)
    assert found.metrics["accuracy"] >= 0.9


def test_the_file_has_the_opset_that_was_asked_for(
    questions: SweepResult, digits: SweepResult
) -> None:
    assert {artifact(result, n).opset for result in (questions, digits) for n in (1, 4, 8)} == {11}


def test_dynamic_rows_have_integer_matmuls_and_no_qdq(questions: SweepResult) -> None:
    executed = artifact(questions, 1).executed_nodes["99"]
    assert executed["DynamicQuantizeMatMul"] > 0
    assert "DequantizeLinear" not in executed


def test_exclusions_keep_adds_out_of_static_rows_and_are_counted(questions: SweepResult) -> None:
    with_exclusions, without = artifact(questions, 7), artifact(questions, 8)
    assert set(with_exclusions.exclusion_matches) == {
        "layernorm", "gelu", "residual", "gather", "softmax",
    }  # fmt: skip
    assert all(count > 0 for count in with_exclusions.exclusion_matches.values())
    excluded, every = with_exclusions.nodes["Add"], without.nodes["Add"]
    # An index, as integers cannot be quantized, and the sum with the mask in each of four layers.
    assert every.left == 1 + 4
    assert excluded.excluded > 0
    assert excluded.left == excluded.excluded + 1


def test_all_arms_have_the_same_number_of_threads(questions: SweepResult) -> None:
    assert questions.environment is not None
    threads = {
        process.num_threads
        for arm in questions.arms
        for timing in arm.timings
        if isinstance(timing, Timing)
        for process in timing.processes
    }
    assert threads == {questions.environment.num_threads}


@pytest.mark.usefixtures("questions", "digits")
@pytest.mark.parametrize("name", ["questions", "digits"])
def test_the_front_matter_is_what_the_hub_takes(folder: Path, name: str) -> None:
    data, _ = split_front_matter((folder / name / "README.md").read_text())
    assert front_matter_problems(data) == ()


def test_the_card_has_every_row_and_the_picture(folder: Path, questions: SweepResult) -> None:
    card = (folder / "questions" / "README.md").read_text()
    for heading in ("# Evaluation", "## Non-time metrics", "## Time metrics", "# Environment"):
        assert f"\n{heading}\n" in card
    assert "Below, time metrics for batch size = 1, input length = 32." in card
    assert (folder / "questions" / "plots" / "accuracy_speed-light.svg").exists()
    assert str(folder) not in card  # no path of this machine


def test_a_second_run_takes_all_from_the_store(folder: Path, digits: SweepResult) -> None:
    assert run(folder, "digits-again", demo_config("digits")) == 0
    again = run_dir.load_run(folder / "digits-again", registry.catalog())
    assert all(unit.reused for unit in again.spent)
    for before, after in zip(digits.arms, again.arms, strict=True):
        assert before == after  # the seconds of its making and every raw time included


def test_a_plan_knows_that_all_is_stored(
    folder: Path, digits: SweepResult, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTBENCH_STORE", str(folder / "store"))
        assert cli.main(["plan", str(folder / "digits.yaml"), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["forecast"]
        assert cli.main(["plan", str(folder / "digits.yaml")]) == 0
    work = [step for step in found["steps"] if step["stage"] not in ("prepare", "report")]
    assert len(work) == len({unit.name for unit in digits.spent})
    assert all(step["is_stored"] for step in work)
    assert "All of it is stored" in capsys.readouterr().out


def test_times_are_found_by_what_was_timed_whatever_it_was_called(
    folder: Path, digits: SweepResult
) -> None:
    """Rows 1 and 3 have one graph: alone, the second is not called what the first was called."""
    assert digits.plan is not None
    first, third = (digits.plan.rows[number - 1].arm_id for number in (1, 3))
    config = yaml.safe_load(demo_config("digits"))
    config["benchmarked"] = {
        "operators_to_quantize": [["MatMul", "Gather"]],
        "per_channel": [False],
    }
    assert run(folder, "digits-named", yaml.safe_dump(config, sort_keys=False)) == 0
    named = run_dir.load_run(folder / "digits-named", registry.catalog())
    assert named.plan is not None
    other = named.plan.rows[0].arm_id
    assert other not in (first, third, None)
    assert all(unit.reused for unit in named.spent if unit.stage in ("evaluate", "time"))
    timing = named.arm(str(other)).timings[0]
    assert isinstance(timing, Timing)
    assert timing.session in {
        item.session for arm in digits.arms for item in arm.timings if is_timing(item)
    }
    assert timing.reference_id in {arm.arm.id for arm in named.arms}


def test_no_worker_dies_in_a_run_that_nothing_disturbs(
    questions: SweepResult, digits: SweepResult
) -> None:
    assert {unit.attempts for result in (questions, digits) for unit in result.spent} == {1}


def test_a_row_more_costs_only_its_own_work(folder: Path, digits: SweepResult) -> None:
    """A scheme that is new is quantized, evaluated, and timed with what it is compared with.

    Which row is worst may change with a new row, and with new times: then that one is explained.
    """
    config = yaml.safe_load(demo_config("digits"))
    config["benchmarked"]["operators_to_quantize"].append(["MatMul", "Conv"])
    assert run(folder, "digits-more", yaml.safe_dump(config, sort_keys=False)) == 0
    more = run_dir.load_run(folder / "digits-more", registry.catalog())
    done = [(unit.stage, unit.name) for unit in more.spent if not unit.reused]
    (explained_before,), (explained,) = digits.explained, more.explained
    may_be_done = {"explain"} if explained.arm_id != explained_before.arm_id else set()
    assert {stage for stage, _ in done} - may_be_done == {"quantize", "evaluate", "time"}
    assert more.plan is not None
    known = {arm.arm.id for arm in digits.arms}
    new = [arm for arm in more.arms if arm.arm.id not in known]
    assert sum(stage == "quantize" for stage, _ in done) == len(new)
    old_sessions = {item.session for arm in digits.arms for item in arm.timings if is_timing(item)}
    for arm in more.arms:
        sessions = {item.session for item in arm.timings if is_timing(item)}
        if arm.arm.role == "row" and arm.same_as is None:
            assert len(sessions) == 1
            assert (sessions <= old_sessions) == (arm.arm.id in known)
        elif arm.same_as is None:
            assert len(sessions) == 2  # what others are compared with was there both times


def is_timing(item: object) -> TypeGuard[Timing]:
    return isinstance(item, Timing)


def answers_that_are_numbers(folder: Path) -> dict[str, Any]:
    row = {"question": "who?", "context": "someone", "answers": 3}
    (folder / "numbers.jsonl").write_text(json.dumps(row) + "\n")
    return {
        "dataset": {
            "path": "json",
            "data_files": {"validation": str(folder / "numbers.jsonl")},
            "calibration_split": None,
        },
        "quantization_approach": "dynamic",
        "benchmarked": {"per_channel": [True, False]},
    }


@pytest.mark.parametrize(
    ("demo", "changes", "told"),
    [
        ("digits", {"dataset": {"eval_split": "validaton"}}, "did you mean 'validation'?"),
        ("digits", {"dataset": {"data_keys": {"primary": "picture"}}}, "dataset.data_keys.primary"),
        ("digits", {"model_name_or_path": "bundled:questions"}, "ForImageClassification"),
        ("digits", {"model_name_or_path": "./nowhere"}, "nowhere"),
        ("digits", {"num_threads": 100_000}, "num_threads"),
        ("questions", {"input_lengths": [16, 4000]}, "4000"),
        ("questions", answers_that_are_numbers, "dataset.ref_keys[0]"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], demo: str, changes: Any, told: str
) -> None:
    config = yaml.safe_load(demo_config(demo))
    for name, value in (changes(folder) if callable(changes) else changes).items():
        merged = isinstance(value, dict) and name == "dataset"
        config[name] = config[name] | value if merged else value
    config.pop("per_channel", None)
    assert run(folder, "bad", yaml.safe_dump(config)) == 2
    text = capsys.readouterr().err
    assert told in text
    assert "Traceback" not in text
    assert not (folder / "bad").exists()


def test_the_worst_row_is_explained_and_so_is_any_other(
    questions: SweepResult,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (explained,) = questions.explained
    assert f"## Why row {explained.row} is worst" in (folder / "questions/README.md").read_text()
    monkeypatch.setenv("QUANTBENCH_STORE", str(folder / "store"))
    asked = ["explain", str(folder / "questions"), "--row", "6", "--samples", "2"]
    assert cli.main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["row"] == 6
    assert [layer["name"] for layer in found["layers"]].count("layer.3") == 1
    assert found["explanation"]["num_missing_weights"] == 0
    assert found["output_db"] > 0
    assert {finding["rule"] for finding in found["findings"]} >= {"R2"}
    assert (folder / "questions/explained/row-006.json").exists()
    assert cli.main(asked) == 0
    written = capsys.readouterr().out
    assert "Left in floats" in written
    assert "Error by block" in written


def test_errors_lists_the_samples_of_the_dataset_that_a_row_answers_differently(
    questions: SweepResult,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With so few samples there may be none: two are made up."""
    found = questions.arm(ORIGINAL_ID).evaluation
    assert isinstance(found, Evaluation)
    made = tuple(
        flips.Flip(
            sample_id=sample_id,
            change=-1.0,
            original=answer,
            optimized=answer,
            original_scores={"exact_match": 1.0, "f1": 1.0},
            optimized_scores={"exact_match": 0.0, "f1": 0.5},
        )
        for sample_id, answer in list(zip(found.sample_ids, found.predictions, strict=True))[:2]
    )

    def two(result: SweepResult, row: Any, metrics: Any) -> flips.Flips:
        real = find(result, row, metrics)
        return real.model_copy(update={"flips": made})

    find = flips.find_flips
    monkeypatch.setattr(flips, "find_flips", two)
    assert cli.main(["errors", str(folder / "questions"), "--row", "8", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    first = said["samples"][0]
    assert first["sample_id"] == found.sample_ids[0]
    assert first["original_answer"] in first["sample.context"]
    assert first["sample.answers"]["text"]
    assert (folder / "questions" / "errors" / "row-8.parquet").exists()
    assert cli.main(["errors", str(folder / "questions"), "--row", "8", "--limit", "1"]) == 0
    printed = capsys.readouterr().out
    assert "2 got worse and 0 better" in printed
    assert "1 more: --limit" in printed


def test_errors_with_a_bad_limit_or_row_says_so(
    questions: SweepResult, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert questions.plan is not None
    run = str(folder / "questions")
    assert cli.main(["errors", run, "--row", "8", "--limit", "0"]) == 2
    assert cli.main(["errors", run, "--row", "99"]) == 2
    assert "--limit must be at least 1" in capsys.readouterr().err
