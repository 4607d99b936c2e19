"""`quantbench push`: a row's model, the card and the results, published on the hub."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench import registry
from quantbench.core.errors import EXIT_OK, QuantbenchError, UsageError

if TYPE_CHECKING:
    from quantbench.analysis.package import Package
    from quantbench.core.results import SweepResult
    from quantbench.core.summary import RowSummary
    from quantbench.hub import Destination, Published, Upload

# What results are called in a run's folder; nothing else there is published.
_RESULT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}\.json")
_MOST_PROBLEMS = 10


@dataclass(frozen=True)
class Options:
    """What was given on the command line."""

    row: str
    repo: str
    private: bool = False
    pull_request: bool = False
    dry_run: bool = False


def push_row(path: Path, options: Options, *, as_json: bool) -> int:
    """`quantbench push`: publish a row of a run, or say what would be sent.

    Raises:
        UsageError: the repository's name is none, there is no token, there is no such row or card,
            or the model of which the tokenizer is taken is gone.
        QuantbenchError: the row cannot be published, or the hub did not take it.
    """
    from quantbench import hub, run_dir
    from quantbench.analysis.compare import summarize
    from quantbench.analysis.package import package
    from quantbench.analysis.publishable import check_publishable, license_note
    from quantbench.commands.run import ended_in_order
    from quantbench.core.hub_names import check_repository

    check_repository(options.repo)
    if options.private and options.pull_request:
        raise UsageError(
            "--private and --pr: a pull request goes to a repository that is there already",
            hint="Give one of them.",
        )
    result = run_dir.load_run(path, registry.catalog())
    summary = summarize(result, registry.task(result.config.task).spec)
    row = check_publishable(result, summary, options.row)
    found = package(result, summary, options.row)
    token = None if options.dry_run else hub.token_of_this_machine()
    to = hub.Destination(options.repo, options.private, options.pull_request)
    with ended_in_order(), tempfile.TemporaryDirectory(prefix="quantbench-push-") as scratch:
        folder = Path(scratch) / "model"
        with hub.contacting_nothing() if token is None else contextlib.nullcontext():
            metadata = _write_folder(path, result, row, found, folder)
        files = hub.listing(folder)
        note = license_note(found.subject.license or metadata.get("license"))
        notes = (*found.notes, *([note] if note else []))
        made = None
        if token is not None:
            message = f"Add row {row.number} of a quantbench sweep: {found.row_file}"
            with _bars_on_terminals():
                made = hub.publish(folder, files, to, message, token)
    _print(to, files, notes, made, as_json=as_json)
    return EXIT_OK


def _write_folder(
    path: Path, result: SweepResult, row: RowSummary, found: Package, folder: Path
) -> dict[str, Any]:
    """Write all that is to be published; returns the metadata of its card.

    Raises:
        UsageError: there is no card, or the model of the tokenizer is gone.
        QuantbenchError: the card's metadata is not what the hub takes, or a model file is gone.
    """
    from quantbench.analysis.front_matter import front_matter_problems, split_front_matter
    from quantbench.commands.save_model import card_files
    from quantbench.packaging import model_directory, save_model
    from quantbench.reports.card_front_matter import card_of_row
    from quantbench.reports.paths import CARD
    from quantbench.reports.saved_model import folder_section
    from quantbench.store import default_store

    texts = card_files(path)
    try:
        card = card_of_row(texts[CARD].decode(), result, row)
    except UnicodeDecodeError:
        raise UsageError(
            f"{path / CARD} is no text in UTF-8", hint=f"Write it again: quantbench card {path}"
        ) from None
    metadata, _ = split_front_matter(card)
    problems = front_matter_problems(metadata)
    if problems:
        listed = "".join(f"\n    {problem}" for problem in problems[:_MOST_PROBLEMS])
        raise QuantbenchError(
            f"the hub would refuse the front matter of {path / CARD}:{listed}",
            hint=f"Correct it there, or write the card again: quantbench card {path}",
        )
    spec = registry.task(result.config.task).spec
    texts[CARD] = f"{card}\n{folder_section(found, spec)}\n".encode()
    texts |= _results(path)
    save_model(found, model_directory(found.subject), default_store(), texts, folder, force=False)
    return metadata


def _results(path: Path) -> dict[str, bytes]:
    """Table, report and results of a run, by their paths in its folder and in the repository.

    Raises:
        UsageError: a file cannot be read, or the table or all results are missing.
    """
    from quantbench.ordinary import read_ordinary
    from quantbench.reports.paths import REPORT, TABLE

    results = sorted(
        item.name for item in (path / "results").glob("*.json") if _RESULT.fullmatch(item.name)
    )
    files = [path / TABLE, *(path / "results" / name for name in results)]
    if (path / REPORT).exists():
        files.append(path / REPORT)
    if not results or not (path / TABLE).exists():
        raise UsageError(
            f"{path} has no results/*.json or no {TABLE}",
            hint=f"Write the table with `quantbench card {path}`, results with `quantbench run`.",
        )
    found: dict[str, bytes] = {}
    for file in files:
        try:
            if file.is_symlink():
                raise OSError(0, "it is a link, and links are not published")
            found[file.relative_to(path).as_posix()] = read_ordinary(file)
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror or error}") from None
    return found


@contextlib.contextmanager
def _bars_on_terminals() -> Iterator[None]:
    """The library's progress bars only where somebody looks at them."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if are_progress_bars_disabled() or sys.stderr.isatty():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _print(
    to: Destination,
    files: tuple[Upload, ...],
    notes: tuple[str, ...],
    made: Published | None,
    *,
    as_json: bool,
) -> None:
    """A line for each file (path, bytes, SHA-256), the sum, and what came of it; or all as JSON."""
    from quantbench.core.printable import printable

    if as_json:
        told = {
            "repo": to.repo,
            "private": to.private,
            "pull_request": to.pull_request,
            "dry_run": made is None,
            "published": None if made is None else asdict(made),
            "notes": list(notes),
            "files": [asdict(item) for item in files],
        }
        print(json.dumps(told, indent=1))
        return
    for note in notes:
        print(f"note: {printable(note)}", file=sys.stderr)
    widest = max(len(item.path) for item in files)
    for item in files:
        print(f"{printable(item.path):{widest}}  {item.num_bytes:>12,}  {item.sha256}")
    print(f"{len(files)} files, {sum(item.num_bytes for item in files):,} bytes")
    what = "a pull request to" if to.pull_request else "one commit of"
    if made is None:
        print(f"dry run: this would be {what} {to.repo}; nothing was sent")
    elif not made.changed:
        print(f"{to.repo} has all of these files already: nothing was changed")
    else:
        print(f"published: {printable(made.pull_request_url or made.url)}")
