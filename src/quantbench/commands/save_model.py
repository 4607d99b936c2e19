"""`quantbench save-model`: a row's model as a folder that others can load."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from quantbench import registry
from quantbench.core.errors import EXIT_OK, UsageError

# Smaller copies are over before a line about them could be read.
_LARGE_BYTES = 100_000_000


def save_row(path: Path, row: str, target: Path, *, force: bool, as_json: bool) -> int:
    """`quantbench save-model`: write the folder, and print what is in it."""
    from quantbench import run_dir
    from quantbench.analysis.compare import summarize
    from quantbench.analysis.package import package
    from quantbench.commands.run import ended_in_order
    from quantbench.core.printable import printable
    from quantbench.packaging import MANIFEST, check_target, model_directory, save_model
    from quantbench.reports.saved_model import folder_section
    from quantbench.store import default_store

    result = run_dir.load_run(path, registry.catalog())
    spec = registry.task(result.config.task).spec
    found = package(result, summarize(result, spec), row)
    check_target(target, force)
    texts = card_files(path)
    texts["README.md"] += f"\n{folder_section(found, spec)}\n".encode()
    with ended_in_order():
        model = model_directory(found.subject)
        saved = save_model(found, model, default_store(), texts, target, force, _copied)
    if as_json:
        print(json.dumps({"folder": str(target), **saved.model_dump(mode="json")}, indent=1))
        return EXIT_OK
    for note in saved.notes:
        print(f"note: {printable(note)}", file=sys.stderr)
    for item in saved.models:
        print(f"{target / item.path}  {item.num_bytes / 1e6:.1f} MB  sha256 {item.sha256}")
    for name in (*saved.files, MANIFEST):
        print(target / name)
    return EXIT_OK


def card_files(path: Path) -> dict[str, bytes]:
    """The card of a run and the pictures in it, by their paths in the folder.

    Raises:
        UsageError: there is no card.
    """
    from quantbench.reports.paths import CARD, PICTURE_STEM

    card = path / CARD
    if card.is_symlink() or not card.is_file():
        raise UsageError(f"{path} has no card", hint=f"Write it: quantbench card {path}")
    found = sorted(path.glob(f"{PICTURE_STEM}*.svg"))
    pictures = [item for item in found if item.is_file() and not item.is_symlink()]
    return {item.relative_to(path).as_posix(): item.read_bytes() for item in (card, *pictures)}


def _copied(done: int, total: int) -> None:
    """A line that counts up, on a terminal, while large files are copied."""
    if total >= _LARGE_BYTES and sys.stderr.isatty():
        end = "\n" if done >= total else ""
        print(f"\rcopying: {100 * done // total} %", end=end, file=sys.stderr, flush=True)
