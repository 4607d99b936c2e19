"""What comes with the package: two small models with their data, named `bundled:NAME`."""

from __future__ import annotations

from pathlib import Path

import quantbench
from quantbench.core.errors import ConfigError, Problem, nearest_name

PREFIX = "bundled:"
NAMES = ("questions", "digits")


def assets_directory() -> Path:
    """The directory in the package that holds one directory per name."""
    return Path(quantbench.__file__).parent / "demo" / "assets"


def bundled_directory(name: str, config_path: str) -> Path:
    """The directory of `bundled:NAME`, with `model/` and `data/` in it.

    The name is checked against the fixed list before it becomes part of a path.

    Args:
        name: what the config gives, with the prefix.
        config_path: the parameter that gives it, for the message.

    Raises:
        ConfigError: nothing of that name comes with the package.
    """
    short = name.removeprefix(PREFIX)
    if short in NAMES:
        return assets_directory() / short
    found = nearest_name(short, NAMES)
    problem = Problem(
        config_path,
        "nothing of that name comes with quantbench",
        given=name,
        allowed=", ".join(PREFIX + known for known in NAMES),
        nearest=None if found is None else PREFIX + found,
    )
    raise ConfigError("config", [problem])
