"""The two published cards come out again word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantbench import registry
from quantbench.analysis.compare import summarize
from quantbench.cards.read import read_card
from quantbench.core.errors import UsageError
from quantbench.core.results import SweepResult
from quantbench.core.specs import TaskSpec
from quantbench.reports.card import render_card
from quantbench.reports.card_parity import first_difference, render_parity
from synthetic import IMAGE_CLASSIFICATION, QUESTION_ANSWERING, report_inputs, sweep

DATA = Path(__file__).parents[1] / "data"
CARDS: list[tuple[str, TaskSpec]] = [
    ("distilbert-squad", QUESTION_ANSWERING),
    ("vit-beans", IMAGE_CLASSIFICATION),
]


def card_text(name: str) -> str:
    return (DATA / f"{name}.card.txt").read_text()


def imported(name: str) -> SweepResult:
    return read_card(card_text(name), name, registry.catalog()).result


@pytest.mark.parametrize("name", [name for name, _ in CARDS])
def test_a_published_card_is_rendered_as_it_was(name: str) -> None:
    rendered = render_parity(imported(name))
    assert " ".join(rendered.split()) == " ".join(card_text(name).split())
    assert first_difference(card_text(name), rendered) is None


def test_tables_are_centred_and_padded_to_the_widest_cell() -> None:
    lines = render_parity(imported("vit-beans")).splitlines()
    tables = [line for line in lines if line.startswith("|")]
    first = tables[:10]
    assert len({len(line) for line in first}) == 1
    assert set(first[1]) == set("|: -")


def test_the_header_becomes_a_config() -> None:
    config = imported("distilbert-squad").config
    assert config.backend == "sagemaker-training"
    assert config.backend_args["instance_type"] == "ml.g4dn.2xlarge"
    assert config.max_eval_samples == 1000
    assert config.calibration.num_calibration_samples == 100
    assert config.framework_args.opset == 11
    assert config.batch_sizes == (1, 4, 8)
    assert config.input_lengths == (32, 64, 128)
    assert list(config.benchmarked) == [
        "quantization_approach",
        "operators_to_quantize",
        "node_exclusion",
    ]


@pytest.mark.parametrize(("name", "task"), CARDS)
def test_an_imported_card_has_a_default_form_without_invented_intervals(
    name: str, task: TaskSpec
) -> None:
    result = imported(name)
    card = render_card(*report_inputs(result, task))
    assert "no intervals, and nothing is recommended" in card
    assert "[95 %]" not in card
    assert "speedup of means" in card
    assert "without brackets" not in card
    assert f"datasets:\n- {result.config.dataset.path}\n" in card
    assert len(summarize(result, task).rows) == 8


def test_speedups_of_an_imported_card_are_ratios_of_its_means() -> None:
    summary = summarize(imported("distilbert-squad"), QUESTION_ANSWERING)
    arm = summary.rows[0].arm
    assert arm is not None
    cell = arm.cells[0]
    assert cell.speedup is not None
    assert cell.speedup.value == pytest.approx(47.87 / 7.23)
    assert (cell.speedup.low, cell.speedup.high) == (None, None)
    assert arm.metrics[0].drop == pytest.approx(1.7)


def test_a_measured_sweep_has_no_published_form() -> None:
    with pytest.raises(UsageError, match="only an imported card"):
        render_parity(sweep())


@pytest.mark.parametrize(
    ("given", "rendered", "offset"),
    [("a  b\nc", "a b c\n", None), ("a b", "a x", 2), ("a b", "a", 2), ("a ", "a b", 2)],
)
def test_a_difference_is_found_at_the_first_word_of_the_card_that_has_it(
    given: str, rendered: str, offset: int | None
) -> None:
    assert first_difference(given, rendered) == offset
