"""What the commands do: read the config, call the sweep, print what came out."""

from __future__ import annotations

import importlib.resources
import json
import sys
from pathlib import Path

from quantbench import registry
from quantbench.core.config import SweepConfig
from quantbench.core.config_file import read_config
from quantbench.core.config_schema import schema
from quantbench.core.errors import EXIT_FAILED, EXIT_OK, EXIT_SOME_ROWS_FAILED, UsageError
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


def run_config(path: Path, out: Path, quiet: bool, as_json: bool, fresh: bool) -> int:
    """`quantbench run`: the exit code says whether all rows are there."""
    from quantbench.progress import Watcher
    from quantbench.reports.tables import rows_as_json
    from quantbench.reports.terminal import print_result
    from quantbench.store import default_store
    from quantbench.sweep import run_sweep

    config, text = read_config_file(path)
    with Watcher(path.stem, sys.stderr, quiet) as watcher:
        reported = run_sweep(config, text, out, default_store(), watcher, fresh)
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
    from quantbench.sweep import write_reports

    reported = write_reports(path)
    print(path / "README.md")
    return EXIT_FAILED if _print_problems(reported.problems) else EXIT_OK


def _print_problems(problems: tuple[str, ...]) -> bool:
    """Tell which reports could not be written; returns whether there were any."""
    for problem in problems:
        print(f"quantbench: {problem}", file=sys.stderr)
    return bool(problems)
