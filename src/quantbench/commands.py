"""What the commands do: read the config, call the sweep, print what came out."""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from quantbench import registry
from quantbench.core.config import SweepConfig
from quantbench.core.config_file import read_config
from quantbench.core.config_schema import schema
from quantbench.core.errors import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_SOME_ROWS_FAILED,
    QuantbenchError,
    UsageError,
)
from quantbench.core.plan import make_plan

DEMOS = ("questions", "digits")


def read_config_file(path: Path) -> tuple[SweepConfig, str]:
    """A checked config and the text that it was read from.

    Raises:
        UsageError: there is no such file, or it is no text.
        ConfigError: with every problem of the config.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a text file in UTF-8") from None
    return read_config(text, str(path), registry.catalog()), text


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C is taken: workers are ended, and what is known stays on disk."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_config(path: Path, out: Path, quiet: bool, as_json: bool, fresh: bool) -> int:
    """`quantbench run`: the exit code says whether all rows are there."""
    from quantbench.progress import Watcher
    from quantbench.reports.tables import rows_as_json
    from quantbench.reports.terminal import print_result
    from quantbench.store import default_store
    from quantbench.sweep import run_sweep

    config, text = read_config_file(path)
    try:
        with ended_in_order(), Watcher(path.stem, sys.stderr, quiet) as watcher:
            reported = run_sweep(config, text, out, default_store(), watcher, fresh)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise QuantbenchError(
            f"cannot write{where}: {error.strerror or error}",
            hint="What was done so far is kept: make room, and run the same command again.",
        ) from error
    summary = reported.summary
    if as_json:
        print(json.dumps(rows_as_json(summary), indent=1))
    elif not quiet:
        print_result(summary, out, sys.stdout)
    if _print_problems(reported.problems):
        return EXIT_FAILED
    statuses = [row.status for row in summary.rows]
    bad = [status for status in statuses if status in ("failed", "refused", "partial")]
    if not bad:
        return EXIT_OK
    return EXIT_FAILED if len(bad) == len(statuses) else EXIT_SOME_ROWS_FAILED


def run_demo(out: Path, quiet: bool) -> int:
    """`quantbench demo`: both bundled sweeps, one after the other; the worse exit code."""
    codes = []
    configs = importlib.resources.files("quantbench.demo")
    for name in DEMOS:
        with importlib.resources.as_file(configs / f"demo-{name}.yaml") as path:
            codes.append(run_config(path, out / f"demo-{name}", quiet, as_json=False, fresh=False))
    # The worst first: 1 (failed) is worse than 4 (some rows failed).
    return next((code for code in (EXIT_FAILED, EXIT_SOME_ROWS_FAILED) if code in codes), EXIT_OK)


def print_plan(path: Path, as_json: bool) -> int:
    """`quantbench plan`: rows, what is inert or the same, what is stored, what the rest takes."""
    from quantbench.forecast import forecast
    from quantbench.store import default_store

    config, _ = read_config_file(path)
    plan = make_plan(config, registry.task(config.task).spec)
    found = forecast(plan, config, default_store())
    if as_json:
        data = {**plan.model_dump(mode="json"), "forecast": found.model_dump(mode="json")}
        print(json.dumps(data, indent=1))
        return EXIT_OK
    from quantbench.reports.plan import print_plan_table

    print_plan_table(plan, config, found, sys.stdout)
    return EXIT_OK


def write_first_config(
    model_name: str, dataset_path: str | None, dataset_name: str | None, out: Path | None
) -> int:
    """`quantbench init`: a commented config, guessed from a model and a dataset."""
    from quantbench.data.describe import describe_dataset, tokenizer_limit
    from quantbench.data.models import resolve_model
    from quantbench.starter.entries import open_places
    from quantbench.starter.guess import guess_config, guess_task
    from quantbench.starter.text import first_lines, to_yaml

    if dataset_name is not None and dataset_path is None:
        raise UsageError("--dataset-name needs --dataset")
    if out is not None and out.exists():
        raise _exists(out)
    tasks = registry.catalog().tasks
    model = resolve_model(model_name, None)
    guess_task(model, tasks)  # before a dataset is downloaded for nothing
    data = None if dataset_path is None else describe_dataset(dataset_path, dataset_name)
    limit = tokenizer_limit(model.directory)
    entries = guess_config(model, limit, data, tasks)
    places = list(open_places(entries))
    text = to_yaml(first_lines(model.name, places, "FILE" if out is None else str(out)), entries)
    if out is None:
        print(text, end="")
        return EXIT_OK
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _exists(out) from None
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from None
    todo = f"fill in {', '.join(places)}" if places else "check what was guessed"
    print(f"{out}\n{todo}, then: quantbench plan {out}")
    return EXIT_OK


def _exists(path: Path) -> UsageError:
    return UsageError(f"{path} exists; it is not overwritten", hint="Give another name to --out.")


def print_schema() -> int:
    """`quantbench schema`: the JSON Schema of a config."""
    print(json.dumps(schema(registry.catalog()), indent=2))
    return EXIT_OK


def write_card(path: Path) -> int:
    """`quantbench card`: every report of a run, from its stored results alone."""
    from quantbench.run_dir import check_run, locked
    from quantbench.sweep import write_reports

    check_run(path)
    with locked(path):
        reported = write_reports(path)
    print(path / "README.md")
    return EXIT_FAILED if _print_problems(reported.problems) else EXIT_OK


def _print_problems(problems: tuple[str, ...]) -> bool:
    """Tell which reports could not be written; returns whether there were any."""
    for problem in problems:
        print(f"quantbench: {problem}", file=sys.stderr)
    return bool(problems)


def print_cache(each: bool, as_json: bool) -> int:
    """`quantbench cache list`: what is in the store."""
    from quantbench.cache.contents import read_artifacts
    from quantbench.cache.runs import read_runs
    from quantbench.reports.cache import contents_as_json, print_contents
    from quantbench.store import default_store

    root = default_store()
    artifacts = read_artifacts(root, read_runs(root))
    if as_json:
        print(json.dumps(contents_as_json(artifacts, root, each=each), indent=1))
    else:
        print_contents(artifacts, root, sys.stdout, each=each)
    return EXIT_OK


def verify_cache(keep: bool, as_json: bool) -> int:
    """`quantbench cache verify`: read every file; what is damaged is named, and removed."""
    from quantbench.cache.contents import find_damage, read_artifacts, take_away
    from quantbench.cache.runs import read_runs
    from quantbench.reports.cache import damage_as_json, print_damage
    from quantbench.store import default_store

    root = default_store()
    artifacts = read_artifacts(root, read_runs(root))
    found = [(item, find_damage(root, item.key)) for item in artifacts]
    damaged = [(item, reason) for item, reason in found if reason is not None]
    for item, _ in damaged if not keep else ():
        take_away(root, item)
    if as_json:
        print(json.dumps(damage_as_json(damaged, len(found), removed=not keep), indent=1))
    else:
        print_damage(damaged, len(found), sys.stdout, removed=not keep)
    return EXIT_FAILED if damaged else EXIT_OK


def prune_cache(
    older_than: str | None, unused_for: str | None, max_size: str | None, dry: bool, as_json: bool
) -> int:
    """`quantbench cache prune`: remove what is old or too much, and what no run names."""
    from quantbench.cache.contents import read_artifacts, take_away
    from quantbench.cache.runs import forget_gone_runs, read_runs
    from quantbench.core.amounts import parse_duration, parse_size
    from quantbench.core.pruning import Limits, choose
    from quantbench.reports.cache import print_pruned, pruned_as_json
    from quantbench.store import default_store

    if older_than is None and unused_for is None and max_size is None:
        hint = "Give --older-than 30d, --unused-for 14d, --max-size 5GB, or several of them."
        raise UsageError("cache prune needs to know what may go", hint=hint)
    limits = Limits(
        older_than_s=None if older_than is None else parse_duration(older_than, "--older-than"),
        unused_for_s=None if unused_for is None else parse_duration(unused_for, "--unused-for"),
        max_bytes=None if max_size is None else parse_size(max_size, "--max-size"),
    )
    root = default_store()
    artifacts = read_artifacts(root, read_runs(root))
    choice = choose(artifacts, limits, time.time_ns())
    if not dry:
        forget_gone_runs(root)
        removed = tuple(item for item in choice.gone if take_away(root, item))
        choice = choice.model_copy(update={"gone": removed})
    left = [item for item in artifacts if item not in choice.gone]
    if as_json:
        print(json.dumps(pruned_as_json(choice, left, dry=dry), indent=1))
    else:
        print_pruned(choice, left, limits.max_bytes, sys.stdout, dry=dry)
    return EXIT_OK


def print_trace(path: Path, row: str, metric: str | None, as_json: bool) -> int:
    """`quantbench trace`: what made the numbers of a row, back to the model and the data."""
    from quantbench import run_dir
    from quantbench.analysis.compare import summarize
    from quantbench.analysis.trace import trace
    from quantbench.reports.trace import print_tree

    result = run_dir.load_run(path, registry.catalog())
    spec = registry.task(result.config.task).spec
    found = trace(result, summarize(result, spec), spec, row, metric, path / "pinned.yaml")
    if as_json:
        print(json.dumps(found.model_dump(mode="json"), indent=1))
    else:
        print_tree(found, sys.stdout)
    return EXIT_OK
