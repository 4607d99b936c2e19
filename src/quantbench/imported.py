"""The folder of an imported card: its text as it was given, from which every report is made."""

from __future__ import annotations

from pathlib import Path

from quantbench.core.errors import UsageError
from quantbench.run_files import IMPORTED, read_card_text, refuse_others
from quantbench.store import write_atomically

# The card as it is rendered again, in the form that it was published in.
PUBLISHED = "published.md"


def folder_name(card: Path) -> str:
    """What the folder of a card is called: its file's name, of a README that of its folder."""
    name = card.name.split(".")[0] or "card"
    return card.absolute().parent.name or name if name.lower() == "readme" else name


def check_target(path: Path, text: str) -> None:
    """Refuse a folder that a card cannot be imported to. Nothing is written.

    Raises:
        UsageError: it is a file, or holds something other than this card.
    """
    try:
        if not path.exists():
            return
        if not path.is_dir():
            raise UsageError(
                f"{path} is a file: a run needs a folder", hint="Choose another --out."
            )
        names = {item.name for item in path.iterdir()}
    except OSError as error:
        raise UsageError(
            f"{path} cannot be used: {error.strerror}", hint="Choose another --out."
        ) from None
    if not names:
        return
    if IMPORTED not in names:
        raise UsageError(
            f"{path} is not empty and holds no imported card", hint="Choose another --out."
        )
    refuse_others(path)
    if "run.json" in names or read_card_text(path / IMPORTED) != text:
        raise UsageError(f"{path} already holds other results", hint="Choose another --out.")


def write_imported(path: Path, text: str, rendered: str) -> None:
    """Fill the folder, which is there, with the card and what it is rendered to.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        write_atomically(path / IMPORTED, text)
        write_atomically(path / PUBLISHED, rendered)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
