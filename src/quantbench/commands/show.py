"""`quantbench show`, `list` and `export`: looking at runs, and taking their tables elsewhere."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.core.errors import EXIT_OK, QuantbenchError, UsageError, nearest_name

if TYPE_CHECKING:
    from quantbench.analysis.overview import Overview
    from quantbench.analysis.recommend import Recommendation
    from quantbench.summary_file import Summarized


@dataclass(frozen=True)
class Asked:
    """Which rows are to be shown, and how, as it was typed."""

    columns: str | None
    sorts: Sequence[str]
    filters: Sequence[str]


def show_run(path: Path, asked: Asked, as_json: bool) -> int:
    """`quantbench show`: the rows of a run.

    Raises:
        UsageError: there is no such column, or a filter cannot be read.
        QuantbenchError: the run cannot be read.
    """
    from rich.console import Console

    from quantbench.analysis.recommend import recommend
    from quantbench.analysis.row_query import read_query, select
    from quantbench.reports.run_rows import columns_of, print_columns, row_values
    from quantbench.reports.terminal import plain, print_advice, print_rows
    from quantbench.reports.wording import plural
    from quantbench.summary_file import summarized

    found = summarized(path)
    summary = found.summary
    query = read_query(columns_of(summary), asked.columns, asked.sorts, asked.filters)
    advice = recommend(summary)
    run = _overview(path, found, advice)
    if as_json:
        rows = select(row_values(summary, query), query)
        kept = [{name: row[name] for name in query.columns or row} for row in rows]
        told = {"path": str(path), **run.model_dump(mode="json")}
        why = advice.model_dump(mode="json")
        print(json.dumps({"run": told, "recommendation": why, "rows": kept}, indent=1))
        return EXIT_OK
    console = Console(file=sys.stdout, highlight=False)
    when = f", {run.measured_at[:16].replace('T', ' ')}" if run.measured_at else ""
    console.print(plain(f"{run.model}, {run.task}{when}: {run.state}"), soft_wrap=True)
    count = plural(len(summary.rows), "row")
    title = f"{path.name}: {count}"
    if not query.names:
        print_rows(summary, summary.rows, title, console)
        print_advice(summary, advice, path, console)
        return EXIT_OK
    rows = select(row_values(summary, query), query)
    if len(rows) < len(summary.rows):
        title = f"{path.name}: {len(rows):,} of {count}"
    if query.columns:
        console.print(plain(title), soft_wrap=True)
        print_columns(query.columns, rows, sys.stdout)
        return EXIT_OK
    by_number = {row.number: row for row in summary.rows}
    print_rows(summary, [by_number[int(str(row["row"]))] for row in rows], title, console)
    print_advice(summary, advice, path, console)
    return EXIT_OK


def show_row(path: Path, row: str, as_json: bool) -> int:
    """`quantbench show --row`: everything about one row.

    Raises:
        UsageError: there is no such row.
        QuantbenchError: the run cannot be read.
    """
    from quantbench.analysis.find_row import find_row
    from quantbench.analysis.recommend import recommend
    from quantbench.analysis.row_detail import arms_behind, row_detail
    from quantbench.reports.row_detail import print_detail
    from quantbench.run_dir import RunDir
    from quantbench.summary_file import summarized

    found = summarized(path)
    asked = find_row(found.summary, row)
    read = {arm_id: RunDir(path).read_arm(arm_id) for arm_id in arms_behind(found.outline, asked)}
    arms = {arm_id: arm for arm_id, arm in read.items() if arm is not None}
    run = _overview(path, found, recommend(found.summary))
    detail = row_detail(path, found.outline, found.summary, asked, run, arms)
    if as_json:
        print(json.dumps(detail.model_dump(mode="json"), indent=1))
    else:
        print_detail(detail, sys.stdout)
    return EXIT_OK


def list_runs(folder: Path, as_json: bool) -> int:
    """`quantbench list`: the runs that the store knows, and those below a folder.

    Raises:
        UsageError: the folder is not there.
    """
    from quantbench.analysis.recommend import recommend
    from quantbench.cache.runs import run_folders
    from quantbench.core.printable import printable
    from quantbench.reports.run_list import print_runs
    from quantbench.store import default_store
    from quantbench.summary_file import summarized

    try:
        registered = run_folders(default_store())
    except QuantbenchError as error:
        print(f"quantbench: {printable(str(error))}", file=sys.stderr)
        registered = ()
    below = {path.resolve(): path for path in _runs_below(folder)}
    paths = [*below.values(), *(path for path in registered if path.resolve() not in below)]
    runs: list[tuple[Path, Overview | str]] = []
    for path in paths:
        try:
            read = summarized(path)
            runs.append((path, _overview(path, read, recommend(read.summary))))
        except QuantbenchError as error:
            runs.append((path, str(error)))
    if as_json:
        print(json.dumps([_run_as_json(path, found) for path, found in runs], indent=1))
    else:
        print_runs(runs, sys.stdout)
    return EXIT_OK


def export_table(path: Path, table: str, form: str | None, out: Path | None) -> int:
    """`quantbench export`: a table of a run as a file, or as text on standard output.

    Raises:
        UsageError: there is no such table or format, or nowhere to write.
        QuantbenchError: the run cannot be read, or the file not be written.
    """
    from quantbench.reports.columns import RAW_TABLES, TABLES
    from quantbench.reports.table_files import FORMATS, text_lines, write_table
    from quantbench.reports.tables import spec_of, table_lines
    from quantbench.run_dir import RunDir
    from quantbench.summary_file import summarized

    _known("--table", table, TABLES)
    chosen = form or (out.suffix.removeprefix(".").lower() if out else "csv")
    _known("--format" if form or not out else f"the suffix of {out}:", chosen, FORMATS)
    if out is None and chosen == "parquet":
        raise UsageError("Parquet is no text: it needs --out FILE")
    if out is not None and out.is_dir():
        raise UsageError(f"{out} is a folder", hint="Give --out the name of a file.")
    found = summarized(path)
    if table in RAW_TABLES and found.outline.published:
        raise UsageError(
            f"a published card has no table {table}: it gives means without what is behind them",
            hint="rows and cells are there.",
        )
    spec = spec_of(table, found.summary)
    arms = RunDir(path).arms() if table in RAW_TABLES else ()
    lines = table_lines(table, found.summary, found.outline.spent, arms)
    form = next(item for item in FORMATS if item == chosen)
    if out is None:
        for text in text_lines(spec, lines, form):
            sys.stdout.write(text)
        return EXIT_OK
    try:
        write_table(spec, lines, form, out)
    except OSError as error:
        raise QuantbenchError(f"cannot write {out}: {error.strerror or error}") from None
    print(out)
    return EXIT_OK


def _overview(path: Path, found: Summarized, advice: Recommendation) -> Overview:
    from quantbench.analysis.overview import overview
    from quantbench.run_dir import is_locked

    try:
        is_running = is_locked(path)
    except OSError as error:
        raise QuantbenchError(f"{path} cannot be read: {error.strerror}") from None
    return overview(found.outline, found.summary, advice, is_running)


def _runs_below(folder: Path) -> Iterator[Path]:
    """The folders of runs below a folder, or that folder itself; links are not followed."""
    if not folder.exists():
        return
    for root, folders, files in os.walk(folder):
        if {"run.json", "plan.json"} <= set(files) or {"card.md", "published.md"} <= set(files):
            folders.clear()
            yield Path(root)
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def _run_as_json(path: Path, found: Overview | str) -> dict[str, object]:
    start: dict[str, object] = {"name": path.name, "path": str(path)}
    if isinstance(found, str):
        return {**start, "state": "damaged", "problem": found}
    return {**start, **found.model_dump(mode="json")}


def _known(what: str, given: str, allowed: Sequence[str]) -> None:
    if given not in allowed:
        near = nearest_name(given, allowed)
        raise UsageError(
            f"{what} {given!r} is none of: {', '.join(allowed)}",
            hint=f"Did you mean {near}?" if near else None,
        )
