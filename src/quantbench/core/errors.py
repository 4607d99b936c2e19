"""Errors that a person can act on, and the exit code each one stands for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quantbench.core.printable import shortened, without_credentials

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNDECIDED = 3
EXIT_SOME_ROWS_FAILED = 4
EXIT_INTERRUPTED = 130

# A longer list of problems is cut: nobody reads it, and most are one mistake.
_MOST_PROBLEMS = 50


class QuantbenchError(Exception):
    """Something failed for a reason that the message explains.

    `hint` is one sentence on what to do about it.
    """

    exit_code = EXIT_FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n  {self.hint}" if self.hint else message


class UsageError(QuantbenchError):
    """The command or the config asks for something that cannot be; nothing was written."""

    exit_code = EXIT_USAGE


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a config: where, what was given, and what would be right.

    `nearest` is the valid name that looks most like the given one, if any does.
    """

    path: str
    message: str
    given: str | None = None
    allowed: str | None = None
    nearest: str | None = None

    def __str__(self) -> str:
        path = shortened(without_credentials(self.path))
        head = path if self.given is None else f"{path} = {self.given}"
        lines = [head, f"    {self.message}"]
        if self.allowed is not None:
            lines.append(f"    allowed: {self.allowed}")
        if self.nearest is not None:
            lines.append(f"    did you mean {self.nearest!r}?")
        return "\n".join(lines)


class ConfigError(UsageError):
    """All the problems of one config, found in one pass."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        noun = "problem" if len(self.problems) == 1 else "problems"
        told = self.problems[:_MOST_PROBLEMS]
        lines = [f"  {n}. {problem}" for n, problem in enumerate(told, 1)]
        if len(self.problems) > len(told):
            lines.append(f"  … and {len(self.problems) - len(told)} more")
        body = "\n".join(lines)
        super().__init__(f"{source}: {len(self.problems)} {noun}\n{body}")


def nearest_name(given: str, names: Iterable[str]) -> str | None:
    """The name most like the given one, ignoring case, `-` and `_`."""
    plain = {name.lower().replace("_", "").replace("-", ""): name for name in names}
    found = difflib.get_close_matches(
        given.lower().replace("_", "").replace("-", ""), plain, n=1, cutoff=0.6
    )
    return plain[found[0]] if found else None
