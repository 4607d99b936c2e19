"""Filters, orders and columns: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

from typing import Any

import pytest

from quantbench.analysis.row_query import Known, read_query, select
from quantbench.core.errors import UsageError
from quantbench.reports.run_rows import columns_of, row_values
from synthetic import report_inputs, sweep

KNOWN = Known(
    rows=("row", "parameter.bits", "parameter.operators", "status", "overall_speedup"),
    cells=("speedup", "missing"),
    shapes=("1x32", "4x32"),
    short={"bits": "parameter.bits", "operators": "parameter.operators",
           "speedup": "overall_speedup"},
)  # fmt: skip
ROWS: list[dict[str, Any]] = [
    {"row": 1, "parameter.bits": 4, "parameter.operators": ["Add"], "status": "measured",
     "overall_speedup": 2.0, "speedup@1x32": 9.0},
    {"row": 2, "parameter.bits": 8, "parameter.operators": ["Add", "MatMul"], "status": "failed",
     "overall_speedup": None, "speedup@1x32": None},
    {"row": 3, "parameter.bits": None, "parameter.operators": [], "status": "measured",
     "overall_speedup": 3.0, "speedup@1x32": 1.0},
    {"row": 4, "parameter.bits": True, "parameter.operators": ["MatMul"], "status": "measured",
     "overall_speedup": 2.0, "speedup@1x32": 4.0},
]  # fmt: skip


def rows(*filters: str, sort: tuple[str, ...] = ()) -> list[Any]:
    return [row["row"] for row in select(ROWS, read_query(KNOWN, None, sort, filters))]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("bits=4", [1]),
        ("parameter.bits = 4", [1]),
        ("bits=4.0", [1]),
        ("bits=null", [3]),
        ("bits=true", [4]),
        ("bits!=4", [2, 3, 4]),
        ("operators=[Add, MatMul]", [2]),
        ("operators=[]", [3]),
        ("operators~MatMul", [2, 4]),
        ("operators=MatMul", []),
        ("status=measured", [1, 3, 4]),
        ("status~MEAS", [1, 3, 4]),
        ("speedup>=2", [1, 3, 4]),
        ("speedup>2", [3]),
        ("overall_speedup<3", [1, 4]),
        ("speedup=null", [2]),
        ("speedup@1x32>3", [1, 4]),
    ],
)
def test_a_filter_keeps_the_rows_that_it_holds_for(asked: str, found: list[int]) -> None:
    assert rows(asked) == found


def test_all_filters_have_to_hold() -> None:
    assert rows("status=measured", "speedup<3") == [1, 4]


def test_rows_are_ordered_and_those_without_a_value_come_last_either_way() -> None:
    assert rows(sort=("speedup",)) == [1, 4, 3, 2]
    assert rows(sort=("speedup:desc",)) == [3, 1, 4, 2]
    assert rows(sort=("speedup:asc", "row:desc")) == [4, 1, 3, 2]
    assert rows(sort=("speedup@1x32",)) == [3, 4, 1, 2]


def test_values_of_any_kind_have_an_order() -> None:
    assert rows(sort=("bits",)) == [4, 1, 2, 3]
    assert rows(sort=("operators",)) == [3, 1, 2, 4]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"filters": ["bitz=4"]}, "Did you mean bits"),
        ({"sorts": ["sped"]}, "parameter.bits, parameter.operators"),
        ({"columns": "row,nothing"}, "--columns 'nothing' is no column"),
        ({"columns": "row,,status"}, "names between commas"),
        ({"columns": ""}, "names between commas"),
        ({"columns": "speedup@2x32"}, "there are: 1x32, 4x32"),
        ({"columns": "missing"}, "It differs by shape: missing@1x32"),
        ({"filters": ["bits"]}, "is no comparison"),
        ({"filters": ["=4"]}, "is no comparison"),
        ({"filters": ["bits=[4"]}, "cannot be read"),
        ({"filters": ["bits=2020-01-01"]}, "cannot be read"),
        ({"filters": ["speedup<fast"]}, "compares numbers"),
    ],
)
def test_what_means_nothing_is_refused(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_query(KNOWN, asked.get("columns"), asked.get("sorts", ()), asked.get("filters", ()))
    assert told in str(caught.value)


def test_what_is_no_number_cannot_be_less() -> None:
    with pytest.raises(UsageError, match="status is no number"):
        rows("status<3")


def test_every_column_of_a_run_can_be_asked_for() -> None:
    _, summary, _ = report_inputs(sweep())
    known = columns_of(summary)
    names = [*known.rows, *known.short, *(f"{name}@4x32" for name in known.cells)]
    query = read_query(known, ",".join(names), ["drop"], [])
    (first, *_) = values = row_values(summary, query)
    assert len(values) == len(summary.rows)
    assert set(query.names) <= set(first)
