"""The metadata of a card is what the hub takes; each rule finds what breaks it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import synthetic
from quantbench.analysis.front_matter import front_matter_problems, split_front_matter
from quantbench.core.errors import QuantbenchError
from quantbench.core.results import SweepResult
from quantbench.reports.card import render_card
from quantbench.reports.card_front_matter import card_of_row

GOLDEN = Path(__file__).parent / "golden" / "card.md"
EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "cards").glob("*/README.md"))


def card(**subject: Any) -> str:
    """The card of the synthetic sweep of a model or dataset that is other than usual."""
    return render_card(*synthetic.report_inputs(sweep(**subject)))


def sweep(**subject: Any) -> SweepResult:
    result = synthetic.sweep()
    assert result.subject is not None
    return result.model_copy(update={"subject": result.subject.model_copy(update=subject)})


def front(text: str) -> dict[str, Any]:
    return split_front_matter(text)[0]


def test_the_card_of_a_sweep_has_nothing_that_the_hub_refuses() -> None:
    assert front_matter_problems(front(GOLDEN.read_text())) == ()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_the_cards_of_the_demo_and_the_seed_grids_have_neither(path: Path) -> None:
    assert front_matter_problems(front(path.read_text())) == ()


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("apache-2.0", {"license": "apache-2.0"}),
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("My own terms", {"license": "other", "license_name": "my-own-terms"}),
        ("other", {"license": "other", "license_name": "see-the-base-model"}),
        (None, {}),
    ],
)
def test_the_license_is_one_that_the_hub_lists(given: str | None, written: Any) -> None:
    found = front(card(license=given))
    assert {key: found[key] for key in ("license", "license_name") if key in found} == written
    assert front_matter_problems(found) == ()


@pytest.mark.parametrize("path", ["bundled:questions", "./data/dev set.json", "/data/ö"])
def test_a_dataset_that_is_not_on_the_hub_has_a_type_that_could_be(path: str) -> None:
    config = synthetic.config()
    dataset = config.dataset.model_copy(update={"path": path})
    result = sweep(dataset_path=path, dataset_revision=None)
    changed = result.model_copy(update={"config": config.model_copy(update={"dataset": dataset})})
    found = front(render_card(*synthetic.report_inputs(changed)))
    assert "datasets" not in found
    assert found["model-index"][0]["results"][0]["dataset"]["name"] == path
    assert front_matter_problems(found) == ()


def test_the_card_of_a_row_has_its_metrics_and_keeps_the_rest() -> None:
    result, summary, _ = synthetic.report_inputs(sweep())
    text = GOLDEN.read_text().replace("---\n", "---\nlanguage: en\n", 1)
    found, rest = split_front_matter(card_of_row(text, result, summary.rows[3]))
    metrics = found["model-index"][0]["results"][0]["metrics"]
    assert [metric["name"] for metric in metrics] == [
        "exact_match (row 4, 1200 samples)",
        "f1 (row 4, 1200 samples)",
    ]
    assert found["language"] == "en"
    assert rest == split_front_matter(text)[1]
    same = {key: value for key, value in front(text).items() if key != "model-index"}
    assert {key: value for key, value in found.items() if key != "model-index"} == same


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        place: Any = data
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = to

    return change


def _without(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        place: Any = data
        for part in path[:-1]:
            place = place[part]
        del place[path[-1]]

    return change


RESULT = ("model-index", 0, "results", 0)
METRIC = (*RESULT, "metrics", 0)
IN_RESULT = "model-index[0].results[0]"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (_without("pipeline_tag"), "pipeline_tag"),
        (_without("library_name"), "library_name"),
        (_set("pipeline_tag", to="question_answering"), "pipeline_tag"),
        (_set("pipeline_tag", to=["question-answering"]), "pipeline_tag"),
        (_set("license", to="mine"), "license"),
        (_set("license", to="other"), "license_name"),
        (_set("license_name", to="x"), "license_name"),
        (_set("base_model", to="./model"), "base_model"),
        (_set("base_model_relation", to="quantised"), "base_model_relation"),
        (_without("base_model"), "base_model_relation"),
        (_set("datasets", to="squad"), "datasets"),
        (_set("datasets", to=["data/dev.json/x"]), "datasets"),
        (_set("metrics", to=[1]), "metrics"),
        (_set("tags", to=[None]), "tags"),
        (_set("model-index", to={}), "model-index"),
        (_set("model-index", to=["x"]), "model-index[0]"),
        (_without("model-index", 0, "name"), "model-index[0].name"),
        (_set("model-index", 0, "results", to=[]), "model-index[0].results"),
        (_without(*RESULT, "task"), f"{IN_RESULT}.task.type"),
        (_set(*RESULT, "task", "type", to="qa"), f"{IN_RESULT}.task.type"),
        (_without(*RESULT, "dataset", "type"), f"{IN_RESULT}.dataset.type"),
        (_set(*RESULT, "dataset", "type", to="a b"), f"{IN_RESULT}.dataset.type"),
        (_without(*RESULT, "dataset", "name"), f"{IN_RESULT}.dataset.name"),
        (_set(*RESULT, "dataset", "revision", to=7), f"{IN_RESULT}.dataset.revision"),
        (_set(*RESULT, "metrics", to=None), f"{IN_RESULT}.metrics"),
        (_without(*METRIC, "type"), f"{IN_RESULT}.metrics[0].type"),
        (_set(*METRIC, "value", to="79.8"), f"{IN_RESULT}.metrics[0].value"),
        (_set(*METRIC, "value", to=True), f"{IN_RESULT}.metrics[0].value"),
        (_set(*METRIC, "value", to=float("nan")), f"{IN_RESULT}.metrics[0].value"),
        (_set(*METRIC, "verified", to=True), f"{IN_RESULT}.metrics[0]"),
    ],
)
def test_what_the_hub_would_refuse_is_found_at_its_place(
    change: Callable[[dict[str, Any]], None], place: str
) -> None:
    data = copy.deepcopy(front(GOLDEN.read_text()))
    change(data)
    (problem,) = front_matter_problems(data)
    assert problem.startswith(f"{place}: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# A card\n", "does not begin with front matter"),
        ("---\n- a\n---\n", "is no mapping"),
        ("---\na: [\n---\n", "is no YAML"),
        ("---\na: &x [1]\nb: *x\n---\n", "has aliases"),
        ("---\nwhen: 2026-13-45\n---\n", "is no YAML"),
    ],
)
def test_what_is_no_front_matter_says_why(text: str, said: str) -> None:
    with pytest.raises(QuantbenchError, match=said):
        split_front_matter(text)


def test_odd_values_are_problems_and_no_tracebacks() -> None:
    values = [None, 1, "", [], {}, [[]], [{}], yaml.safe_load("2026-01-01")]
    data = front(GOLDEN.read_text())
    for key in data:
        for value in values:
            assert isinstance(front_matter_problems(data | {key: value}), tuple)
