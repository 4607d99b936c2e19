"""The columns of all tables as Markdown: what `docs/tables.md` has of them."""

from __future__ import annotations

from quantbench.reports.columns import TABLES, TableSpec, table_spec
from quantbench.reports.markdown import code


def table_docs() -> str:
    """A section for each table, with every column, its type, unit and meaning."""
    rows = table_spec("rows", ("NAME",), ("METRIC",))
    return "\n\n".join(_section(table_spec(name, ("NAME",), ("METRIC",)), rows) for name in TABLES)


def _section(spec: TableSpec, rows: TableSpec) -> str:
    columns = spec.columns
    first = f"One line for each {spec.line}."
    if spec.name == "cells":
        first += " It has all columns of `rows`, and then:"
        columns = columns[len(rows.columns) :]
    lines = ["| column | type | unit | meaning | empty where |", "|---|---|---|---|---|"]
    lines += [
        f"| {code(item.name)} | {item.type} | {item.unit} | {item.meaning} | "
        f"{item.empty or 'never'} |"
        for item in columns
    ]
    return "\n\n".join([f"## {code(spec.name)}", first, "\n".join(lines)])
