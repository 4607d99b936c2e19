"""Which class of a dataset is which class of a model: by name, never by number alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from quantbench.core.errors import ConfigError, Problem

REFERENCE_PARAMETER = "dataset.ref_keys[0]"
_GENERIC = re.compile(r"label_?\d+", re.IGNORECASE)
_SHOWN = 12


def align_labels(
    dataset_names: Sequence[str] | None, id2label: Mapping[int, str]
) -> tuple[int, ...] | None:
    """Map the dataset's class numbers to the model's.

    Names are compared without regard to case, and to whether words are joined by blanks,
    hyphens or underscores. All names must occur on both sides. Where one side has no names
    (`LABEL_0`, ...), or both list the same names in the same order, numbers are kept; without
    names that needs equal counts, and `matched_by_number` says it.

    Args:
        dataset_names: class names in the order of their numbers, or None if the dataset has none.
        id2label: the model's class names by number.

    Returns:
        The model's number for each of the dataset's; None if the dataset has no names, so that
        nothing can be said before the values are seen (see `label_id`).

    Raises:
        ConfigError: the names do not match; the message shows both lists.
    """
    if dataset_names is None:
        return None
    ids = sorted(id2label)
    ours = [_normalize(name) for name in dataset_names]
    theirs = [_normalize(id2label[number]) for number in ids]
    if ours == theirs:  # also where a name occurs twice, as two do in ImageNet
        return tuple(ids)
    if _is_generic(dataset_names) or _is_generic([id2label[number] for number in ids]):
        if len(ours) == len(theirs):
            return tuple(ids)
        raise _mismatch("their numbers differ, and one side has no names", dataset_names, id2label)
    if len(set(ours)) < len(ours) or len(set(theirs)) < len(theirs):
        raise _mismatch("a name occurs twice, so order decides", dataset_names, id2label)
    if set(ours) != set(theirs):
        raise _mismatch("the names differ", dataset_names, id2label)
    number_of = dict(zip(theirs, ids, strict=True))
    return tuple(number_of[name] for name in ours)


def matched_by_number(
    dataset_names: Sequence[str] | None, id2label: Mapping[int, str]
) -> str | None:
    """A note for the user where `align_labels` had to trust numbers, as one side has no names."""
    if dataset_names is None:
        return None
    theirs = _names(id2label)
    same = list(map(_normalize, dataset_names)) == list(map(_normalize, theirs))
    if same or not (_is_generic(dataset_names) or _is_generic(theirs)):
        return None
    return (
        f"classes are matched by number, as one side has no names: dataset {_listed(dataset_names)}"
        f"; model {_listed(theirs)}"
    )


def class_names(dataset_names: Sequence[str] | None, id2label: Mapping[int, str]) -> dict[int, str]:
    """The names to show for the model's class numbers.

    The model's; the dataset's where the model has none (`LABEL_0`, ...), with the numbers kept as
    `align_labels` keeps them.
    """
    if dataset_names is not None and _is_generic(_names(id2label)):
        return dict(zip(sorted(id2label), dataset_names, strict=True))
    return dict(id2label)


def label_id(value: object, aligned: Sequence[int] | None, id2label: Mapping[int, str]) -> int:
    """The model's class number for one value of the label column.

    Args:
        value: a class number of the dataset, or a class name.
        aligned: what `align_labels` returned. If None, a number is taken as the model's own.
        id2label: the model's class names by number.

    Raises:
        ConfigError: the value is no class.
    """
    if isinstance(value, str):
        wanted = _normalize(value)
        matches = [number for number, name in id2label.items() if _normalize(name) == wanted]
        if len(matches) == 1:
            return matches[0]
        if not matches and _is_generic(_names(id2label)):
            why = "cannot be matched: the model's classes have no names; set id2label in its config"
        else:
            which = "several classes" if matches else "no class"
            why = f"is the name of {which} of the model"
        raise _bad_value(value, why, _listed(_names(id2label)))
    if isinstance(value, bool) or not isinstance(value, int):
        raise _bad_value(value, f"is neither a class number nor a class name{_advice(value)}", None)
    if aligned is not None:
        if 0 <= value < len(aligned):
            return aligned[value]
        why = f"is no class of the dataset{_advice(value)}"
        raise _bad_value(value, why, f"0 to {len(aligned) - 1}")
    if value in id2label:
        return value
    raise _bad_value(
        value,
        "is no class of the model; the column has no class names, so numbers must be the model's",
        _listed([f"{number} = {id2label[number]}" for number in sorted(id2label)]),
    )


def _advice(value: object) -> str:
    if value is None:
        return ": leave the row out, or fill it in"
    if value == -1:
        return ": it marks rows without a label, so use a split that has labels"
    if isinstance(value, float):
        return ": in a table, empty cells make fractions of the whole numbers beside them"
    return ""


def _normalize(name: str) -> str:
    return " ".join(re.split(r"[\s_-]+", name.casefold())).strip()


def _is_generic(names: Sequence[str]) -> bool:
    return all(_GENERIC.fullmatch(name) for name in names)


def _names(id2label: Mapping[int, str]) -> list[str]:
    return [id2label[number] for number in sorted(id2label)]


def _listed(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _mismatch(why: str, dataset_names: Sequence[str], id2label: Mapping[int, str]) -> ConfigError:
    theirs = _names(id2label)
    message = (
        f"the classes of the dataset are not those of the model: {why}\n"
        f"    dataset: {_listed(dataset_names)}\n"
        f"    model:   {_listed(theirs)}"
    )
    return ConfigError("labels", [Problem(REFERENCE_PARAMETER, message)])


def _bad_value(value: object, why: str, allowed: str | None) -> ConfigError:
    return ConfigError("labels", [Problem(REFERENCE_PARAMETER, f"{value!r} {why}", None, allowed)])
