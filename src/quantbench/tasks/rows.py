"""Saying which row of a dataset a problem is in: a task sees one row, and not its number.

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
