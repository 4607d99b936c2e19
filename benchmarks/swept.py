"""Sweeps of benchmarks: run by the project itself, and read as its reports read them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from quantbench import registry
from quantbench.core.config_file import read_config
from quantbench.core.results import Environment
from quantbench.core.summary import RowSummary, SweepSummary
from quantbench.progress import Watcher
from quantbench.run_dir import load_run
from quantbench.store import default_store
from quantbench.sweep import run_sweep

# What the scripts of 2022 could leave in floats.
EXCLUSIONS = ["layernorm", "gelu", "residual", "gather", "softmax"]


class Swept(NamedTuple):
    """A finished sweep, and where it is."""

    name: str
    folder: Path
    summary: SweepSummary
    environment: Environment | None


def run(name: str, config: Mapping[str, Any], folder: Path) -> Swept:
    """Run a sweep, or go on with it.

    Args:
        name: what it is called in tables.
        config: as in a config file; what is swept is left out at the top.
        folder: of the run; its name is that of the sweep for who watches.
    """
    swept = config["benchmarked"]
    fixed = {parameter: value for parameter, value in config.items() if parameter not in swept}
    text = yaml.safe_dump(fixed, sort_keys=False)
    checked = read_config(text, folder.name, registry.catalog())
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Watcher(folder.name, sys.stderr, quiet=False) as watcher:
        reported = run_sweep(checked, text, folder, default_store(), watcher, fresh=False)
    facts = load_run(folder, registry.catalog())
    return Swept(name, folder, reported.summary, facts.environment)


def words(row: RowSummary) -> str:
    """The row's parameters; the five exclusions of 2022 in two words."""
    texts: list[str] = []
    for name, value in row.parameters.items():
        if name == "node_exclusion":
            parts = value if isinstance(value, list) else []
            named = "all five" if parts == EXCLUSIONS else " + ".join(map(str, parts))
            texts.append(f"excluded: {named or 'none'}")
        elif isinstance(value, list):
            texts.append(" + ".join(map(str, value)))
        elif isinstance(value, str) and "." not in name:
            texts.append(value)
        else:
            texts.append(f"{name.split('.')[-1]} {value}")
    return ", ".join(texts)
