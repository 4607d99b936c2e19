"""The whole path with tags: metrics that are no mean over sentences, written and read back."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from quantbench import cli, registry, run_dir
from quantbench.core.config import SweepConfig
from quantbench.core.errors import ConfigError
from quantbench.core.metric_values import metric_value
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import Evaluation, SweepResult
from quantbench.tasks.token_classification import TASK
from quantbench.worker.prepare import prepare
from tiny_taggers import POSITIONS, TAGS, save_tagger, tagged_rows

# In another order than the model's.
NAMES = ("I-LOC", "B-LOC", "O", "I-PER", "B-PER")
ROWS = [
    *tagged_rows(30),
    {"tokens": ["zurich"] * POSITIONS, "ner_tags": [1, 0, 2] * (POSITIONS // 3)},
]
CONFIG: dict[str, Any] = {
    "task": "token-classification",
    "model_name_or_path": "./tagger",
    "dataset": {
        "path": "./data",
        "data_keys": {"tokens": "tokens"},
        "ref_keys": ["ner_tags"],
    },
    "task_args": {"scheme": "IOB2"},
    "batch_sizes": [1],
    "input_lengths": [16],
    "time_benchmark_args": {"duration": 0.3, "warmup_runs": 1},
    "benchmarked": {"quantization_approach": ["dynamic"]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

    root = tmp_path_factory.mktemp("tags")
    save_tagger(root / "tagger")
    features = Features(
        {"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=list(NAMES)))}
    )
    data = DatasetDict(validation=Dataset.from_list(ROWS, features=features))
    data.save_to_disk(root / "data")
    return root


@pytest.fixture(scope="module")
def result(folder: Path) -> SweepResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("QUANTBENCH_STORE", str(folder / "store"))
        Path("sweep.yaml").write_text(yaml.safe_dump(CONFIG))
        assert cli.main(["run", "sweep.yaml", "--out", "run", "--quiet"]) == 0
    return run_dir.load_run(folder / "run", registry.catalog())


def evaluations(result: SweepResult) -> list[Evaluation]:
    found = [arm.evaluation for arm in result.arms if arm.same_as is None]
    return [item for item in found if isinstance(item, Evaluation)]


@pytest.mark.slow
def test_what_each_sentence_contributes_is_read_back_and_gives_the_metrics(
    result: SweepResult,
) -> None:
    assert len(evaluations(result)) >= 2
    for evaluation in evaluations(result):
        for metric in TASK.spec.metrics:
            parts = evaluation.parts[metric.name]
            assert len(parts) == len(ROWS)
            assert evaluation.metrics[metric.name] == metric_value(metric.form, parts)
        num_tags = sum(whole for _, whole in evaluation.parts["accuracy"])
        assert num_tags == sum(len(row["tokens"]) for row in ROWS)


@pytest.mark.slow
def test_every_word_has_a_tag_of_the_model_also_in_long_sentences(result: SweepResult) -> None:
    evaluation = result.arm(ORIGINAL_ID).evaluation
    assert isinstance(evaluation, Evaluation)
    for row, prediction in zip(ROWS, evaluation.predictions, strict=True):
        assert isinstance(prediction.answer, list)
        assert len(prediction.answer) == len(row["tokens"])
        assert set(prediction.answer) <= set(TAGS)
    assert 0 < evaluation.metrics["accuracy"] < 1


@pytest.mark.slow
def test_the_card_has_all_metrics_with_their_drops(folder: Path, result: SweepResult) -> None:
    card = (folder / "run" / "README.md").read_text()
    for metric in TASK.spec.metrics:
        assert metric.name in card
    assert "token-classification" in card


def test_init_writes_a_config_that_plan_accepts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.main(["init", "./tagger", "--dataset", "./data", "--out", "guessed.yaml"]) == 0
        guessed = yaml.safe_load(Path("guessed.yaml").read_text())
        assert cli.main(["plan", "guessed.yaml"]) == 0
    assert guessed["task"] == "token-classification"
    assert guessed["dataset"]["data_keys"] == {"tokens": "tokens"}
    assert guessed["dataset"]["ref_keys"] == ["ner_tags"]
    assert "matched by name" in (folder / "guessed.yaml").read_text()


def test_a_sentence_with_a_tag_too_few_is_refused_before_any_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import Dataset

    rows: list[dict[str, Any]] = [{"tokens": ["a", "b"], "ner_tags": ["O", "O"]} for _ in range(9)]
    rows[7]["ner_tags"] = ["O"]
    Dataset.from_list(rows).to_json(folder / "rows.jsonl")
    monkeypatch.chdir(folder)
    dataset = CONFIG["dataset"] | {"path": "json", "data_files": {"validation": "rows.jsonl"}}
    with pytest.raises(ConfigError) as caught:
        prepare(SweepConfig.model_validate(CONFIG | {"dataset": dataset}))
    said = "row 7: the column ner_tags holds 1 tags, but the column tokens of the row holds 2 words"
    assert said in str(caught.value)
