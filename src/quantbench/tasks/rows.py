"""Reading rows, and saying which one a problem is in: a task sees one row, and not its number.

Rows are numbered by their place in the split, from 0 on; the number is also the sample id, so ids
are unique whatever columns a dataset has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from quantbench.core.errors import ConfigError, Problem
from quantbench.protocols import TaskRun

_SHOWN = 5
_TYPES = {str: "texts", int: "whole numbers", float: "numbers", list: "lists", dict: "records"}


@contextmanager
def naming_row(number: int | str) -> Iterator[None]:
    """Put the number of the row before what a task says of it.

    Raises:
        ConfigError: the one that was raised inside, with the row as its source.
    """
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"row {number} (the first is 0)", error.problems) from error


def text_of(row: Mapping[str, Any], column: str, key: str) -> str:
    """The text in a column.

    Args:
        row: the sample.
        column: of the dataset.
        key: the task's name for the input.

    Raises:
        ConfigError: the column holds something else, or nothing.
    """
    value = row[column]
    if isinstance(value, str):
        return value
    advice = "leave the row out, or fill it in" if value is None else "write it as a text"
    message = f"the column {column} holds {value!r:.80}, not a text: {advice}"
    raise ConfigError("rows", [Problem(f"dataset.data_keys.{key}", message)])


def check_one_type_per_column(
    columns: Mapping[str, str], rows: Iterable[tuple[int, Mapping[str, Any]]]
) -> None:
    """Find values of the wrong kind before anything is run, which is cheap.

    Args:
        columns: the parameter that names it, to each column. Those that a row lacks are passed
            over.
        rows: each row's number and its columns; no value is missing.

    Raises:
        ConfigError: a column holds values of several types; the first few, and how many.
    """
    first: dict[str, type] = {}
    problems: list[Problem] = []
    for number, row in rows:
        for parameter, column in columns.items():
            if column not in row:
                continue
            kind = first.setdefault(column, type(row[column]))
            if type(row[column]) is not kind:
                message = (
                    f"row {number}: the column {column} holds {row[column]!r:.80}, rows before it "
                    f"hold {_TYPES.get(kind, kind.__name__)}: write all in one form"
                )
                problems.append(Problem(parameter, message))
    if problems:
        source = f"{len(problems)} values of mixed types (the first row is 0), shown here"
        raise ConfigError(source, problems[:_SHOWN])


def check_references(task: TaskRun, rows: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
    """Read the references of all rows before anything is run, which is cheap.

    Args:
        task: the task, open.
        rows: each row's number and at least its reference columns.

    Raises:
        ConfigError: some are no references; the first few, and how many there are.
    """
    problems: list[Problem] = []
    for number, row in rows:
        try:
            task.reference(row)
        except ConfigError as error:
            problems += [
                dataclasses.replace(problem, message=f"row {number}: {problem.message}")
                for problem in error.problems
            ]
    if problems:
        source = f"{len(problems)} rows with bad references (the first row is 0), shown here"
        raise ConfigError(source, problems[:_SHOWN])
