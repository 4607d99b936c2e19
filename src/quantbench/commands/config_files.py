"""Reading the config that a command is given."""

from __future__ import annotations

from pathlib import Path

from quantbench import registry
from quantbench.core.config import SweepConfig
from quantbench.core.config_file import read_config
from quantbench.core.errors import UsageError
from quantbench.ordinary import read_ordinary


def read_config_file(path: Path) -> tuple[SweepConfig, str]:
    """A checked config and the text that it was read from.

    Raises:
        UsageError: there is no such file, or it is a pipe or a device, or no text.
        ConfigError: with every problem of the config.
    """
    try:
        text = read_ordinary(path).decode()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a text file in UTF-8") from None
    return read_config(text, str(path), registry.catalog()), text
