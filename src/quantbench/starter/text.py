"""Entries as commented YAML."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace

import yaml
from pydantic import JsonValue

from quantbench.starter.entries import PLACEHOLDERS, Entry

_WIDTH = 100


def first_lines(model_name: str, places: Sequence[str], file: str) -> tuple[str, ...]:
    """What the top of the file says.

    Args:
        model_name: as it was given.
        places: the dotted names of what is left to fill in.
        file: the name of the file, for the commands to come.
    """
    missing = textwrap.wrap(f"To fill in, until then this is refused: {', '.join(places)}.", 96)
    return (
        f"A first config for {model_name}.",
        "Every value that was guessed says so, and from what: check it.",
        *(missing if places else ()),
        f"Next: quantbench plan {file}, then quantbench run {file}.",
    )


def to_yaml(head: Sequence[str], entries: Sequence[Entry]) -> str:
    """The text of a config.

    Comments may hold names that come from a model or a dataset: whatever is in them, they stay
    comments.

    Args:
        head: comment lines at the top.
        entries: the parameters in their order.
    """
    lines = [_comment(line) for line in head]
    for entry in entries:
        lines += _lines(entry, _WIDTH)
    return "\n".join(lines) + "\n"


def _lines(entry: Entry, width: int, *, inside_comment: bool = False) -> list[str]:
    """The lines of an entry, without indentation.

    A block in which nothing is filled in becomes a comment as a whole, as a mapping without
    content would be null. Inside it all lines are as they should be once it is uncommented.
    """
    above = [_comment(line) for line in entry.above]
    key = _yaml(entry.key)
    if not entry.block:
        value = entry.value if entry.value in PLACEHOLDERS else _yaml(entry.value)
        is_there = entry.filled or inside_comment
        line = f"{key}: {value}" if is_there else _comment(f"{key}: {value}")
        return above + _with_comment(line, entry.comment, width)
    if inside_comment or _has_content(entry):
        head = _with_comment(f"{key}:", entry.comment, width)
        for item in entry.block:
            lines = _lines(item, width - 2, inside_comment=inside_comment)
            head += [f"  {line}" for line in lines]
        return above + head
    lines = _lines(replace(entry, above=()), width - 2, inside_comment=True)
    return above + [f"# {line}" for line in lines]


def _has_content(entry: Entry) -> bool:
    return any(map(_has_content, entry.block)) if entry.block else entry.filled


def _with_comment(line: str, comment: str, width: int) -> list[str]:
    """A line with its comment behind it, or above it where it would be too long."""
    if not comment:
        return [line]
    one = f"{line}  {_comment(comment)}"
    if len(one) <= width:
        return [one]
    wrapped = textwrap.wrap(
        _comment(comment)[2:], width - 2, break_long_words=False, break_on_hyphens=False
    )
    return [*(f"# {part}" for part in wrapped), line]


class _OneLineDumper(yaml.SafeDumper):
    """SafeDumper that writes any text on one line."""


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_OneLineDumper.add_representer(str, _text_node)


def _yaml(value: JsonValue) -> str:
    text: str = yaml.dump(
        value,
        Dumper=_OneLineDumper,
        default_flow_style=True,
        width=float("inf"),
        allow_unicode=True,
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _comment(text: str) -> str:
    """A comment line, without line breaks or anything else that YAML does not allow there."""
    if not text:
        return ""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return f"# {plain}".rstrip()
