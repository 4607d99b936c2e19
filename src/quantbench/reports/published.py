"""Reading a published card: its text for the header, its tables as data for the numbers."""

from __future__ import annotations

import ast
import json
import re
from typing import Any, cast

from pydantic import ValidationError

from quantbench.core.config import SweepConfig
from quantbench.core.errors import UsageError
from quantbench.core.results import PublishedRow, PublishedTiming, SweepResult

Json = dict[str, Any]

_HEADER = re.compile(
    r"^---(?P<front>.*?)--- \*\*task\*\*: `(?P<task>[^`]*)` "
    r"\*\*Backend:\*\* `(?P<backend>[^`]*)` "
    r"\*\*Backend args:\*\* `(?P<backend_args>[^`]*)` "
    r"\*\*Number of evaluation samples:\*\* `(?P<samples>[^`]*)` "
    r"Fixed parameters: (?P<fixed>.*?) Benchmarked parameters: (?P<benchmarked>.*?) # Evaluation"
    r".*?Time benchmarks were run for (?P<duration>[0-9.]+) seconds per config\."
)
_BULLET = re.compile(r"\* \*\*(?P<name>[a-z_]+)\*\*:(?P<values>(?:,? *`[^`]*`)*)")
_FRONT_TAG = re.compile(r"\btags: - (?P<tag>\S+)")
# The parameters of the published cards that hold others: white space, and with it the nesting, is
# collapsed in their text.
_NESTED: dict[str, frozenset[str]] = {
    "dataset": frozenset(
        {"path", "name", "eval_split", "data_keys", "ref_keys", "calibration_split"}
    ),
    "calibration": frozenset({"method", "num_calibration_samples"}),
    "framework_args": frozenset({"opset", "optimization_level"}),
}


def read_seed_card(card_text: str, tables_json: str) -> SweepResult:
    """Build the results of a published card.

    Args:
        card_text: the card; its white space may be collapsed.
        tables_json: its tables: `accuracy` (parameters, `original`, `optimized` by metric) and
            `time` (parameters, `batch_size`, `input_length`, `latency_mean_ms` and
            `throughput_per_s`, each `original` and `optimized`).

    Returns:
        A result with `published` rows, numbered in the order of the card's tables. The config
        holds what the header says, and the cells of the tables.

    Raises:
        UsageError: the text or the data is not such a card.
    """
    collapsed = " ".join(card_text.split())
    found = _HEADER.match(collapsed)
    if found is None:
        raise UsageError(
            "the card's header could not be read",
            hint="A published card starts with front matter, then **task**, **Backend:**, "
            "**Backend args:**, **Number of evaluation samples:** and its parameters.",
        )
    tables = _tables(tables_json)
    benchmarked = dict(_bullets(found["benchmarked"]))
    try:
        rows = _rows(tables, list(benchmarked))
        config = SweepConfig.model_validate(
            {
                "task": found["task"],
                **_fixed(found["fixed"]),
                "backend": found["backend"],
                "backend_args": _value(found["backend_args"]),
                "max_eval_samples": (
                    None if found["samples"] == "All dataset" else int(found["samples"])
                ),
                "metrics": list(rows[0].original),
                # Not in the text; the system that wrote these cards took the first samples.
                "sampling": "head",
                "batch_sizes": list(dict.fromkeys(t.batch_size for t in rows[0].timings)),
                "input_lengths": list(dict.fromkeys(t.input_length for t in rows[0].timings)),
                "time_benchmark_args": {"duration": float(found["duration"])},
                "benchmarked": benchmarked,
            }
        )
    except (KeyError, IndexError, ValidationError, ValueError) as error:
        raise UsageError(f"the card's data does not fit its header: {error}") from error
    tag = _FRONT_TAG.search(found["front"])
    return SweepResult(config=config, published=rows, model_type=tag["tag"] if tag else None)


def _tables(tables_json: str) -> Json:
    try:
        data = json.loads(tables_json)
    except json.JSONDecodeError as error:
        raise UsageError(f"the card's tables are not JSON: {error}") from error
    if not isinstance(data, dict) or not {"accuracy", "time"} <= set(data):
        raise UsageError("the card's tables must hold `accuracy` and `time`")
    return cast(Json, data)


def _fixed(text: str) -> Json:
    fixed: Json = {}
    parent: str | None = None
    for name, values in _bullets(text):
        if not values:
            parent = name
            fixed[name] = {}
        elif parent is not None and name in _NESTED.get(parent, ()):
            fixed[parent][name] = values[0]
        else:
            parent = None
            fixed[name] = values[0]
    return fixed


def _bullets(text: str) -> list[tuple[str, list[Any]]]:
    return [
        (bullet["name"], [_value(span) for span in re.findall(r"`([^`]*)`", bullet["values"])])
        for bullet in _BULLET.finditer(text)
    ]


def _value(written: str) -> Any:
    """A Python literal as data; what is none (a bare word) is text."""
    try:
        return ast.literal_eval(written)
    except (ValueError, SyntaxError):
        return written


def _rows(tables: Json, names: list[str]) -> tuple[PublishedRow, ...]:
    timings: dict[str, list[PublishedTiming]] = {}
    for item in tables["time"]:
        timings.setdefault(_key(item, names), []).append(
            PublishedTiming(
                batch_size=item["batch_size"],
                input_length=item["input_length"],
                latency_mean_original_ms=item["latency_mean_ms"]["original"],
                latency_mean_optimized_ms=item["latency_mean_ms"]["optimized"],
                throughput_original_per_s=item["throughput_per_s"]["original"],
                throughput_optimized_per_s=item["throughput_per_s"]["optimized"],
            )
        )
    ordered = sorted(tables["accuracy"], key=lambda item: [repr(item[name]) for name in names])
    return tuple(
        PublishedRow(
            number=number,
            parameters={name: item[name] for name in names},
            original=item["original"],
            optimized=item["optimized"],
            timings=tuple(timings[_key(item, names)]),
        )
        for number, item in enumerate(ordered, 1)
    )


def _key(item: Json, names: list[str]) -> str:
    return repr([item[name] for name in names])
