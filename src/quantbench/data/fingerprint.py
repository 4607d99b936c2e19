"""A fingerprint of the data itself, whatever file format or cache it came through."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from quantbench.core.frozen import canonical_json

if TYPE_CHECKING:
    from datasets import ClassLabel, Dataset

BATCH_ROWS = 256


def fingerprint(rows: Dataset, columns: Sequence[str]) -> str:
    """SHA-256 over the values of some columns, row by row.

    The fingerprint that the datasets library keeps is of the cache's history: it differs between
    machines. This one depends on column names, class names and values (images: the bytes of
    their files) and on nothing else, so equal data in JSON and in Parquet gives equal results.

    Args:
        rows: a split.
        columns: the columns that are used; their order does not matter.

    Returns:
        64 hex digits.
    """
    names = sorted(set(columns))
    classes = {
        name: list(label.names)
        for name in names
        if (label := class_label(rows.features[name])) is not None
    }
    digest = hashlib.sha256(canonical_json({"columns": names, "classes": classes}).encode())
    for values in plain_rows(rows, names):
        digest.update(canonical_json(values).encode("utf-8", "surrogatepass"))
        digest.update(b"\n")
    return digest.hexdigest()


def class_label(feature: Any) -> ClassLabel | None:
    """The class labels that a column holds, alone or in lists; None if it holds none."""
    from datasets import ClassLabel, LargeList, List

    if isinstance(feature, List | LargeList):
        return class_label(feature.feature)
    return feature if isinstance(feature, ClassLabel) else None


def plain_rows(rows: Dataset, columns: Sequence[str]) -> Iterator[list[Any]]:
    """The values of some columns, row by row, as JSON can hold them; nothing is decoded.

    Args:
        rows: a split, or part of it.
        columns: in the order that they are wanted in.
    """
    from datasets import Image
    from datasets.table import embed_table_storage

    used = rows.select_columns(list(columns))
    images = {name for name in columns if isinstance(used.features[name], Image)}
    for batch in used.with_format("arrow").iter(batch_size=BATCH_ROWS):
        # Where a table holds paths of images only, this reads the files in.
        for row in embed_table_storage(batch).to_pylist():
            yield [_plain(row[name], name in images) for name in columns]


def _plain(value: Any, is_image: bool) -> Any:
    """The value as JSON can hold it. An image's file name is not part of it."""
    if is_image and value is not None:
        return _plain(value["bytes"], False)
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, dict):
        return {key: _plain(item, False) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, False) for item in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    return str(value)  # dates and decimals
