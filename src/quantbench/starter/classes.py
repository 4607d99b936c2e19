"""How the classes of a label column would be matched with those of a model, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantbench.core.errors import ConfigError, UsageError
from quantbench.data.describe import ColumnFacts
from quantbench.tasks.labels import align_labels

_SHOWN = 20


@dataclass(frozen=True)
class Matched:
    """Whether a run would accept the classes, and comment lines that show them."""

    accepted: bool
    lines: tuple[str, ...]


def model_classes(config: Mapping[str, Any]) -> dict[int, str]:
    """Class names by number, as `config.json` has them; LABEL_0, … where it names none.

    transformers leaves out what equals its defaults: two classes without names.

    Raises:
        UsageError: a class has something else than a number.
    """
    names = config.get("id2label")
    if isinstance(names, Mapping) and names:
        wrong = [number for number in names if not str(number).isdecimal()]
        if wrong:
            raise UsageError(
                f"config.json of the model: {wrong[0]!r} in id2label is no class number"
            )
        return {int(number): str(name) for number, name in names.items()}
    count = config.get("num_labels")
    return {n: f"LABEL_{n}" for n in range(count if isinstance(count, int) else 2)}


def match_classes(column: ColumnFacts, id2label: Mapping[int, str]) -> Matched:
    """Say which class of the dataset is which of the model, by the rule that a run follows."""
    theirs = _listed([f"{number} = {id2label[number]}" for number in sorted(id2label)])
    if column.kind in ("text", "texts"):
        line = f"classes: the names in {column.name} are looked up among the model's: {theirs}"
        return Matched(True, (line,))
    if column.kind not in ("classes", "tags"):
        line = (
            f"classes: {column.name} has no names; its numbers are taken as the model's: {theirs}"
        )
        return Matched(True, (line, "check this: nothing but the accuracy would tell otherwise"))
    ours = _listed([f"{number} = {name}" for number, name in enumerate(column.class_names)])
    try:
        aligned = align_labels(column.class_names, id2label)
    except ConfigError as error:
        why = error.problems[0].message.splitlines()[0]
        return Matched(False, (f"classes: {why}", f"  dataset: {ours}", f"  model:   {theirs}"))
    pairs = [
        (number, name, other, id2label[other])
        for number, (name, other) in enumerate(zip(column.class_names, aligned or (), strict=True))
    ]
    by_name = all(_plain(name) == _plain(theirs_name) for _, name, _, theirs_name in pairs)
    head = (
        "classes: matched by name, dataset → model"
        if by_name
        else "classes: guessed: matched by their order only, as one side has no names; check that "
        "it is the order that the model was trained with, dataset → model"
    )
    shown = [f"  {number} {name} → {other} {label}" for number, name, other, label in pairs]
    more = [f"  … {len(shown)} in all"] if len(shown) > _SHOWN else []
    return Matched(True, (head, *shown[:_SHOWN], *more))


def _plain(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f", … {len(names)} in all" if len(names) > _SHOWN else "")
