"""The default card. Run with QUANTBENCH_WRITE_GOLDEN=1 to accept a changed rendering."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from quantbench.core.config import SweepConfig
from quantbench.core.plan import ORIGINAL_ID, make_plan
from quantbench.core.results import Artifact, Evaluation, Failed, PreparedFacts, SweepResult
from quantbench.core.specs import MetricSpec, TaskSpec
from quantbench.reports import card as card_report
from quantbench.reports.card import render_card
from synthetic import (
    IMAGE_CLASSIFICATION,
    NUM_SAMPLES,
    QUESTION_ANSWERING,
    config,
    report_inputs,
    subject,
    sweep,
    with_arm,
    with_few_rounds,
    with_invalid_session,
)

PREPARED = PreparedFacts(
    num_masks=1,
    num_folded=8,
    num_multiplied=4,
    fused={"Attention": 6, "BiasGelu": 6},
    largest_difference=3.2e-6,
)
GOLDEN = Path(__file__).parent / "golden" / "card.md"
BLOCKED = """
import sys
for name in ("torch", "transformers", "onnx", "onnxruntime", "datasets"):
    sys.modules[name] = None
from synthetic import report_inputs, sweep
from quantbench.reports import card, plots, tables
from pathlib import Path
for report in (card, plots, tables):
    report.REPORT.write(*report_inputs(sweep()), Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def card() -> str:
    return card_of(sweep())


def card_of(result: SweepResult, task: TaskSpec = QUESTION_ANSWERING) -> str:
    return render_card(*report_inputs(result, task))


def front(card: str) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(card.split("---\n")[1])
    return found


def test_the_card_is_the_golden_one(card: str) -> None:
    if os.environ.get("QUANTBENCH_WRITE_GOLDEN"):
        GOLDEN.write_text(card, encoding="utf-8")
    assert card == GOLDEN.read_text(encoding="utf-8")


def test_the_headings_are_in_the_order_of_the_published_cards(card: str) -> None:
    places = [
        card.index(part)
        for part in (
            "**Recommended",
            "<picture>",
            "**task**: `question-answering`  \n",
            "**Backend:**",
            "**Backend args:**",
            "**Number of evaluation samples:**",
            "Fixed parameters:",
            "Benchmarked parameters:",
            "# Evaluation\n",
            "## Non-time metrics",
            "## Time metrics",
            "Below, time metrics for batch size = 1, input length = 32.",
            "# Environment",
            "# How to reproduce",
        )
    ]
    assert places == sorted(places)


def test_the_front_matter_has_the_published_keys_first_then_the_hubs(card: str) -> None:
    data = front(card)
    assert list(data) == [
        "pipeline_tag",
        "datasets",
        "metrics",
        "tags",
        "base_model",
        "base_model_relation",
        "library_name",
        "license",
        "model-index",
    ]
    assert data["base_model_relation"] == "quantized"
    assert data["metrics"] == ["exact_match", "f1"]


def test_the_config_in_the_card_is_the_one_that_was_run(card: str) -> None:
    written = re.search(r"```yaml\n(.*?)```", card, re.DOTALL)
    assert written is not None
    assert SweepConfig.model_validate(yaml.safe_load(written[1])) == config()


def test_every_table_has_rows_of_one_length(card: str) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        lines = table.splitlines()
        assert len({len(re.split(r"(?<!\\)\|", line)) for line in lines}) == 1
        assert len({len(line) for line in lines}) == 1


def test_what_has_no_commit_is_not_named_as_a_hub_repository() -> None:
    asked = config(model_name_or_path="models/<b>mine", dataset=dataset(path="data/questions"))
    local = subject().model_copy(update={"model_revision": None, "dataset_revision": None})
    card = card_of(sweep().model_copy(update={"config": asked, "subject": local}))
    data = front(card)
    assert "base_model" not in data
    assert "datasets" not in data
    assert "# &lt;b&gt;mine, quantized for CPU" in card


def dataset(path: str) -> dict[str, object]:
    return {**config().dataset.model_dump(mode="json", exclude_unset=True), "path": path}


def test_a_task_without_lengths_prints_no_axis_of_lengths_and_says_why() -> None:
    asked = config(
        task="image-classification",
        dataset={
            "path": "org/pictures",
            "data_keys": {"primary": "image"},
            "ref_keys": ["labels"],
            "calibration_split": "train",
        },
        input_lengths=[32, 64],
    )
    plan = make_plan(asked, IMAGE_CLASSIFICATION)
    card = card_of(SweepResult(config=asked, plan=plan), IMAGE_CLASSIFICATION)
    assert "There is no axis of input lengths (asked for: `[32, 64]`)" in card
    assert card.count("Below, time metrics") == 2
    assert "input length =" not in card


def test_where_there_were_fewer_samples_than_asked_for_the_card_says_both_numbers() -> None:
    card = card_of(sweep(config(max_eval_samples=NUM_SAMPLES + 1)))
    assert f"{NUM_SAMPLES:,} ({NUM_SAMPLES + 1} asked for)" in card


def test_a_sweep_of_which_nothing_ran_still_has_a_card() -> None:
    result = sweep()
    card = card_of(result.model_copy(update={"arms": ()}))
    assert "has not been run" in card
    assert "**Recommended: nothing**" in card
    assert "<picture>" not in card


def test_an_invalid_session_is_said_before_what_is_recommended() -> None:
    quoted = [
        line for line in card_of(with_invalid_session(sweep())).splitlines() if line[:1] == ">"
    ]
    assert quoted[0].startswith("> **Caution**: The timing session is not valid")
    assert any(line.startswith("> **Recommended: row 3**") for line in quoted)


def test_a_speedup_without_an_interval_is_marked_and_the_brackets_are_explained() -> None:
    card = card_of(with_few_rounds(sweep()))
    assert "A speed-up without brackets has too few process sets for an interval." in card
    assert "(unresolved: too few process sets)" in card
    assert "±" not in card.partition("(unresolved")[2].partition("\n")[0]
    assert "without brackets" not in card_of(sweep())


def test_rows_that_lack_a_drop_say_whose_evaluation_failed() -> None:
    failure = Failed(stage="evaluate", error="the labels do not fit", hint="Give labels.")
    card = card_of(with_arm(sweep(), ORIGINAL_ID, evaluation=failure))
    assert "* PyTorch eager failed in evaluate: the labels do not fit. Give labels." in card
    rows = "* rows 1, 2, 3, 4, 7: PyTorch eager failed in evaluate: the labels do not fit."
    assert rows in card


def test_an_operator_that_the_model_lacks_is_listed_as_changing_nothing() -> None:
    asked = config(
        quantization_approach="dynamic",
        benchmarked={"operators_to_quantize": [["MatMul"], ["MatMul", "Conv", "LSTM"]]},
    )
    card = card_of(sweep(asked))
    assert "* `operators_to_quantize` `Conv` in row 1: the model has no Conv node." in card
    assert "* `operators_to_quantize` `LSTM` in row 1: the model has no LSTM node." in card


def test_an_error_keeps_its_dots_and_gets_one_period() -> None:
    failure = Failed(stage="quantize", error="no file ../model.onnx.", hint="Look...")
    result = sweep()
    card = card_of(with_arm(result, result.plan.rows[2].arm_id, artifact=failure, evaluation=None))  # type: ignore
    assert "failed in quantize: no file ../model.onnx. Look...\n" in card


def test_the_report_writes_the_readme(tmp_path: Path) -> None:
    written = card_report.REPORT.write(*report_inputs(sweep()), tmp_path)
    assert written == [tmp_path / "README.md"]


def test_reports_need_no_model_library(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    subprocess.run(
        [sys.executable, "-c", BLOCKED, str(tmp_path)],
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (tmp_path / "README.md").exists()
    assert (tmp_path / "table.parquet").exists()
    assert (tmp_path / "plots" / "accuracy_speed-dark.svg").exists()


def test_a_noise_floor_without_an_interval_is_not_called_valid() -> None:
    text = card_of(with_few_rounds(sweep()))
    assert "unknown: too few process sets" in text.split("## Noise floor")[1].split("## Method")[0]


def test_rows_that_may_saturate_on_the_machine_are_warned_of_by_number(card: str) -> None:
    result = sweep()
    assert result.environment is not None
    cpu = result.environment.cpu.model_copy(update={"flags": ("avx2", "avx512f")})
    machine = result.environment.model_copy(update={"cpu": cpu})
    warned = card_of(result.model_copy(update={"environment": machine}))
    assert "Warnings:\n\n* rows " in warned or "Warnings:\n* rows " in warned
    assert "can saturate on this processor, which has no VNNI" in warned
    assert "can saturate" not in card


def test_what_was_done_to_the_float_file_is_said_beside_what_was_quantized() -> None:
    result = sweep()
    quantized = [arm for arm in result.arms if isinstance(arm.artifact, Artifact)]
    arm = next(arm for arm in quantized if arm.arm.id.startswith("onnxruntime-dynamic"))
    assert isinstance(arm.artifact, Artifact)

    def card(prepared: PreparedFacts) -> str:
        changed = arm.artifact.model_copy(update={"prepared": prepared})
        return render_card(*report_inputs(with_arm(result, arm.arm.id, artifact=changed)))

    assert (
        "float file first: 1 mask clamped; 12 activations smoothed (4 by a new node); fused to "
        "`Attention` 6, `BiasGelu` 6 (outputs within 3e-06)<br>"
    ) in card(PREPARED)
    assert "float file first: 1 mask clamped (outputs unchanged)" in card(
        PreparedFacts(num_masks=1)
    )
    assert "float file first: nothing to do (outputs unchanged)" in card(PreparedFacts())


def test_a_task_of_several_metrics_has_all_of_them_in_every_table() -> None:
    names = ("exact_match", "f1", "precision", "recall")
    forms = ("mean", "f1", "ratio", "ratio")
    metrics = tuple(
        MetricSpec(name, 100.0, form == "mean", form)  # type: ignore[arg-type]
        for name, form in zip(names, forms, strict=True)
    )
    task = dataclasses.replace(QUESTION_ANSWERING, metrics=metrics)
    result = sweep()
    for arm in result.arms:
        if isinstance(arm.evaluation, Evaluation):
            result = with_arm(result, arm.arm.id, evaluation=in_fractions(arm.evaluation, names))
    card = card_of(result, task)
    assert front(card)["metrics"] == list(names)
    (index,) = front(card)["model-index"]  # type: ignore[misc]
    told = index["results"][0]["metrics"]
    assert [metric["type"] for metric in told] == list(names)
    assert all(0 <= metric["value"] <= 1 for metric in told)
    heads = [line for line in card.splitlines() if line.startswith("|") and "exact_match" in line]
    assert len(heads) == 3
    for head in heads:
        places = [head.index(name) for name in names]
        assert places == sorted(places)
    for name in names:
        assert f"{name} (original)" in card
    table = card[card.index("exact_match (original)") :].split("\n\n")[0].splitlines()
    widths = {line.count("|") - line.count("\\|") for line in table[1:]}
    assert len(widths) == 1
    assert all("[" in line for line in table[2:] if "0.8" in line)


def in_fractions(evaluation: Evaluation, names: tuple[str, ...]) -> Evaluation:
    """The evaluation with the same scores for all metrics, and parts where they are no means."""
    scores = evaluation.per_sample["exact_match"]
    counts = {1: (1.0,), 2: (1.0, 1.0), 3: (1.0, 1.0, 1.0)}
    parts = {
        name: tuple((score, *counts[width][1:]) for score in scores)
        for name, width in zip(names[1:], (3, 2, 2), strict=True)
    }
    return evaluation.model_copy(
        update={
            "metrics": dict.fromkeys(names, sum(scores) / len(scores)),
            "per_sample": dict.fromkeys(names, scores),
            "parts": parts,
        }
    )
