"""What is wrong with the shape of a config: the checks of its types, in words for a person."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from quantbench.core.errors import Problem, nearest_name
from quantbench.core.frozen import Frozen
from quantbench.core.printable import shortened, without_credentials

Json = dict[str, Any]

# pydantic speaks of JSON or Python, the user writes YAML.
_YAML_WORDS = {
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "string_type": "text (put it in quotes)",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
}


def shape_problems(data: Any, model: type[Frozen], prefix: str) -> list[Problem]:
    """Check data against a type: unknown and missing keys, wrong types, values out of range.

    Args:
        data: plain JSON data.
        model: the type that it should have.
        prefix: the dotted path of `data` in the config, for messages.
    """
    return validation_problems(
        lambda text: model.model_validate_json(text, strict=True), data, prefix, model
    )


def validation_problems(
    validate: Callable[[str], object], data: Any, prefix: str, model: type[Frozen] | None = None
) -> list[Problem]:
    """Run a pydantic validation of JSON text, and put its errors into words.

    Args:
        validate: raises ValidationError.
        data: what is validated, as plain JSON data.
        prefix: the dotted path of `data` in the config.
        model: the type behind `validate`, if it has fields whose names can be suggested.
    """
    try:
        validate(json.dumps(data))
    except ValidationError as error:
        return [
            _problem(dict(item), data, prefix, model)
            for item in error.errors(include_url=False)
            # A list with a wrong item also counts as too short: the item's error says it all.
            if not (item["type"] == "too_short" and _lookup(data, item["loc"]))
        ]
    return []


def _problem(error: Json, data: Any, prefix: str, model: type[Frozen] | None) -> Problem:
    location: tuple[str | int, ...] = error["loc"]
    path = _dotted(prefix, location) or "the file"
    given = _lookup(data, location)
    context: Json = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            names = _field_names(model, location[:-1])
            return Problem(
                path,
                "unknown parameter",
                allowed=", ".join(names),
                nearest=nearest_name(str(location[-1]), names),
            )
        case "missing":
            return Problem(path, "required, but not given")
        case "literal_error":
            allowed = [part.strip(" '") for part in context["expected"].split(" or ")]
            names = [name.strip(" '") for part in allowed for name in part.split(", ")]
            nearest = nearest_name(given, names) if isinstance(given, str) else None
            return Problem(
                path, "not one of the allowed values", shown(given), ", ".join(names), nearest
            )
        case "greater_than_equal" | "less_than_equal" | "greater_than" | "less_than":
            return Problem(path, "out of range", shown(given), _bounds(model, location))
        case "assertion_error" | "value_error":
            return Problem(path, str(context["error"]), shown(given))
        case "too_short" | "string_too_short":
            return Problem(path, "must not be empty", shown(given))
        case "too_long":
            return Problem(path, f"has more than {context['max_length']} values", shown(given))
        case _:
            message = str(error["msg"]).removeprefix("Input should be ")
            wanted = _YAML_WORDS.get(error["type"], message)
            return Problem(path, f"wrong type: must be {wanted}", shown(given))


def shown(value: Any) -> str:
    """A value as it could stand in the file: a long one in part, and no password in an address."""
    return shortened(without_credentials(json.dumps(value, ensure_ascii=False)))


def _field_names(model: type[Frozen] | None, location: Iterable[str | int]) -> list[str]:
    current: Any = model
    for part in location:
        fields: dict[str, FieldInfo] = getattr(current, "model_fields", {})
        current = fields[part].annotation if isinstance(part, str) and part in fields else None
    return list(getattr(current, "model_fields", {}))


def _bounds(model: type[Frozen] | None, location: tuple[str | int, ...]) -> str | None:
    """The range that the field's constraints describe, in words."""
    current: Any = model
    field: FieldInfo | None = None
    for part in location:
        fields: dict[str, FieldInfo] = getattr(current, "model_fields", {})
        if isinstance(part, str) and part in fields:
            field = fields[part]
            current = field.annotation
    if field is None:
        return None
    signs = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    bounds = [
        f"{words} {getattr(limit, name)}"
        for limit in _constraints(field)
        for name, words in signs.items()
        if hasattr(limit, name)
    ]
    return ", ".join(bounds) or None


def _constraints(field: FieldInfo) -> list[Any]:
    """The field's own constraints and those of the items of a list."""
    items = [get_args(item)[1:] for item in get_args(field.annotation)]
    return [*field.metadata, *(limit for item in items for info in item for limit in _limits(info))]


def _limits(info: Any) -> list[Any]:
    return list(info.metadata) if isinstance(info, FieldInfo) else [info]


def _lookup(data: Any, location: Iterable[str | int]) -> Any:
    """The value at that place, or the last one on the way that is there."""
    value = data
    for part in location:
        match value, part:
            case dict(), _ if part in value:
                value = value[part]
            case list(), int(index) if index < len(value):
                value = value[index]
            case _:
                return value
    return value


def _dotted(prefix: str, location: Iterable[str | int]) -> str:
    path = prefix
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path
