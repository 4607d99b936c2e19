"""The command `quantbench`: parse, call, print."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from quantbench import __version__
from quantbench.commands import epilogs
from quantbench.core.timing_defaults import (
    DURATION_S,
    OPTIMIZATION_LEVEL,
    OPTIMIZATION_LEVELS,
    PRECISION,
)

# Nothing that takes time is imported here: `quantbench --help` answers at once. Each command
# imports what it needs.


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    # Imported late for speed, and needed by every command.
    from quantbench.core.errors import EXIT_INTERRUPTED, QuantbenchError
    from quantbench.core.printable import printable

    try:
        return run(arguments)
    except QuantbenchError as error:
        print(f"quantbench: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("quantbench: interrupted; run the same command again to go on", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`quantbench schema | head`): no reason to complain.
        sys.stderr.close()
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quantbench",
        description=(
            "Decide whether, and how, to quantize a transformer for CPU serving: "
            "measure every configuration of a grid, and write a model card."
        ),
        epilog=epilogs.MAIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"quantbench {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = _add(commands, "run", _run, "run a sweep and write its card")
    run.add_argument("config", type=Path, metavar="CONFIG", help="a YAML file")
    run.add_argument("--out", type=Path, help="the run's folder (default: runs/NAME of the config)")
    run.add_argument(
        "--fresh", action="store_true", help="reuse nothing: make and measure everything again"
    )
    run.add_argument("--quiet", action="store_true", help="print failures only")
    run.add_argument("--json", action="store_true", help="print the result rows as JSON")

    plan = _add(commands, "plan", _plan, "print rows, what is inert or the same, and the work")
    plan.add_argument("config", type=Path, metavar="CONFIG", help="a YAML file")
    plan.add_argument("--json", action="store_true", help="print the plan as JSON")

    init = _add(commands, "init", _init, "write a first config, every guess marked")
    init.epilog = epilogs.INIT
    init.formatter_class = argparse.RawDescriptionHelpFormatter
    init.add_argument(
        "model",
        metavar="MODEL",
        help="hub name, local directory in transformers layout, ONNX file, bundled:…",
    )
    init.add_argument(
        "--dataset",
        metavar="D",
        help="hub name, local folder, one json, jsonl, csv or parquet file, or bundled:…",
    )
    init.add_argument("--dataset-name", metavar="NAME", help="its configuration, if it has several")
    init.add_argument("--out", type=Path, metavar="FILE", help="write here (default: print it)")

    _add(commands, "schema", _schema, "print the JSON Schema of a config, for editors")

    demo = _add(
        commands, "demo", _demo, "run a complete sweep of two small models that are included"
    )
    demo.add_argument("--out", type=Path, default=Path("runs"), help="folder for the two runs")
    demo.add_argument("--quiet", action="store_true", help="print failures only")

    show = _add(commands, "show", _show, "print the rows of a run, or everything about one")
    _teach(show, epilogs.SHOW)
    show.add_argument("run_dir", type=Path, metavar="RUN", help="the run's folder")
    show.add_argument(
        "--row", metavar="R", help="everything about it: its number, or its trial's id"
    )
    show.add_argument("--columns", metavar="A,B,C", help="these columns, in this order")
    show.add_argument(
        "--sort",
        action="append",
        default=[],
        metavar="COLUMN[:desc]",
        help="smallest first, or largest; may be given several times",
    )
    show.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="only such rows; may be given several times, and all have to hold",
    )
    show.add_argument("--json", action="store_true", help="print the same as JSON")

    listed = _add(commands, "list", _list, "list runs: state, model, what is recommended")
    _teach(listed, epilogs.LIST)
    listed.add_argument(
        "dir", type=Path, nargs="?", default=Path("runs"), metavar="DIR", help="default: runs"
    )
    listed.add_argument("--json", action="store_true", help="print the same as JSON")

    export = _add(commands, "export", _export, "write a table of a run: Parquet, CSV or JSON")
    _teach(export, epilogs.EXPORT)
    export.add_argument("run_dir", type=Path, metavar="RUN", help="the run's folder")
    export.add_argument("--table", required=True, metavar="T", help="rows, cells, samples, …")
    export.add_argument(
        "--format", metavar="F", help="parquet, csv, json (default: FILE's suffix, or csv)"
    )
    export.add_argument(
        "--out", type=Path, metavar="FILE", help="the file (default: standard output)"
    )

    card = _add(commands, "card", _card, "write card, table and pictures again from stored results")
    card.add_argument("run_dir", type=Path, metavar="RUN", help="the run's folder")

    html = _add(commands, "report", _report, "write report.html again from stored results")
    html.add_argument("run_dir", type=Path, metavar="RUN", help="the run's folder")

    trace = _add(commands, "trace", _trace, "print what made a number, back to model and data")
    _teach(trace, epilogs.TRACE)
    trace.add_argument("run_dir", type=Path, metavar="RUN", help="the run's folder")
    trace.add_argument(
        "--row", required=True, metavar="R", help="its number, or the start of its trial's id"
    )
    trace.add_argument(
        "--metric", metavar="M", help="one metric, or speedup (default: all of them)"
    )
    trace.add_argument("--json", action="store_true", help="print the same as JSON")

    timed = _add(commands, "time", _time, "time ONNX files beside each other, without a dataset")
    _teach(timed, epilogs.TIME)
    timed.add_argument(
        "models",
        type=Path,
        nargs="+",
        metavar="FILE.onnx",
        help="what to time; speed-ups are over the first",
    )
    timed.add_argument(
        "--pytorch", type=Path, metavar="DIR", help="a model folder to run in PyTorch eager too"
    )
    timed.add_argument("--batch-size", type=int, metavar="N", help="default: 1, or the graph's")
    timed.add_argument(
        "--input-length", type=int, metavar="N", help="tokens; default: 128, or the graph's"
    )
    timed.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="NAME=N,N,...",
        help="the whole shape of one input; may be given several times",
    )
    timed.add_argument(
        "--duration",
        type=float,
        metavar="S",
        help=f"seconds for each file, at most (default: {DURATION_S:g})",
    )
    timed.add_argument(
        "--precision",
        type=float,
        metavar="P",
        help=f"half-width of the ratios at which timing may stop (default: {PRECISION:g})",
    )
    timed.add_argument(
        "--threads", type=int, metavar="N", help="default: the physical cores that are allowed"
    )
    timed.add_argument(
        "--optimization-level",
        type=int,
        choices=OPTIMIZATION_LEVELS,
        default=OPTIMIZATION_LEVEL,
        help=f"of ONNX Runtime's graph optimization (default: {OPTIMIZATION_LEVEL})",
    )
    timed.add_argument("--json", action="store_true", help="print the same as JSON")

    inspect = _add(commands, "inspect", _inspect, "print what is in an ONNX file, by module")
    _teach(inspect, epilogs.INSPECT)
    inspect.add_argument("model", type=Path, metavar="MODEL.onnx", help="an ONNX file")
    inspect.add_argument(
        "--depth", type=int, default=4, metavar="N", help="levels of modules to show (default: 4)"
    )
    inspect.add_argument("--json", action="store_true", help="print all of it as JSON")
    explain = _add(commands, "explain", _explain, "tell where a row's error and time come from")
    _teach(explain, epilogs.EXPLAIN)
    explain.add_argument("run_dir", type=Path, metavar="RUN", help="the run's folder")
    explain.add_argument(
        "--row", required=True, metavar="R", help="its number, or the start of its trial's id"
    )
    explain.add_argument(
        "--samples",
        type=int,
        default=32,
        metavar="N",
        help="whose activations are compared (default: 32)",
    )
    explain.add_argument("--json", action="store_true", help="print the same as JSON")

    errors = _add(
        commands, "errors", _errors, "list the samples that a row answers worse or better"
    )
    _teach(errors, epilogs.ERRORS)
    errors.add_argument("run_dir", type=Path, metavar="RUN", help="the run's folder")
    errors.add_argument(
        "--row", required=True, metavar="R", help="its number, or the start of its trial's id"
    )
    errors.add_argument(
        "--limit", type=int, default=20, metavar="N", help="samples to print (default: 20)"
    )
    errors.add_argument("--json", action="store_true", help="print all of them as JSON")

    compare = _add(
        commands, "compare", _compare, "print the same rows of several runs side by side"
    )
    _teach(compare, epilogs.COMPARE)
    compare.add_argument(
        "run_dirs", type=Path, nargs="+", metavar="RUN", help="folders of runs, the first one first"
    )
    compare.add_argument(
        "--row", metavar="R", help="only this row of the first run: its number, or its trial's id"
    )
    compare.add_argument(
        "--shapes", action="store_true", help="times, speedups and changes for each shape too"
    )
    compare.add_argument("--json", action="store_true", help="print all of it as JSON")

    gate = _add(commands, "gate", _gate, "tell by the exit code whether a run meets conditions")
    _teach(gate, epilogs.GATE)
    gate.add_argument("run_dir", type=Path, metavar="RUN", help="the run's folder")
    gate.add_argument(
        "--max-drop", metavar="D", help="largest drop of the first metric, in points: 0.5"
    )
    gate.add_argument("--min-speedup", metavar="S", help="least speed-up over the original: 1.5")
    gate.add_argument(
        "--row", metavar="R", help="its number, or its trial's id (default: the recommended row)"
    )
    gate.add_argument(
        "--shape", metavar="BxL", help="batch size x input length (default: the worst of all)"
    )
    gate.add_argument("--baseline", type=Path, metavar="OLD", help="an older run's folder")
    gate.add_argument(
        "--max-slowdown", metavar="P", help="how much longer than in OLD it may take: 3%% or 0.03"
    )
    gate.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML there")
    gate.add_argument("--markdown", type=Path, metavar="FILE", help="write a summary there")
    gate.add_argument("--json", action="store_true", help="print the same as JSON")

    save = _add(commands, "save-model", _save_model, "write a row's model for others to load")
    _teach(save, epilogs.SAVE)
    save.add_argument("run_dir", type=Path, metavar="RUN", help="the run's folder")
    save.add_argument(
        "--row", required=True, metavar="R", help="its number, or the start of its trial's id"
    )
    save.add_argument("--to", required=True, type=Path, metavar="DIR", help="the folder to write")
    save.add_argument("--force", action="store_true", help="replace what save-model wrote there")
    save.add_argument("--json", action="store_true", help="print what was written as JSON")

    push = _add(commands, "push", _push, "publish a row's model, card and results on the hub")
    _teach(push, epilogs.PUSH)
    push.add_argument("run_dir", type=Path, metavar="RUN", help="the run's folder")
    push.add_argument(
        "--row", required=True, metavar="R", help="its number, or the start of its trial's id"
    )
    push.add_argument(
        "--repo", required=True, metavar="NAME", help="owner/name; made if it is not there"
    )
    push.add_argument("--private", action="store_true", help="make the repository private")
    push.add_argument(
        "--pr", action="store_true", help="open a pull request, to a repository that is there"
    )
    push.add_argument(
        "--dry-run", action="store_true", help="only say what would be sent: contact nothing"
    )
    push.add_argument("--json", action="store_true", help="print what was sent as JSON")

    imported = _add(commands, "import", _import, "read a published card back into a run")
    _teach(imported, epilogs.IMPORT)
    imported.add_argument("card", type=Path, metavar="CARD.md", help="a published card's text")
    imported.add_argument(
        "--out", type=Path, metavar="DIR", help="the run's folder (default: runs/NAME of the card)"
    )
    imported.add_argument("--json", action="store_true", help="print what was read as JSON")

    lint = _add(commands, "lint", _lint, "list what a published card's numbers cannot support")
    _teach(lint, epilogs.LINT)
    lint.add_argument("card", type=Path, metavar="CARD.md", help="a published card's text")
    lint.add_argument(
        "--samples",
        type=int,
        metavar="N",
        help="how many were evaluated, where the card says `All dataset`",
    )
    lint.add_argument("--json", action="store_true", help="print the findings as JSON")

    cache = _add(commands, "cache", _cache_list, "list, check and tidy up the store")
    _teach(cache, epilogs.CACHE)
    cache.add_argument("--all", action="store_true", help="a line for every artifact")
    cache.add_argument("--json", action="store_true", help="print the same as JSON")
    _add_cache_commands(cache.add_subparsers(title="commands", metavar="COMMAND"))
    return parser


def _add_cache_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> None:
    listed = _add(commands, "list", _cache_list, "print what the store has, by stage (the default)")
    # Where it is not given again, what was given before the command holds.
    suppress = argparse.SUPPRESS
    listed.add_argument(
        "--all", action="store_true", default=suppress, help="a line for every artifact"
    )

    verify = _add(commands, "verify", _cache_verify, "read every file, and remove what is damaged")
    verify.add_argument("--keep", action="store_true", help="report only: remove nothing")

    prune = _add(commands, "prune", _cache_prune, "remove old artifacts that no run names")
    _teach(prune, epilogs.PRUNE)
    prune.add_argument("--older-than", metavar="AGE", help="made longer ago than this: 30d, 12h")
    prune.add_argument("--unused-for", metavar="AGE", help="last used longer ago than this")
    prune.add_argument(
        "--max-size",
        metavar="SIZE",
        help="the least recently used go until the store is not above this: 500MB, 5GB, 2GiB",
    )
    prune.add_argument("--dry-run", action="store_true", help="only say what would be removed")

    for parser in (listed, verify, prune):
        parser.add_argument(
            "--json", action="store_true", default=suppress, help="print the same as JSON"
        )


def _teach(parser: argparse.ArgumentParser, epilog: str) -> None:
    parser.epilog = epilog
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(run=run)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from quantbench.commands.run import run_config

    path: Path = arguments.config
    out = arguments.out or Path("runs") / path.stem
    return run_config(
        path, out, quiet=arguments.quiet, as_json=arguments.json, fresh=arguments.fresh
    )


def _plan(arguments: argparse.Namespace) -> int:
    from quantbench.commands.plan import print_plan

    return print_plan(arguments.config, as_json=arguments.json)


def _init(arguments: argparse.Namespace) -> int:
    from quantbench.commands.init import write_first_config

    return write_first_config(
        arguments.model, arguments.dataset, arguments.dataset_name, arguments.out
    )


def _schema(_: argparse.Namespace) -> int:
    from quantbench.commands.plan import print_schema

    return print_schema()


def _demo(arguments: argparse.Namespace) -> int:
    from quantbench.commands.run import run_demo

    return run_demo(arguments.out, quiet=arguments.quiet)


def _show(arguments: argparse.Namespace) -> int:
    from quantbench.commands.show import Asked, show_row, show_run
    from quantbench.core.errors import UsageError

    asked = Asked(arguments.columns, arguments.sort, arguments.filter)
    if arguments.row is None:
        return show_run(arguments.run_dir, asked, as_json=arguments.json)
    if asked.columns is not None or asked.sorts or asked.filters:
        raise UsageError("--row shows one row: it goes without --columns, --sort and --filter")
    return show_row(arguments.run_dir, arguments.row, as_json=arguments.json)


def _list(arguments: argparse.Namespace) -> int:
    from quantbench.commands.show import list_runs

    return list_runs(arguments.dir, as_json=arguments.json)


def _export(arguments: argparse.Namespace) -> int:
    from quantbench.commands.show import export_table

    return export_table(arguments.run_dir, arguments.table, arguments.format, arguments.out)


def _card(arguments: argparse.Namespace) -> int:
    from quantbench.commands.run import write_card

    return write_card(arguments.run_dir)


def _report(arguments: argparse.Namespace) -> int:
    from quantbench.commands.run import write_html

    return write_html(arguments.run_dir)


def _trace(arguments: argparse.Namespace) -> int:
    from quantbench.commands.trace import print_trace

    return print_trace(arguments.run_dir, arguments.row, arguments.metric, as_json=arguments.json)


def _time(arguments: argparse.Namespace) -> int:
    from quantbench.commands.time import Options, time_files

    options = Options(
        batch_size=arguments.batch_size,
        input_length=arguments.input_length,
        shapes=arguments.shape,
        duration_s=arguments.duration,
        precision=arguments.precision,
        num_threads=arguments.threads,
        optimization_level=arguments.optimization_level,
        pytorch=arguments.pytorch,
    )
    return time_files(arguments.models, options, as_json=arguments.json)


def _inspect(arguments: argparse.Namespace) -> int:
    from quantbench.commands.inspect import print_model

    return print_model(arguments.model, arguments.depth, as_json=arguments.json)


def _explain(arguments: argparse.Namespace) -> int:
    from quantbench.commands.explain import print_explanation

    return print_explanation(
        arguments.run_dir, arguments.row, arguments.samples, as_json=arguments.json
    )


def _errors(arguments: argparse.Namespace) -> int:
    from quantbench.commands.errors import print_errors

    return print_errors(arguments.run_dir, arguments.row, arguments.limit, as_json=arguments.json)


def _compare(arguments: argparse.Namespace) -> int:
    from quantbench.commands.compare import print_run_comparison

    return print_run_comparison(
        arguments.run_dirs, arguments.row, shapes=arguments.shapes, as_json=arguments.json
    )


def _gate(arguments: argparse.Namespace) -> int:
    from quantbench.commands.gate import Options, print_gate_result

    options = Options(
        max_drop=arguments.max_drop,
        min_speedup=arguments.min_speedup,
        row=arguments.row,
        shape=arguments.shape,
        baseline=arguments.baseline,
        max_slowdown=arguments.max_slowdown,
        junit=arguments.junit,
        markdown=arguments.markdown,
    )
    return print_gate_result(arguments.run_dir, options, as_json=arguments.json)


def _save_model(arguments: argparse.Namespace) -> int:
    from quantbench.commands.save_model import save_row

    return save_row(
        arguments.run_dir,
        arguments.row,
        arguments.to,
        force=arguments.force,
        as_json=arguments.json,
    )


def _push(arguments: argparse.Namespace) -> int:
    from quantbench.commands.push import Options, push_row

    options = Options(
        row=arguments.row,
        repo=arguments.repo,
        private=arguments.private,
        pull_request=arguments.pr,
        dry_run=arguments.dry_run,
    )
    return push_row(arguments.run_dir, options, as_json=arguments.json)


def _import(arguments: argparse.Namespace) -> int:
    from quantbench.commands.import_card import import_card

    return import_card(arguments.card, arguments.out, as_json=arguments.json)


def _lint(arguments: argparse.Namespace) -> int:
    from quantbench.commands.lint import lint_card

    return lint_card(arguments.card, arguments.samples, as_json=arguments.json)


def _cache_list(arguments: argparse.Namespace) -> int:
    from quantbench.commands.cache import print_cache

    return print_cache(each=arguments.all, as_json=arguments.json)


def _cache_verify(arguments: argparse.Namespace) -> int:
    from quantbench.commands.cache import verify_cache

    return verify_cache(keep=arguments.keep, as_json=arguments.json)


def _cache_prune(arguments: argparse.Namespace) -> int:
    from quantbench.commands.cache import prune_cache

    return prune_cache(
        arguments.older_than,
        arguments.unused_for,
        arguments.max_size,
        dry=arguments.dry_run,
        as_json=arguments.json,
    )
