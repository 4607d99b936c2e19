"""Tables as files: every table and format, its documented columns, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from shown_run import RUN

from quantbench import cli
from quantbench.core.errors import QuantbenchError
from quantbench.reports.columns import TABLES, Column, TableSpec, table_spec
from quantbench.reports.table_docs import table_docs
from quantbench.reports.table_files import text_lines, write_table
from quantbench.reports.tables import table_lines
from synthetic import report_inputs, sweep

DOCS = Path(__file__).parents[2] / "docs" / "tables.md"


def export(out: Path, table: str, *options: str) -> Path:
    assert cli.main(["export", RUN, "--table", table, "--out", str(out), *options]) == 0
    return out


@pytest.mark.parametrize("table", [name for name in TABLES if name != "nodes"])
def test_a_table_is_the_same_in_every_format(table: str, tmp_path: Path) -> None:
    lines = json.loads(export(tmp_path / "t.json", table).read_text())
    parquet = pq.read_table(export(tmp_path / "t.parquet", table))
    with export(tmp_path / "t.csv", table).open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert lines
    assert parquet.num_rows == len(lines) == len(rows) - 1
    assert parquet.column_names == rows[0] == list(lines[0])
    spec = table_spec(
        table, ("quantization_approach", "operators_to_quantize"), ("exact_match", "f1")
    )
    assert [column.name for column in spec.columns] == rows[0]
    for column in spec.columns:
        for line, flat, cell in zip(lines, parquet.to_pylist(), rows[1:], strict=True):
            value = line[column.name]
            if column.type == "json":
                read = flat[column.name]
                assert (None if read is None else json.loads(read)) == value
            else:
                assert flat[column.name] == value
                assert isinstance(
                    value,
                    {"text": str, "integer": int, "number": int | float, "truth": bool}[column.type]
                    | type(None),
                )
            if value is None:
                assert cell[rows[0].index(column.name)] == ""


def test_a_column_that_is_never_empty_never_is(tmp_path: Path) -> None:
    for table in TABLES:
        lines = json.loads(export(tmp_path / "t.json", table).read_text())
        for column in table_spec(table, (), ("exact_match", "f1")).columns:
            if not column.empty:
                assert all(line[column.name] is not None for line in lines), column


def test_nodes_have_a_line_for_each_operator_of_each_row() -> None:
    _, summary, _ = report_inputs(sweep())
    lines = list(table_lines("nodes", summary, (), ()))
    names = [column.name for column in table_spec("nodes", (), ()).columns]
    assert [list(line) for line in lines] == [names] * len(lines)
    assert {line["operator"] for line in lines} == {"Add", "MatMul"}
    assert all(line["total"] == line["quantized"] + line["left"] for line in lines)


def test_raw_times_can_be_joined_with_the_rows(tmp_path: Path) -> None:
    rows = json.loads(export(tmp_path / "rows.json", "cells").read_text())
    times = json.loads(export(tmp_path / "times.json", "forwards").read_text())
    third = next(row for row in rows if row["row"] == 3 and row["batch_size"] == 4)
    found = [
        line["time_ns"]
        for line in times
        if (line["arm_id"], line["batch_size"]) == (third["arm_id"], 4)
    ]
    assert len(found) == third["optimized.num_forwards"]
    assert sum(found) / len(found) / 1e6 == pytest.approx(third["optimized.mean_ms"])


def test_the_documented_columns_are_those_of_the_code() -> None:
    assert table_docs() in DOCS.read_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--table", "cell"], "Did you mean cells?"),
        (["--table", "rows", "--format", "xlsx"], "parquet, csv, json"),
        (["--table", "rows", "--out", "rows.xlsx"], "parquet, csv, json"),
        (["--table", "rows", "--format", "parquet"], "needs --out FILE"),
        (["--table", "rows", "--format", "csv", "--out", "runs"], "runs is a folder"),
    ],
)
def test_what_cannot_be_written_is_wrong_usage(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["export", RUN, *options]) == 2
    assert told in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "nowhere" / "t.csv"
    assert cli.main(["export", RUN, "--table", "rows", "--out", str(out)]) == 1
    assert f"cannot write {out}: No such file" in capsys.readouterr().err


def test_without_a_file_it_goes_to_the_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", RUN, "--table", "steps"]) == 0
    assert capsys.readouterr().out.startswith('"stage","name","seconds"')


SPEC = TableSpec(
    "t", "line", (Column("text", "text", "", ""), Column("n", "number", "", ""),
                  Column("any", "json", "", "")),
)  # fmt: skip


def as_csv(*values: Any) -> list[list[str]]:
    lines = [{"text": value, "n": 1.5, "any": value} for value in values]
    return list(csv.reader(io.StringIO("".join(text_lines(SPEC, lines, "csv")))))[1:]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(1)", "  =1", "\t=1", "\n=1", "＝1", "=cmd|'/c x'!A1"]
)
def test_no_text_is_a_formula_in_a_spreadsheet(text: str) -> None:
    ((found, *_),) = as_csv(text)
    assert found == f"'{text}"


def test_numbers_stay_numbers_and_other_text_is_as_it_is() -> None:
    assert as_csv('a "b", c\nd')[0][0] == 'a "b", c\nd'
    lines = [{"text": None, "n": -1e-300, "any": -2}, {"text": "", "n": None, "any": [1, "a"]}]
    text = "".join(text_lines(SPEC, lines, "csv"))
    assert text.splitlines()[1:] == [",-1e-300,-2", '"",,"[1, ""a""]"']


def test_control_characters_and_halves_of_characters_are_written_out() -> None:
    assert as_csv("\x1b[31m\ud800🙂")[0][0] == "\\x1b[31m\\ud800🙂"


def test_a_table_without_lines_has_its_columns(tmp_path: Path) -> None:
    assert "".join(text_lines(SPEC, [], "json")) == "[]\n"
    write_table(SPEC, [], "parquet", tmp_path / "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet").column_names == ["text", "n", "any"]


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("old")

    def broken() -> Any:
        yield {"text": "a", "n": 1.0, "any": None}
        raise RuntimeError("in the middle")

    for form in ("csv", "json", "parquet"):
        with pytest.raises(RuntimeError, match="in the middle"):
            write_table(SPEC, broken(), form, file)  # type: ignore[arg-type]
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("p")
    (tmp_path / "t.csv").symlink_to(precious)
    export(tmp_path / "t.csv", "rows")
    assert precious.read_text() == "p"
    assert not (tmp_path / "t.csv").is_symlink()


def test_a_number_that_does_not_fit_is_an_error_that_says_so(tmp_path: Path) -> None:
    spec = TableSpec("t", "line", (Column("n", "integer", "", ""),))
    with pytest.raises(QuantbenchError, match="cannot hold"):
        write_table(spec, [{"n": 10**30}], "parquet", tmp_path / "t.parquet")
