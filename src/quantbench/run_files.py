"""The files of a run's folder: what they are called, and how they are read without trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from quantbench.cards.read import PublishedCard, read_card
from quantbench.core.config import SweepConfig
from quantbench.core.config_file import read_config
from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.frozen import Frozen
from quantbench.core.printable import shortened
from quantbench.core.results import SCHEMA_VERSION, Environment, Subject
from quantbench.core.specs import Catalog
from quantbench.ordinary import open_ordinary, read_ordinary

SPENT = "spent.jsonl"
LOG = "log.txt"
FOLDERS = ("arms", "results", "explained", "errors", "plots")
# The summary that was derived from a run's facts, kept for those who look next.
SUMMARY = "summary.jsonl"
# A published card that was imported: all facts of such a run are in its text.
IMPORTED = "card.md"
_FILES = ("config.yaml", "pinned.yaml", "plan.json", "run.json", SPENT, LOG, SUMMARY, IMPORTED)
# A card of 2,000 rows in nine shapes has six million characters.
MAX_CARD_BYTES = 20_000_000

_CARD_HINT = "Give the text of a published card, its README.md for example."

Read = TypeVar("Read", bound=BaseModel)


class RunFacts(Frozen):
    """What holds for the whole run: where it was measured, on what.

    `files` and `stamp` are those of `Prepared`.
    """

    schema_version: int = SCHEMA_VERSION
    environment: Environment
    subject: Subject
    files: tuple[str, ...] = ()
    stamp: str = ""


def refuse_others(path: Path) -> None:
    """Refuse links in a run's folder, which would lead what is written elsewhere, and pipes.

    Raises:
        UsageError: it names the first that is there.
    """
    for name in (*FOLDERS, SPENT, LOG):
        if (path / name).is_symlink():
            raise UsageError(
                f"{path / name} is a link: results are not written through links",
                hint="Put what it links to in its place, or choose another folder for the run.",
            )
    for name in _FILES:
        file = path / name
        if file.exists() and not file.is_file():
            raise UsageError(
                f"{file} is no ordinary file (a pipe, a device, a socket or a folder)",
                hint="Remove it, or choose another folder for the run.",
            )
    for name in FOLDERS:
        if (path / name).exists() and not (path / name).is_dir():
            raise UsageError(
                f"{path / name} is no folder",
                hint="Remove it, or choose another folder for the run.",
            )


def read_run_config(path: Path, catalog: Catalog) -> SweepConfig:
    """The config that the user gave.

    Raises:
        QuantbenchError: the file is gone, or no text.
        ConfigError: it is no config any more.
    """
    file = path / "config.yaml"
    try:
        text = read_ordinary(file).decode()
    except (OSError, ValueError) as error:
        raise damaged(file, error) from None
    return read_config(text, str(file), catalog)


def read_card_text(file: Path) -> str:
    """The text of a published card.

    Raises:
        UsageError: there is no such file, or it is a pipe or a device, too large, or no text.
    """
    try:
        with open_ordinary(file) as opened:
            content = opened.read(MAX_CARD_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {file}: {reason}", hint=_CARD_HINT) from None
    if len(content) > MAX_CARD_BYTES:
        raise UsageError(
            f"{file} is no card: it has more than {MAX_CARD_BYTES:,} bytes", hint=_CARD_HINT
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{file}, line {line}: it is not a text in UTF-8 (byte {error.start:,})",
            hint=_CARD_HINT,
        ) from None


def is_imported(path: Path) -> bool:
    """Whether a folder is that of an imported card."""
    return (path / IMPORTED).exists() and not (path / "run.json").exists()


def read_imported(path: Path, catalog: Catalog) -> PublishedCard:
    """The card that a folder was imported from.

    Raises:
        UsageError: it is damaged.
    """
    file = path / IMPORTED
    return read_card(read_card_text(file), str(file), catalog)


def read_facts(path: Path) -> RunFacts:
    """What holds for the whole run. Raises as `read_file` does."""
    return read_file(path / "run.json", RunFacts)


def read_file(file: Path, kind: type[Read], expected: int = SCHEMA_VERSION) -> Read:
    """Read a file of this format version.

    Raises:
        QuantbenchError: it is of another version, damaged, or gone.
    """
    try:
        raw: dict[str, Any] = json.loads(read_ordinary(file))
        version = raw.get("schema_version", expected)
        if version != expected:
            raise QuantbenchError(
                f"{file} has format version {shortened(str(version))}, "
                f"this quantbench reads {expected}",
                hint="Use the version of quantbench that wrote it.",
            )
        return kind.model_validate_json(json.dumps(raw))
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise damaged(file, error) from None


def damaged(file: Path, why: Exception | str) -> QuantbenchError:
    """The error that says what is wrong with a file, given what reading it raised."""
    text = why if isinstance(why, str) else _reason(why)
    return QuantbenchError(
        f"{file} is damaged: {text}", hint="Run the sweep again in a new folder."
    )


def _reason(error: Exception) -> str:
    """What is wrong with a file, on one line."""
    match error:
        case ValidationError():
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            text = f"{place}: {first['msg']}" if place else first["msg"]
        case OSError():
            text = error.strerror or str(error)
        case RecursionError():
            text = "it is nested too deeply"
        case AttributeError():
            text = "it holds no mapping"
        case _:
            text = str(error)
    return shortened(" ".join(text.split()), 300)
