"""What is in the store, and what was removed from it: as a table, as plain lines, as data."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quantbench.core.printable import printable
from quantbench.core.pruning import CachedArtifact, Choice
from quantbench.reports.wording import plural

_UNREADABLE = "damaged"
_RIGHT = frozenset({"number", "size"})

Lines = list[list[str]]


def print_contents(
    artifacts: Sequence[CachedArtifact], root: Path, stream: TextIO, *, each: bool
) -> None:
    """Print what the store has by stage; with `each`, a line for every artifact instead.

    A terminal gets tables, everything else lines with tabs between the columns.
    """
    if not artifacts:
        print(printable(f"The store {root} is empty."), file=stream)
        return
    if each:
        head = ["key", "stage", "size", "made", "last used", "named by"]
        lines = [
            [
                item.key,
                item.stage or _UNREADABLE,
                size(item.num_bytes),
                _date(item.made_ns),
                _date(item.used_ns),
                ", ".join(item.runs) or "–",
            ]
            for item in artifacts
        ]
        _print(f"Store {root}: {_amount(artifacts)}", head, lines, stream)
        return
    head = ["stage", "number", "size", "oldest", "last used"]
    lines = [_group(stage, items) for stage, items in _by_stage(artifacts).items()]
    _print(f"Store {root}", head, [*lines, _group("total", artifacts)], stream)


def contents_as_json(
    artifacts: Sequence[CachedArtifact], root: Path, *, each: bool
) -> dict[str, JsonValue]:
    """The same as data: sizes in bytes, times in UTC."""
    stages: list[JsonValue] = [
        {
            "stage": stage,
            "number": len(items),
            "num_bytes": _total(items),
            "oldest": _utc(min(item.made_ns for item in items)),
            "last_used": _utc(max(item.used_ns for item in items)),
        }
        for stage, items in _by_stage(artifacts).items()
    ]
    data: dict[str, JsonValue] = {
        "store": str(root),
        "number": len(artifacts),
        "num_bytes": _total(artifacts),
        "stages": stages,
    }
    return data | {"artifacts": _as_data(artifacts)} if each else data


def print_damage(
    damaged: Sequence[tuple[CachedArtifact, str]], checked: int, stream: TextIO, *, removed: bool
) -> None:
    """Print what is damaged, and what became of it."""
    for item, reason in damaged:
        print(printable(f"{item.key} ({item.stage or 'unknown stage'}): {reason}"), file=stream)
        for run in item.runs:
            print(printable(f"  named by {run}"), file=stream)
    if not damaged:
        print(
            f"{plural(checked, 'artifact')} checked: every file is as it was written.", file=stream
        )
        return
    what = "removed; what is needed is made again" if removed else "kept"
    print(f"{plural(checked, 'artifact')} checked, {len(damaged)} damaged: {what}.", file=stream)


def damage_as_json(
    damaged: Sequence[tuple[CachedArtifact, str]], checked: int, *, removed: bool
) -> dict[str, JsonValue]:
    """The same as data."""
    return {
        "checked": checked,
        "removed": removed,
        "damaged": [
            {"key": item.key, "stage": item.stage, "problem": reason, "runs": list(item.runs)}
            for item, reason in damaged
        ],
    }


def print_pruned(
    choice: Choice,
    left: Sequence[CachedArtifact],
    max_bytes: int | None,
    stream: TextIO,
    *,
    dry: bool,
) -> None:
    """Print what was freed, and what was kept for which run.

    Args:
        choice: what was removed, or would be; and what runs name.
        left: what is in the store after it.
        max_bytes: the size that was asked for, if one was.
        stream: where to.
        dry: nothing was removed.
    """
    verb = "Would remove" if dry else "Removed"
    parts = [f"{stage} {len(items)}" for stage, items in _by_stage(choice.gone).items()]
    detail = f" ({', '.join(parts)})" if parts else ""
    print(f"{verb} {_amount(choice.gone)}{detail}.", file=stream)
    if choice.kept:
        print(f"Kept {_amount(choice.kept)} that runs name:", file=stream)
    for run, items in _by_run(choice.kept).items():
        print(printable(f"  {run}: {_amount(items)}"), file=stream)
    print(f"The store {'would have' if dry else 'has'} {_amount(left)}.", file=stream)
    if max_bytes is not None and _total(left) > max_bytes:
        print(
            f"That is more than {size(max_bytes)}: remove the folders of runs that you do not "
            "need any more, and prune again.",
            file=stream,
        )


def pruned_as_json(
    choice: Choice, left: Sequence[CachedArtifact], *, dry: bool
) -> dict[str, JsonValue]:
    """The same as data."""
    return {
        "dry_run": dry,
        "freed_bytes": _total(choice.gone),
        "left_bytes": _total(left),
        "removed": _as_data(choice.gone),
        "kept": _as_data(choice.kept),
    }


def size(num_bytes: int) -> str:
    """A size in powers of 1000."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if num_bytes >= scale:
            return f"{num_bytes / scale:.1f} {unit}"
    return f"{num_bytes} B"


def _print(title: str, head: list[str], lines: Lines, stream: TextIO) -> None:
    if not stream.isatty():
        for line in (head, *lines):
            print(printable("\t".join(line)), file=stream)
        return
    table = Table(title=escape(printable(title)), title_justify="left")
    for name in head:
        table.add_column(name, justify="right" if name in _RIGHT else "left", overflow="fold")
    for line in lines:
        table.add_row(*(escape(printable(cell)) for cell in line))
    Console(file=stream, highlight=False).print(table)


def _group(name: str, items: Sequence[CachedArtifact]) -> list[str]:
    return [
        name,
        str(len(items)),
        size(_total(items)),
        _date(min(item.made_ns for item in items)),
        _date(max(item.used_ns for item in items)),
    ]


def _by_stage(artifacts: Sequence[CachedArtifact]) -> dict[str, list[CachedArtifact]]:
    found: dict[str, list[CachedArtifact]] = {}
    for item in artifacts:
        found.setdefault(item.stage or _UNREADABLE, []).append(item)
    return dict(sorted(found.items()))


def _by_run(artifacts: Sequence[CachedArtifact]) -> dict[str, list[CachedArtifact]]:
    """What each run names; an artifact that several name is with each of them."""
    found: dict[str, list[CachedArtifact]] = {}
    for item in artifacts:
        for run in item.runs:
            found.setdefault(run, []).append(item)
    return dict(sorted(found.items()))


def _amount(artifacts: Sequence[CachedArtifact]) -> str:
    return f"{plural(len(artifacts), 'artifact')}, {size(_total(artifacts))}"


def _total(artifacts: Sequence[CachedArtifact]) -> int:
    return sum(item.num_bytes for item in artifacts)


def _as_data(artifacts: Sequence[CachedArtifact]) -> list[JsonValue]:
    return [
        {
            "key": item.key,
            "stage": item.stage,
            "num_bytes": item.num_bytes,
            "made": _utc(item.made_ns),
            "last_used": _utc(item.used_ns),
            "runs": list(item.runs),
        }
        for item in artifacts
    ]


def _date(time_ns: int) -> str:
    local = datetime.datetime.fromtimestamp(time_ns / 1e9, datetime.UTC).astimezone()
    return local.strftime("%Y-%m-%d %H:%M")


def _utc(time_ns: int) -> str:
    return datetime.datetime.fromtimestamp(time_ns / 1e9, datetime.UTC).isoformat(
        timespec="seconds"
    )
