"""Is the metadata at the top of a card what the hub accepts? Checked without asking it.

The rules are those of the hub's specification (github.com/huggingface/hub-docs, modelcard.md): when
there is a `model-index`, it verifies that, `datasets` and `license`, and refuses the commit if they
are wrong. `base_model_relation` and `library_name` are described in its docs on model cards.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from quantbench.core.errors import QuantbenchError
from quantbench.core.hub_names import BASE_MODEL_RELATIONS, LICENSES, TASKS, is_hub_id
from quantbench.core.printable import shortened

# More is no front matter that a card of ours has, and parsing it would take long.
_LONGEST_FRONT = 200_000
_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)\n---[ \t]*\r?(?:\n|\Z)", re.DOTALL)
_REQUIRED = ("pipeline_tag", "tags", "library_name")
_LISTS = ("datasets", "metrics", "tags")
# The hub's own file of metrics has ids like `f1`, `exact_match` and `bleurt/large-512`.
_WORD = re.compile(r"[A-Za-z0-9][\w.+/ -]{0,95}")


def split_front_matter(card: str) -> tuple[dict[str, Any], str]:
    """The metadata of a card, and the text below it.

    Raises:
        QuantbenchError: there is none, or it is no mapping in YAML.
    """
    found = _FRONT.match(card)
    if found is None or len(found[1]) > _LONGEST_FRONT:
        raise QuantbenchError("the card does not begin with front matter between lines of ---")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(found[1])):
            raise QuantbenchError("the card's front matter has aliases: write values out")
        data = yaml.safe_load(found[1])
    except (yaml.YAMLError, ValueError, LookupError, OverflowError, RecursionError) as error:
        first = shortened(" ".join(str(error).split()), 200)
        raise QuantbenchError(f"the card's front matter is no YAML: {first}") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise QuantbenchError("the card's front matter is no mapping from names to values")
    return data, card[found.end() :]


def front_matter_problems(data: dict[str, Any]) -> tuple[str, ...]:
    """What the hub would refuse, or not understand; nothing if all is well.

    Args:
        data: the metadata, as YAML reads it.

    Returns:
        Sentences, each of which begins with the place: `model-index[0].results[0].task.type: …`.
    """
    return tuple(_problems(data))


def _problems(data: dict[str, Any]) -> Iterator[str]:
    for key in _REQUIRED:
        if key not in data:
            yield f"{key}: it is missing"
    for key in _LISTS:
        if key in data:
            yield from _words(key, data[key], listed=True)
    yield from _one_of("pipeline_tag", data.get("pipeline_tag"), TASKS)
    if "library_name" in data:
        yield from _words("library_name", data["library_name"])
    yield from _license(data)
    yield from _ids("datasets", data.get("datasets"))
    yield from _ids("base_model", data.get("base_model"))
    yield from _one_of("base_model_relation", data.get("base_model_relation"), BASE_MODEL_RELATIONS)
    if "base_model_relation" in data and "base_model" not in data:
        yield "base_model_relation: there is no base_model that it could be about"
    if "model-index" in data:
        yield from _index(data["model-index"])


def _license(data: dict[str, Any]) -> Iterator[str]:
    value = data.get("license")
    for item in value if isinstance(value, list) else [value]:
        yield from _one_of("license", item, LICENSES)
    if value == "other" and not isinstance(data.get("license_name"), str):
        yield "license_name: `license: other` needs the license's name here"
    if "license_name" in data and value != "other":
        yield "license_name: it belongs to `license: other`"


def _index(entries: Any) -> Iterator[str]:
    if not isinstance(entries, list) or not entries:
        yield "model-index: it is no list of models"
        return
    for number, entry in enumerate(entries):
        place = f"model-index[{number}]"
        if not isinstance(entry, dict):
            yield f"{place}: it is no mapping"
            continue
        yield from _text(f"{place}.name", entry.get("name"))
        results = entry.get("results")
        if not isinstance(results, list) or not results:
            yield f"{place}.results: it is no list of results"
            continue
        for at, result in enumerate(results):
            yield from _result(f"{place}.results[{at}]", result)


def _result(place: str, result: Any) -> Iterator[str]:
    if not isinstance(result, dict):
        yield f"{place}: it is no mapping"
        return
    task, dataset, metrics = (result.get(key) for key in ("task", "dataset", "metrics"))
    if isinstance(task, dict) and "type" in task:
        yield from _one_of(f"{place}.task.type", task["type"], TASKS)
    else:
        yield f"{place}.task.type: it is missing"
    if isinstance(dataset, dict):
        yield from _text(f"{place}.dataset.name", dataset.get("name"))
        if "type" in dataset:
            yield from _ids(f"{place}.dataset.type", dataset["type"])
        else:
            yield f"{place}.dataset.type: it is missing"
        for key in ("config", "split", "revision"):
            if key in dataset:
                yield from _text(f"{place}.dataset.{key}", dataset[key])
    else:
        yield f"{place}.dataset: it is missing"
    if not isinstance(metrics, list) or not metrics:
        yield f"{place}.metrics: it is no list of metrics"
        return
    for number, metric in enumerate(metrics):
        yield from _metric(f"{place}.metrics[{number}]", metric)


def _metric(place: str, metric: Any) -> Iterator[str]:
    if not isinstance(metric, dict):
        yield f"{place}: it is no mapping"
        return
    yield from _words(f"{place}.type", metric.get("type"))
    value: Any = metric.get("value")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not -math.inf < value < math.inf:
        yield f"{place}.value: {_shown(value)} is no number"
    if "name" in metric:
        yield from _text(f"{place}.name", metric["name"])
    if "verified" in metric or "verifyToken" in metric:
        yield f"{place}: only the hub itself verifies results"


def _one_of(place: str, value: Any, allowed: frozenset[str]) -> Iterator[str]:
    if value is not None and value not in [*allowed]:
        yield f"{place}: the hub knows no {_shown(value)}"


def _ids(place: str, value: Any) -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        if item is not None and not (isinstance(item, str) and is_hub_id(item)):
            yield f"{place}: {_shown(item)} is no name on the hub"


def _words(place: str, value: Any, *, listed: bool = False) -> Iterator[str]:
    if listed and not isinstance(value, list):
        yield f"{place}: it is no list"
        return
    for item in value if listed else [value]:
        if not isinstance(item, str) or _WORD.fullmatch(item) is None:
            yield f"{place}: {_shown(item)} is no name"


def _text(place: str, value: Any) -> Iterator[str]:
    if not isinstance(value, str) or not value.strip():
        yield f"{place}: {_shown(value)} is no text"


def _shown(value: Any) -> str:
    return "nothing" if value is None else shortened(repr(value), 80)
