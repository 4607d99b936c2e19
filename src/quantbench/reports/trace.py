"""The chain behind a number as a tree for people."""

from __future__ import annotations

from typing import TextIO

from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from quantbench.analysis.lineage import Made
from quantbench.core.printable import printable

# Longer lists and logs are whole in the JSON.
_MOST_ITEMS = 6
# Written beside what they are the bounds of.
_BOUNDS = ("_low", "_high", "_low_points", "_high_points")
# What tells one thing from others of its kind.
_NAMES = ("key", "sha256", "digest", "fingerprint", "approach")
# A list of such items has a line for each.
_LONG_ITEM = 40
# Where nobody looks at a screen, lines are as long as they are.
_WIDE = 10_000


def print_tree(made: Made, stream: TextIO) -> None:
    """Print a chain; what was printed above is named only."""
    console = Console(file=stream, highlight=False, width=None if stream.isatty() else _WIDE)
    tree = Tree(_label(made))
    _add_parts(tree, made, set())
    console.print(tree)


def _add_parts(tree: Tree, made: Made, shown: set[str]) -> None:
    for part in made.made_from:
        identity = part.model_dump_json()
        if identity in shown:
            name = next((part.facts[key] for key in _NAMES if part.facts.get(key)), "")
            tree.add(f"{_bold(part.what)} {escape(printable(str(name)))} (as above)")
            continue
        shown.add(identity)
        _add_parts(tree.add(_label(part)), part, shown)


def _bold(text: str) -> str:
    return f"[bold]{escape(printable(text))}[/bold]"


def _label(made: Made) -> str:
    lines = [_bold(made.what)]
    for name, value in _with_intervals(made.facts).items():
        lines.append(escape(printable(f"{name.replace('_', ' ')}: {value}")))
    return "\n".join(lines)


def _with_intervals(facts: dict[str, JsonValue]) -> dict[str, str]:
    """What is known, written out: an interval beside its value, and nothing that is not there."""
    written: dict[str, str] = {}
    for name, value in facts.items():
        if name.endswith(_BOUNDS) or value in (None, [], {}):
            continue
        low, high = _bounds(facts, name)
        interval = "" if low is None or high is None else f" [{_written(low)}, {_written(high)}]"
        written[name] = _written(value) + interval
    return written


def _bounds(facts: dict[str, JsonValue], name: str) -> tuple[JsonValue, JsonValue]:
    """The ends of a value's interval: `speedup_low`, or `drop_low_points` for `drop_points`."""
    stem, unit = (
        (name.removesuffix("_points"), "_points") if name.endswith("_points") else (name, "")
    )
    return facts.get(f"{stem}_low{unit}"), facts.get(f"{stem}_high{unit}")


def _written(value: JsonValue) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case int():
            return f"{value:,}"
        case list() if any(isinstance(item, str) and len(item) > _LONG_ITEM for item in value):
            return "\n    ".join(["", *map(_written, value)])
        case list():
            items = [_written(item) for item in value[:_MOST_ITEMS]]
            more = [f"… {len(value):,} in all"] if len(value) > _MOST_ITEMS else []
            return ", ".join([*items, *more]) or "none"
        case dict():
            return ", ".join(f"{name} {_nested(item)}" for name, item in value.items())
        case str() if "\n" in value:
            return "\n    ".join(["", *value.splitlines()])
        case _:
            return str(value)


def _nested(value: JsonValue) -> str:
    return f"[{_written(value)}]" if isinstance(value, list) and value else _written(value)
