"""The default card. Run with QUANTBENCH_WRITE_GOLDEN=1 to accept a changed rendering."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from synthetic import IMAGE_CLASSIFICATION, QUESTION_ANSWERING, config, sweep

from quantbench.core.config import SweepConfig
from quantbench.core.plan import make_plan
from quantbench.core.results import SweepResult
from quantbench.reports import card as card_report
from quantbench.reports.card import render_card
from quantbench.reports.card_front_matter import is_hub_name

GOLDEN = Path(__file__).parent / "golden" / "card.md"
BLOCKED = """
import sys
for name in ("torch", "transformers", "onnx", "onnxruntime", "datasets"):
    sys.modules[name] = None
from synthetic import QUESTION_ANSWERING, sweep
from quantbench.reports import card, plots, tables
from pathlib import Path
for report in (card, plots, tables):
    report.REPORT.write(sweep(), QUESTION_ANSWERING, Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def card() -> str:
    return render_card(sweep(), QUESTION_ANSWERING)


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


def test_a_local_model_is_not_named_as_a_hub_repository() -> None:
    local = config(model_name_or_path="/models/<b>mine", dataset=dataset(path="bundled:questions"))
    result = sweep().model_copy(update={"config": local})
    card = render_card(result, QUESTION_ANSWERING)
    data = front(card)
    assert "base_model" not in data
    assert "datasets" not in data
    assert "# &lt;b&gt;mine, quantized for CPU" in card


def dataset(path: str) -> dict[str, object]:
    return {**config().dataset.model_dump(mode="json", exclude_unset=True), "path": path}


@pytest.mark.parametrize(
    ("name", "is_name"),
    [
        ("squad", True),
        ("org/name-1.0", True),
        ("./local", False),
        ("/abs/path", False),
        ("a/b/c", False),
        ("bundled:digits", False),
        ("csv", False),
    ],
)
def test_hub_names_are_told_from_paths(name: str, is_name: bool) -> None:
    assert is_hub_name(name) is is_name


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
    card = render_card(SweepResult(config=asked, plan=plan), IMAGE_CLASSIFICATION)
    assert "There is no axis of input lengths (asked for: `[32, 64]`)" in card
    assert card.count("Below, time metrics") == 2
    assert "input length =" not in card


def test_a_sweep_of_which_nothing_ran_still_has_a_card() -> None:
    result = sweep()
    card = render_card(result.model_copy(update={"arms": ()}), QUESTION_ANSWERING)
    assert "has not been run" in card
    assert "**Recommended: nothing**" in card
    assert "<picture>" not in card


def test_an_invalid_session_is_said_at_the_top() -> None:
    result = sweep()
    twin = next(arm for arm in result.arms if arm.arm.role == "reference_twin")
    slow = next(arm for arm in result.arms if arm.arm.role == "original")
    arms = [a.model_copy(update={"timings": slow.timings}) if a is twin else a for a in result.arms]
    card = render_card(result.model_copy(update={"arms": tuple(arms)}), QUESTION_ANSWERING)
    assert "**The timing session is not valid**" in card.split("# Evaluation")[0]


def test_the_report_writes_the_readme(tmp_path: Path) -> None:
    written = card_report.REPORT.write(sweep(), QUESTION_ANSWERING, tmp_path)
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
