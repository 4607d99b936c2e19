"""A sweep whose metrics are no mean over samples: parts are written, read back and compared."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fake_backend import SAMPLES, FakeBackend
from quantbench import cli, registry, run_dir
from quantbench.analysis.compare import summarize
from quantbench.core.metric_values import metric_value
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import Evaluation, Prediction, SweepResult
from quantbench.tasks.entity_scores import score_tags
from quantbench.tasks.token_classification import TASK
from tiny_taggers import TAGS

CONFIG = """
task: token-classification
model_name_or_path: m
dataset:
  path: d
  data_keys: {tokens: tokens}
  ref_keys: [ner_tags]
input_lengths: [32]
benchmarked:
  quantization_approach: [dynamic]
"""
REFERENCES = [random.Random(number).choices(TAGS, k=8) for number in range(SAMPLES)]
FLIPPED = 3


class TaggingBackend(FakeBackend):
    """Tags: all right by the original, three sentences without an entity by the others."""

    def run(self, unit: Mapping[str, Any], on_progress: Any) -> dict[str, Any]:
        answer = super().run(unit, on_progress)
        if unit["stage"] == "evaluate":
            answer["result"] = evaluation(0 if unit["arm"]["id"] == ORIGINAL_ID else FLIPPED)
        return answer


def evaluation(num_flipped: int) -> dict[str, Any]:
    answers = [["O"] * 8] * num_flipped + REFERENCES[num_flipped:]
    scored = score_tags(answers, REFERENCES, None)
    made = Evaluation(
        num_samples=SAMPLES,
        metrics=scored.metrics,
        sample_ids=tuple(map(str, range(SAMPLES))),
        clusters=None,
        predictions=tuple(Prediction(answer=list(tags)) for tags in answers),
        per_sample=scored.per_sample,
        parts=scored.parts,
        seconds=1.0,
    )
    return made.model_dump(mode="json")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(registry, "backend", lambda _: TaggingBackend())
    (tmp_path / "sweep.yaml").write_text(CONFIG)
    assert cli.main(["run", "sweep.yaml", "--out", "run", "--quiet"]) == 0
    return tmp_path / "run"


def load(folder: Path) -> SweepResult:
    return run_dir.load_run(folder, registry.catalog())


def test_parts_are_read_back_and_give_the_metrics(folder: Path) -> None:
    found = [arm.evaluation for arm in load(folder).arms if arm.evaluation is not None]
    assert len(found) == 3
    for each in found:
        assert isinstance(each, Evaluation)
        for metric in TASK.spec.metrics:
            parts = each.parts[metric.name]
            assert len(parts) == SAMPLES
            assert each.metrics[metric.name] == metric_value(metric.form, parts)


def test_drops_are_of_the_metric_over_all_sentences(folder: Path) -> None:
    result = load(folder)
    (row,) = summarize(result, TASK.spec).rows
    assert row.arm is not None
    found = {metric.name: metric for metric in row.arm.metrics}
    lost = evaluation(FLIPPED)["metrics"]
    for name, metric in found.items():
        assert metric.drop == pytest.approx(100 * (1 - lost[name]))
        assert metric.low <= metric.drop <= metric.high
        assert metric.method == "bootstrap"
    assert (found["f1"].worse, found["f1"].better) == (FLIPPED, 0)
    # What was not found is not found wrongly.
    assert found["precision"].drop == 0


def test_the_card_has_all_metrics(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    assert "pipeline_tag: token-classification" in card
    for metric in TASK.spec.metrics:
        assert metric.name in card
