"""A table as a file: Parquet, CSV or JSON, written in portions, whole or not at all."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import JsonValue

from quantbench.core.errors import QuantbenchError
from quantbench.core.printable import printable
from quantbench.reports.columns import Column, TableSpec, Type
from quantbench.store import replacing

Line = dict[str, JsonValue]
Format = Literal["parquet", "csv", "json"]
FORMATS: tuple[Format, ...] = ("parquet", "csv", "json")

_ARROW: Mapping[Type, str] = {
    "text": "string",
    "json": "string",
    "integer": "int64",
    "number": "float64",
    "truth": "bool_",
}
# So many lines are held at once.
_PORTION = 50_000
# What a spreadsheet takes for the start of a formula, also behind white space.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def write_table(spec: TableSpec, lines: Iterable[Line], form: Format, path: Path) -> None:
    """Write a table to a file, which is replaced as a whole.

    Args:
        spec: its columns; every line has them all.
        lines: its lines, read once.
        form: of the file.
        path: the file; its folder exists.

    Raises:
        OSError: it cannot be written.
        QuantbenchError: a number does not fit into its column.
    """
    with replacing(path) as file:
        if form == "parquet":
            _write_parquet(spec, lines, file)
        else:
            for text in text_lines(spec, lines, form):
                file.write(text.encode())


def text_lines(spec: TableSpec, lines: Iterable[Line], form: Format) -> Iterator[str]:
    r"""The table as CSV or JSON, in pieces.

    JSON is a list with an object for each line of the table. CSV is that of RFC 4180 in UTF-8, with
    a head: text stands in quotation marks, what is not known is nothing at all, and text that a
    spreadsheet would take for a formula begins with an apostrophe. Control characters are written
    out (`\x1b`).
    """
    if form == "csv":
        yield ",".join(_csv(column.name) for column in spec.columns) + "\r\n"
        for line in lines:
            yield ",".join(_csv(_csv_value(column, line)) for column in spec.columns) + "\r\n"
        return
    before = "["
    for line in lines:
        yield f"{before}\n{json.dumps(line)}"
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _write_parquet(spec: TableSpec, lines: Iterable[Line], file: BinaryIO) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(item.name, getattr(pa, _ARROW[item.type])()) for item in spec.columns])
    # A file without lines has its columns all the same.
    with pq.ParquetWriter(file, schema) as writer:
        rest = iter(lines)
        while portion := list(itertools.islice(rest, _PORTION)):
            try:
                table = pa.Table.from_pydict(_by_column(spec, portion), schema=schema)
            except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError) as error:
                raise QuantbenchError(
                    f"the table {spec.name} has a value that Parquet cannot hold: {error}"
                ) from None
            writer.write_table(table)


def _by_column(spec: TableSpec, lines: Iterable[Line]) -> dict[str, list[Any]]:
    return {column.name: [_flat(column, line) for line in lines] for column in spec.columns}


def _flat(column: Column, line: Line) -> str | int | float | bool | None:
    """A value that is no list or record: those are JSON text."""
    value = line[column.name]
    if isinstance(value, list | dict) or (column.type == "json" and value is not None):
        return json.dumps(value)
    return value


def _csv_value(column: Column, line: Line) -> str | int | float | bool | None:
    """The same, but that numbers among any values stay numbers."""
    value = line[column.name]
    return value if isinstance(value, int | float) else _flat(column, line)


def _csv(value: str | int | float | bool | None) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            text = printable(value)
            guard = "'" if text.lstrip(" \n").startswith(_FORMULA) else ""
            return '"' + (guard + text).replace('"', '""') + '"'
        case _:
            return repr(value)
