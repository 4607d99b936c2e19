"""The flat table: a line per row and cell, everything with its unit."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from quantbench.analysis.compare import summarize
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import Failed
from quantbench.reports import tables
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
    assert lines[-1]["status"] == "refused"
    assert "opset 13 or newer" in lines[-1]["problem"]


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
