"""Rows in the SQuAD format as JSON lines, and what two lists of them have in common."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def write_rows(path: Path, rows: Sequence[Row], split: str) -> None:
    """Write rows with the SQuAD columns only."""
    columns = ("title", "context", "question", "answers")
    lines = [
        json.dumps({"id": f"{split}-{i:05d}"} | {name: row[name] for name in columns})
        for i, row in enumerate(rows)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_rows(path: Path) -> list[Row]:
    """Read JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def shared(one: Sequence[Row], other: Sequence[Row]) -> list[str]:
    """The questions that both lists ask about the same text."""
    there = {(row["context"], row["question"]) for row in other}
    return [row["question"] for row in one if (row["context"], row["question"]) in there]
