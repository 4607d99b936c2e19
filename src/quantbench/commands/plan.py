"""`quantbench plan` and `schema`: what a config means, without doing it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from quantbench import environment, registry
from quantbench.commands.config_files import read_config_file
from quantbench.core.config_schema import schema
from quantbench.core.errors import EXIT_OK
from quantbench.core.plan import make_plan

LOCAL = "local"


def print_plan(path: Path, as_json: bool) -> int:
    """`quantbench plan`: rows, what is inert or the same, what is stored, what the rest takes.

    Raises:
        UsageError: this machine lacks the instructions that the config asks for.
    """
    from quantbench.forecast import forecast
    from quantbench.store import default_store

    config, _ = read_config_file(path)
    cpu = environment.read_cpu()
    if config.backend == LOCAL:
        wanted = config.backend_args.get("supported_instructions")
        environment.check_instructions(None if wanted is None else str(wanted), cpu.flags)
    plan = make_plan(config, registry.task(config.task).spec)
    found = forecast(plan, config, default_store())
    if as_json:
        data = {**plan.model_dump(mode="json"), "forecast": found.model_dump(mode="json")}
        print(json.dumps(data, indent=1))
        return EXIT_OK
    from quantbench.reports.plan import print_plan_table

    print_plan_table(plan, config, found, cpu, sys.stdout)
    return EXIT_OK


def print_schema() -> int:
    """`quantbench schema`: the JSON Schema of a config."""
    print(json.dumps(schema(registry.catalog()), indent=2))
    return EXIT_OK
