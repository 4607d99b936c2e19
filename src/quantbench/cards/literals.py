"""Values as cards write them: Python literals, text without its quotation marks."""

from __future__ import annotations

import ast
import math
import warnings
from typing import cast

from pydantic import JsonValue

from quantbench.cards.parameters import OPTIONAL_TEXTS, TEXTS

# Far more than any value of a card needs; the parser of literals is not made for text from outside.
LONGEST_VALUE = 4_000


def value_of(parameter: str, written: str) -> JsonValue:
    """What a fixed parameter's value stands for.

    Args:
        parameter: its name, dotted if nested.
        written: as in the code span, at most `LONGEST_VALUE` characters.
    """
    if parameter in TEXTS or (parameter in OPTIONAL_TEXTS and written != "None"):
        return written
    return literal_value(written)


def literal_value(written: str) -> JsonValue:
    """A Python literal as JSON data; what is none, or is not JSON, is text as it is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `'\\d'` is read all the same
            found = ast.literal_eval(written)
    # What the parser raises for text that is no literal, or is nested too deeply.
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return written
    return cast(JsonValue, found) if _is_json(found) else written


def _is_json(value: object) -> bool:
    match value:
        case str():
            return not any("\ud800" <= character <= "\udfff" for character in value)
        case float():
            return math.isfinite(value)
        case list():
            return all(map(_is_json, cast(list[object], value)))
        case dict():
            items = cast(dict[object, object], value).items()
            return all(isinstance(key, str) and _is_json(key) and _is_json(v) for key, v in items)
        case int():
            return value.bit_length() < 64
        case _:
            return value is None
