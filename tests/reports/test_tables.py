"""The flat table: a line per row and cell, everything with its unit."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from quantbench.analysis.compare import summarize
from quantbench.core.plan import ORIGINAL_ID, Cell
from quantbench.core.results import ArmResult, Evaluation, Failed
from quantbench.core.summary import ArmSummary, CellSummary, Ratio
from quantbench.reports import tables, wording
from quantbench.reports.card_details import what_rows_did
from synthetic import QUESTION_ANSWERING, config, report_inputs, sweep, with_arm


def test_a_parquet_file_has_a_line_per_row_and_cell(tmp_path: Path) -> None:
    (path,) = tables.REPORT.write(*report_inputs(sweep()), tmp_path)
    table = pq.read_table(path)
    # 7 rows in 2 cells, and the refused row.
    assert table.num_rows == 15
    lines = table.to_pylist()
    third = [line for line in lines if line["row"] == 3]
    assert json.loads(third[0]["parameter.operators_to_quantize"]) == ["MatMul"]
    assert third[0]["optimized.p50_ms"] == pytest.approx(13.7, abs=0.5)
    assert third[0]["speedup"] == pytest.approx(3.2, rel=0.02)
    assert third[0]["exact_match.drop_points"] == pytest.approx(1 / 6)
    assert third[0]["unresolved"] is False
    assert third[0]["half_width"] < 0.03
    fourth = [line for line in lines if line["row"] == 4]
    assert [line["unresolved"] for line in fourth] == [True, True]
    assert all(line["half_width"] > 0.03 for line in fourth)
    assert lines[-1]["status"] == "refused"
    assert "opset 13 or newer" in lines[-1]["problem"]


def test_how_far_logits_are_is_in_the_table_and_in_the_card_of_tasks_that_have_them() -> None:
    result = sweep()
    arms = tuple(_with_probabilities(arm) for arm in result.arms)
    summary = summarize(result.model_copy(update={"arms": arms}), QUESTION_ANSWERING)
    third = next(line for line in tables.rows_as_json(summary) if line["row"] == 3)
    assert third["kl_divergence_nats"] == pytest.approx(math.log(2) - 0.325, abs=0.001)
    assert third["logit_rms"] is None
    nats = third["kl_divergence_nats"]
    assert isinstance(nats, float)
    assert f"(KL divergence of classes: {nats:.2g} nats)" in what_rows_did(summary)
    assert "KL divergence" not in what_rows_did(summarize(result, QUESTION_ANSWERING))


def _with_probabilities(arm: ArmResult) -> ArmResult:
    """The original is sure (0.9 to 0.1), the others do not know."""
    if not isinstance(arm.evaluation, Evaluation):
        return arm
    share = 0.9 if arm.arm.id == ORIGINAL_ID else 0.5
    logs = ((math.log(share), math.log(1 - share)),)
    predictions = tuple(
        item.model_copy(update={"log_probabilities": logs}) for item in arm.evaluation.predictions
    )
    evaluation = arm.evaluation.model_copy(update={"predictions": predictions})
    return arm.model_copy(update={"evaluation": evaluation})


def test_columns_keep_their_types_when_nothing_was_measured(tmp_path: Path) -> None:
    empty = sweep().model_copy(update={"arms": ()})
    full = pq.read_schema(tables.REPORT.write(*report_inputs(sweep()), tmp_path)[0])
    bare = pq.read_schema(tables.REPORT.write(*report_inputs(empty), tmp_path)[0])
    assert bare.equals(full)


def test_lines_are_json_and_keep_the_parameters_as_data() -> None:
    lines = tables.rows_as_json(summarize(sweep(), QUESTION_ANSWERING))
    assert json.loads(json.dumps(lines)) == lines
    assert lines[0]["parameter.operators_to_quantize"] == ["Add"]
    assert len({tuple(line) for line in lines}) == 1


def test_a_row_without_a_comparison_names_the_failure_behind_it() -> None:
    failure = Failed(stage="evaluate", error="the labels do not fit")
    result = with_arm(sweep(), ORIGINAL_ID, evaluation=failure)
    third = tables.rows_as_json(summarize(result, QUESTION_ANSWERING))[4]
    assert (third["row"], third["status"]) == (3, "partial")
    assert third["problem"] == "evaluate of PyTorch eager: the labels do not fit"


def test_an_operator_that_the_model_lacks_is_inert() -> None:
    asked = config(quantization_approach="dynamic", benchmarked={"per_channel": [False]})
    asked = asked.model_copy(update={"operators_to_quantize": ("Conv", "MatMul")})
    (line, *_) = tables.rows_as_json(summarize(sweep(asked), QUESTION_ANSWERING))
    assert "operators_to_quantize=Conv: the model has no Conv node" in str(line["inert"])


def test_a_width_just_above_what_was_asked_for_does_not_read_as_that() -> None:
    cell = CellSummary(
        cell=Cell(batch_size=1, input_length=32),
        speedup=Ratio(value=2.0, low=1.93, high=2.07),
        half_width=0.034,
        unresolved=True,
    )
    wide = cell.model_copy(update={"half_width": 0.052})
    assert wording.speedup(cell) == "2.00 [1.93, 2.07] (unresolved: ±3.4%)"
    arm = ArmSummary(id="arm", cells=(cell, wide), speedup=cell.speedup)
    assert wording.overall_speedup(arm) == "2.00 [1.93, 2.07] (unresolved: ±5.2%)"
