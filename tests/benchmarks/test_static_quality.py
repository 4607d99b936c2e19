"""The benchmark of static quality: its configs, its choice, and what it refuses to report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import quality_sweeps
import static_quality
from quantbench import registry
from quantbench.core.config_file import read_config
from quantbench.core.plan import make_plan
from quantbench.core.summary import ArmSummary, MetricSummary, RowSummary, SweepSummary
from swept import EXCLUSIONS, Swept, words

SUBJECT = static_quality.Subject("tiny", "bundled:questions", Path("train.jsonl"))
SWEEPS = quality_sweeps.CANDIDATES | {"dynamic": quality_sweeps.DYNAMIC}


def planned(sweep: Mapping[str, Any], *, quick: bool = False) -> list[Any]:
    config = static_quality.config(SUBJECT, Path("rows.jsonl"), sweep, quick=quick)
    fixed = {name: value for name, value in config.items() if name not in config["benchmarked"]}
    checked = read_config(yaml.safe_dump(fixed), "sweep", registry.catalog())
    return list(make_plan(checked, registry.task(checked.task).spec).rows)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", SWEEPS)
def test_every_sweep_can_be_planned_and_none_of_its_rows_is_refused(name: str, quick: bool) -> None:
    if quick and name not in quality_sweeps.QUICK_CANDIDATES:
        return
    rows = planned(SWEEPS[name], quick=quick)
    assert rows
    assert [row.refused for row in rows] == [None] * len(rows)


@pytest.mark.parametrize("name", quality_sweeps.CANDIDATES)
def test_each_row_of_each_sweep_can_be_run_alone(name: str) -> None:
    sweep = quality_sweeps.CANDIDATES[name]
    for row in planned(sweep):
        (alone,) = planned(quality_sweeps.only(sweep, row.trial.parameters))
        assert alone.trial == row.trial
        assert alone.arm_id == row.arm_id


def row(number: int, high: float | None, **more: Any) -> RowSummary:
    metrics = ()
    if high is not None:
        common = {"original": 80.0, "optimized": 80.0, "original_points": 80.0, "drop": high - 0.4}
        metrics = tuple(
            MetricSummary(name=name, **common, low=high - 0.8, high=high, num_samples=9000)
            for name in ("exact_match", "f1")
        )
    given = {"status": "measured", "arm": ArmSummary(id=f"arm-{number}", metrics=metrics)}
    parameters = {"node_exclusion": EXCLUSIONS, "per_channel": True}
    named = {"number": number, "trial_id": str(number), "parameters": parameters}
    return RowSummary(**named | given | more)


def swept(name: str, *rows: RowSummary) -> Swept:
    summary = SweepSummary(
        method_version="1",
        measured=True,
        original_name="PyTorch eager",
        primary_metric="exact_match",
        metric_names=("exact_match", "f1"),
        cells=(),
        rows=rows,
    )
    return Swept(name, Path(name), summary, None)


def test_the_row_with_the_lowest_upper_end_is_chosen_among_those_with_numbers() -> None:
    one = swept("one", row(1, 0.7), row(2, None, status="failed"))
    two = swept("two", row(1, 0.6), row(2, 0.2, shares_with="arm-9"), row(3, 0.6))
    found, best = static_quality.lowest_upper_end([one, two])
    assert (found.name, best.number) == ("two", 1)


def test_of_equal_ends_the_one_with_the_lower_end_of_f1_is_chosen() -> None:
    first, second = row(1, 0.6), row(2, 0.6)
    assert second.arm is not None
    exact, overlap = second.arm.metrics
    metrics = (exact, overlap.model_copy(update={"high": 0.5}))
    arm = second.arm.model_copy(update={"metrics": metrics})
    second = second.model_copy(update={"arm": arm})
    _, best = static_quality.lowest_upper_end([swept("one", first, second, row(3, 0.6))])
    assert best.number == 2


def test_nothing_is_chosen_where_nothing_was_evaluated() -> None:
    with pytest.raises(SystemExit, match="no row of one was evaluated"):
        static_quality.lowest_upper_end([swept("one", row(1, None, status="failed"))])


def found(high: float, *seeds: RowSummary) -> static_quality.Found:
    best = swept("chosen", row(1, high))
    reported = (swept("seeds", *seeds), best, swept("dynamic", row(1, 0.3)))
    return static_quality.Found(SUBJECT, (best,), (best, best.summary.rows[0]), reported)


def test_a_missed_goal_and_a_row_without_numbers_fail_the_run() -> None:
    assert static_quality.problems(found(0.5, row(1, 2.0)), quick=False) == []
    missed, lost = (
        static_quality.problems(found(0.51, row(1, 2.0)), quick=False),
        static_quality.problems(found(0.5, row(4, None, status="failed")), quick=False),
    )
    assert missed == [
        "tiny: the chosen row may lose 0.51 points, more than 0.5: the goal is missed"
    ]
    assert lost == ["tiny, seeds, row 4: failed"]
    assert static_quality.problems(found(9.0, row(1, 2.0)), quick=True) == []


def test_a_table_has_each_row_with_its_drop() -> None:
    text = static_quality.table([swept("one", row(3, 0.7), row(4, None, refused="opset 13 works"))])
    first, second = text.splitlines()[2:]
    assert [cell.strip() for cell in first.strip("|").split("|")] == [
        "one", "3", "excluded: all five, per_channel True", "9,000", "80.00", "80.00",
        "0.30 [-0.10, 0.70]", "None / None", "0.30 [-0.10, 0.70]",
    ]  # fmt: skip
    assert "opset 13 works" in second


def test_words_name_what_a_row_varies() -> None:
    given = {"node_exclusion": ["classifier", "layer.0"], "calibration.method": "entropy"}
    more = {"operators_to_quantize": ["Add", "MatMul"], "quant_format": "QDQ"}
    assert words(row(1, 0.1, parameters=given | more | {"smooth_quant_alpha": 0.5})) == (
        "excluded: classifier + layer.0, method entropy, Add + MatMul, QDQ, smooth_quant_alpha 0.5"
    )


ROWS = {
    "train": [("text", "Who?")],
    "choice": [("text", "Where?")],
    "validation": [("other text", "Who?"), ("other text", "Where?")],
}


def test_files_with_a_row_in_common_are_refused() -> None:
    static_quality.check_rows(ROWS, least=2)
    with pytest.raises(SystemExit, match="1 rows are in choice and in bundled train"):
        static_quality.check_rows(ROWS | {"bundled train": [("text", "Where?")]}, least=2)


def test_too_few_rows_to_report_on_are_refused() -> None:
    with pytest.raises(SystemExit, match="validation has 2 rows, fewer than 5000"):
        static_quality.check_rows(ROWS, least=5_000)


def test_missing_rows_are_told_with_the_script_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"choice\.jsonl is missing: run .*minilm_questions\.py"):
        static_quality.rows_of(tmp_path / "choice.jsonl")
