"""A whole sweep of a small text classifier: metrics that are no means go to the files and back."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fake_backend import FakeBackend
from quantbench import cli, registry, run_dir
from quantbench.analysis.compare import summarize
from quantbench.analysis.distance import kl_divergence_nats
from quantbench.core.metric_values import metric_value
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import Evaluation, SweepResult
from quantbench.core.specs import BackendSpec
from quantbench.worker.answer import answer
from small_texts import save_text_classifier

TEXTS = (
    "who built the bridge ?", "the river is long .", "a stone town", "", "was it named after it ?",
    "the engineer opened the bridge in 1890s", "what is wide ?", "unbelievable , zurich !",
)  # fmt: skip
METRICS = ("accuracy", "macro_f1", "matthews_correlation", "f1")


class Untimed:
    """All work is done in this process, but for the times, which are made up."""

    spec = BackendSpec("local")

    def __init__(self) -> None:
        self.made_up = FakeBackend()
        self.lock = threading.Lock()

    def open(self, args: Mapping[str, Any], store: Path, *, fresh: bool) -> "Untimed":
        self.store = store
        return self

    def run(self, unit: Mapping[str, Any], on_progress: Any) -> dict[str, Any]:
        with self.lock:
            if unit["stage"] in ("time", "explain"):
                return self.made_up.run(unit, on_progress)
            message = {"unit": dict(unit), "store": str(self.store), "fresh": False}
            return answer(message, lambda _: None)

    def close(self) -> None:
        self.made_up.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a sweep of 8 pairs of texts was run."""
    root = tmp_path_factory.mktemp("texts")
    save_text_classifier(root / "model", "no", "yes")
    rows = [
        {"one": text, "two": other, "label": ("yes", "no")[n % 2]}
        for n, (text, other) in enumerate(zip(TEXTS, reversed(TEXTS), strict=True))
    ]
    (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config: dict[str, Any] = {
        "task": "text-classification",
        "model_name_or_path": "./model",
        "dataset": {
            "path": "json",
            "data_files": {"validation": "rows.jsonl"},
            "data_keys": {"text": "one", "text_pair": "two"},
            "ref_keys": ["label"],
        },
        "task_args": {"positive_class": "yes"},
        "input_lengths": [16],
        "benchmarked": {"per_channel": [False]},
    }
    (root / "sweep.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(registry, "backend", lambda _: Untimed())
        patch.setenv("QUANTBENCH_STORE", str(root / "store"))
        assert cli.main(["run", "sweep.yaml", "--out", "run", "--quiet"]) == 0
    return root


@pytest.fixture(scope="module")
def result(folder: Path) -> SweepResult:
    return run_dir.load_run(folder / "run", registry.catalog())


def evaluations(result: SweepResult) -> list[Evaluation]:
    found = [arm.evaluation for arm in result.arms]
    return [item for item in found if isinstance(item, Evaluation)]


def test_every_model_has_all_metrics_and_the_parts_that_they_follow_from(
    result: SweepResult,
) -> None:
    spec = registry.task("text-classification").spec
    assert len(evaluations(result)) == 3  # PyTorch, fp32 and the row
    for evaluation in evaluations(result):
        assert tuple(evaluation.metrics) == METRICS
        assert evaluation.num_samples == len(TEXTS)
        assert tuple(evaluation.parts) == METRICS[1:]
        for name, parts in evaluation.parts.items():
            value = metric_value(spec.metric(name).form, parts)
            assert evaluation.metrics[name] == pytest.approx(value)


def test_onnx_runtime_answers_as_pytorch_does(result: SweepResult) -> None:
    original, reference, _ = evaluations(result)
    assert {prediction.name for prediction in original.predictions} == {"no", "yes"}
    assert original.parts == reference.parts
    assert [prediction.score for prediction in original.predictions] == pytest.approx(
        [prediction.score for prediction in reference.predictions], abs=1e-5
    )


def test_the_row_is_compared_in_every_metric(result: SweepResult) -> None:
    summary = summarize(result, registry.task("text-classification").spec)
    (row,) = summary.rows
    assert row.arm is not None
    assert tuple(metric.name for metric in row.arm.metrics) == METRICS
    for metric in row.arm.metrics:
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low <= metric.drop <= metric.high
    assert result.arm(ORIGINAL_ID).arm.framework == "pytorch"


def test_the_quantized_model_is_farther_from_the_original_than_the_export(
    result: SweepResult,
) -> None:
    original, reference, quantized = evaluations(result)
    assert all(len(item.log_probabilities[0]) == 2 for item in original.predictions)
    exported = kl_divergence_nats(original, reference)
    assert exported == pytest.approx(0.0, abs=1e-7)
    summary = summarize(result, registry.task("text-classification").spec)
    (row,) = summary.rows
    assert row.arm is not None
    assert row.arm.kl_divergence_nats == kl_divergence_nats(original, quantized)
    assert row.arm.kl_divergence_nats is not None
    assert row.arm.kl_divergence_nats > exported
    assert row.arm.logit_rms is None


def test_the_card_has_every_metric(folder: Path) -> None:
    card = (folder / "run" / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["pipeline_tag"] == "text-classification"
    assert tuple(front["metrics"]) == METRICS
    for name in METRICS:
        assert f"{name} (original)" in card
