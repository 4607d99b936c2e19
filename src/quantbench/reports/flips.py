"""Samples that flipped: for people, and as a Parquet table."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape

from quantbench.analysis.flips import Flip, Flips
from quantbench.core.printable import printable, shortened
from quantbench.core.results import Prediction
from quantbench.reports.wording import NOTHING, plural
from quantbench.store import write_atomically

# What the samples hold: column to value, by sample id.
Samples = Mapping[str, Mapping[str, JsonValue]]

_LONGEST_VALUE = 400


def flip_lines(found: Flips, samples: Samples) -> list[dict[str, JsonValue]]:
    """One flat record per sample: its columns, both answers and all scores, worst first."""
    return [
        {
            "row": found.row,
            "trial_id": found.trial_id,
            "sample_id": flip.sample_id,
            "change": flip.change,
            **{f"sample.{name}": value for name, value in samples[flip.sample_id].items()},
            "original_answer": _answer(flip.original),
            "optimized_answer": _answer(flip.optimized),
            "original_score": flip.original.score,
            "optimized_score": flip.optimized.score,
            **{f"original_{name}": flip.original_scores[name] for name in found.metrics},
            **{f"optimized_{name}": flip.optimized_scores[name] for name in found.metrics},
        }
        for flip in found.flips
    ]


def write_flips(lines: Sequence[Mapping[str, JsonValue]], path: Path) -> None:
    """Write the records as a Parquet table; values that are lists or records as JSON text."""
    import pyarrow as pa
    from pyarrow import parquet

    plain = [
        {
            name: json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
            for name, value in line.items()
        }
        for line in lines
    ]
    written = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(plain), written)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, written.getvalue())


def print_flips(found: Flips, samples: Samples, most: int, stream: TextIO) -> None:
    """Print the samples, worst first: their inputs, their reference, and both answers."""
    console = Console(file=stream, highlight=False, soft_wrap=True)
    worse = sum(flip.change < 0 for flip in found.flips)
    console.print(
        f"[bold]row {found.row}[/bold] ({escape(found.trial_id)}): of "
        f"{plural(found.num_samples, 'sample')} {worse:,} got worse and "
        f"{len(found.flips) - worse:,} better; {found.num_other:,} more have another answer that "
        "is as good"
    )
    for place, flip in enumerate(found.flips[:most], start=1):
        console.print(f"\n[bold]{place}. sample {_plain(flip.sample_id)}[/bold]: {_scores(flip)}")
        for name, value in samples[flip.sample_id].items():
            console.print(f"    {_plain(name)}: {_plain(shortened(_text(value), _LONGEST_VALUE))}")
        for name, answer in (("original", flip.original), ("optimized", flip.optimized)):
            console.print(f"    [bold]{name}[/bold]: {_plain(_said(answer))}")
    left = len(found.flips) - most
    if left > 0:
        console.print(f"\n{left:,} more: --limit shows them, --json and the Parquet file have all.")


def _scores(flip: Flip) -> str:
    parts = [
        f"{_plain(name)} {old:.3g} → {flip.optimized_scores[name]:.3g}"
        for name, old in flip.original_scores.items()
        if flip.optimized_scores[name] != old
    ]
    return ", ".join(parts)


def _said(answer: Prediction) -> str:
    score = "" if answer.score is None else f" (score {answer.score:.4g})"
    return f"{shortened(_text(_answer(answer)), _LONGEST_VALUE)}{score}"


def _answer(found: Prediction) -> JsonValue:
    """In words where the answer is a number that has a name."""
    return found.answer if found.name is None else found.name


def _text(value: JsonValue) -> str:
    if value is None:
        return NOTHING
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _plain(text: str) -> str:
    """Text from outside: nothing in it is markup, ends a line or moves the cursor."""
    return escape(printable(" ".join(text.split())))
