"""What a person sees while a sweep runs: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from quantbench.core.printable import printable
from quantbench.core.results import Failed
from quantbench.core.steps import Step

# A model may be that of hundreds of rows.
_MOST_ROWS = 4


def seconds_left(
    steps: Sequence[Step],
    seconds: Mapping[str, float],
    index: int,
    part: float,
    spent: Sequence[float],
) -> float:
    """Guess the time left from the estimates and what the steps before really took.

    Args:
        steps: all steps.
        seconds: how long each may take, by id.
        index: the current step; those before are over.
        part: how much of the current step is done (0-1).
        spent: seconds that each step before took, 0 where it was skipped.
    """
    return sum(
        seconds.get(step.id, 0.0)
        * _correction(step.stage, steps, seconds, spent)
        * (1 - part if n == index else 1)
        for n, step in enumerate(steps)
        if n >= index
    )


def _correction(
    stage: str, steps: Sequence[Step], seconds: Mapping[str, float], spent: Sequence[float]
) -> float:
    """How much longer than estimated the steps of a stage took, so far."""
    done = [
        (real, seconds[step.id])
        for step, real in zip(steps, spent, strict=False)
        if step.stage == stage and real > 0 and seconds.get(step.id, 0.0) > 0
    ]
    return sum(real for real, _ in done) / sum(guess for _, guess in done) if done else 1.0


class Watcher:
    """An `Observer` that shows a sweep to a person. Use it as a context."""

    def __init__(
        self, title: str, stream: TextIO, quiet: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make a watcher.

        Args:
            title: what is being run.
            stream: where to write; a bar is drawn if it is a terminal.
            quiet: write failures only.
            clock: seconds.
        """
        self._console = Console(file=stream, highlight=False)
        self._quiet = quiet
        self._clock = clock
        self._title = title
        self._steps: tuple[Step, ...] = ()
        self._seconds: Mapping[str, float] = {}
        self._index = -1
        self._spent: list[float] = []
        self._started = clock()
        self._text = ""
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if self._console.is_terminal and not quiet:
            self._bar = Progress(
                TextColumn("[bold]{task.fields[title]}"),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}", style="cyan"),
                TextColumn("{task.description}"),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("starting", total=1.0, title=_plain(title), left="")

    def __enter__(self) -> Watcher:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, steps: tuple[Step, ...], seconds: Mapping[str, float]) -> None:
        """All steps are known, and how long each may take, by id."""
        self._steps = steps
        self._seconds = seconds

    def step(self, stage: str, name: str) -> None:
        """A step begins. Steps that turned out to be needless are passed over."""
        now = self._clock()
        if self._index >= 0:
            self._spent[self._index] = now - self._started
        found = [
            n for n, step in enumerate(self._steps) if (step.stage, step.name) == (stage, name)
        ]
        self._index = found[0] if found else self._index
        self._spent += [0.0] * (self._index + 1 - len(self._spent))
        self._started = now
        rows = self._steps[found[0]].rows if found else ()
        self._text = f"{stage} {name}{_rows(rows)}"
        if self._bar is None and not self._quiet:
            left = _minutes(self._left(0.0))
            line = f"{self._title}: step {self._index + 1} of {len(self._steps)}: {self._text}"
            self._console.print(f"{_plain(line)} ({left} left)", soft_wrap=True)
        self.progress(0.0, "")

    def progress(self, part: float, text: str) -> None:
        """The current step is done to that part."""
        if text.startswith("waiting") and self._bar is None:
            self._console.print(_plain(f"{self._text}: {text}"), soft_wrap=True)
        if self._bar is None or self._task is None or not self._steps:
            return
        left = self._left(part)
        total = sum(self._spent[:-1]) + (self._clock() - self._started) + left
        description = f"{self._text}: {text}" if text else self._text
        self._bar.update(
            self._task,
            completed=1 - left / total if total > 0 else 0.0,
            left=f"{_minutes(left)} left",
            description=_plain(description),
        )

    def _left(self, part: float) -> float:
        """Seconds left when the current step is done to that part."""
        return seconds_left(self._steps, self._seconds, self._index, part, self._spent[:-1])

    def note(self, text: str) -> None:
        """Something that the user should know."""
        if not self._quiet:
            self._console.print(f"[yellow]note[/yellow] {_plain(text)}", soft_wrap=True)

    def failed(self, failure: Failed) -> None:
        """The current step failed."""
        hint = f" {failure.hint}" if failure.hint else ""
        first = " ".join(failure.error.split())
        self._console.print(f"[red]failed[/red] {_plain(f'{self._text}: {first}{hint}')}")


def _plain(text: str) -> str:
    """Text from outside: nothing in it is markup or moves the cursor."""
    return escape(printable(text))


def _rows(numbers: Sequence[int]) -> str:
    """For example ` (rows 1, 2)`; nothing where a step is of no row alone."""
    if not numbers:
        return ""
    told = ", ".join(map(str, numbers[:_MOST_ROWS])) + (", …" if len(numbers) > _MOST_ROWS else "")
    return f" (row {told})" if len(numbers) == 1 else f" (rows {told})"


def _minutes(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"
