"""A child process that answers JSON lines with JSON lines, and never outlives its parent.

Both ends are here: `Child` for the parent, `serve` for the child. The parent always waits in a
blocking read, so it takes no processor time while a child works.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import IO, Any, Protocol

from quantbench.core.errors import QuantbenchError

Message = dict[str, Any]

# Tells a child who started it.
_PARENT = "QUANTBENCH_PARENT_PID"
_PR_SET_PDEATHSIG = 1
_LOG_TAIL_CHARACTERS = 2000


class ChildDiedError(QuantbenchError):
    """The child ended without an answer. `log` is the end of what it wrote to stderr.

    `was_killed` says that it was ended from outside, as the system does when memory is short.
    """

    def __init__(self, message: str, log: str, *, was_killed: bool = False) -> None:
        super().__init__(message)
        self.log = log
        self.was_killed = was_killed


class Process(Protocol):
    """What a `Child` needs of a process, as `subprocess.Popen` has it; it leads a group."""

    @property
    def pid(self) -> int:
        """Its number, and that of its group."""
        ...

    @property
    def stdin(self) -> IO[str] | None:
        """The pipe to it."""
        ...

    @property
    def stdout(self) -> IO[str] | None:
        """The pipe from it."""
        ...

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        ...

    def wait(self) -> int:
        """Wait for its exit code; minus the signal's number if one ended it."""
        ...


def start_process(module: str, environment: Mapping[str, str], log: IO[bytes]) -> Process:
    """Start `python -m MODULE`, with variables on top of the parent's, and stderr into `log`."""
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=child_environment(environment),
        text=True,
        # Ctrl-C reaches the parent alone, which then ends its children in order.
        start_new_session=True,
    )


class Child:
    """A running process that is spoken to through pipes."""

    def __init__(
        self,
        module: str,
        environment: Mapping[str, str] | None = None,
        start: Callable[[str, Mapping[str, str], IO[bytes]], Process] = start_process,
    ) -> None:
        """Start the process.

        Args:
            module: a module whose main calls `serve`.
            environment: variables to set on top of the parent's.
            start: how, given the two and a file for stderr.
        """
        self._module = module
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        try:
            self._process = start(module, environment or {}, self._log)
        except BaseException:
            self._log.close()
            raise

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message. Raises ChildDiedError if nobody reads it."""
        if self._process.stdin is None:
            raise RuntimeError("the pipe to the child is closed")
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None

    def receive(self, limit_s: float | None = None) -> Message:
        """Wait for the next message.

        Args:
            limit_s: how long to wait. Use it only where one message is answered by one.

        Raises:
            ChildDiedError: the child ended instead, or was ended because it did not answer.
        """
        if self._process.stdout is None:
            raise RuntimeError("the pipe from the child is closed")
        if limit_s is not None and not select.select([self._process.stdout], [], [], limit_s)[0]:
            self._signal(signal.SIGKILL)
            self._process.wait()
            raise ChildDiedError(f"{self._module} gave no answer in {limit_s:g} s", self.log_tail())
        line = self._process.stdout.readline()
        if not line.endswith("\n"):  # nothing, or half an answer
            raise self._died()
        message: Message = json.loads(line)
        return message

    def ask(self, message: Mapping[str, Any], limit_s: float | None = None) -> Message:
        """Send one message and wait for the answer, as `receive` does."""
        self.send(message)
        return self.receive(limit_s)

    def pause(self) -> None:
        """Stop the process where it is: it takes no processor time until resumed."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process from another thread than the one that waits for its answer."""
        self._signal(signal.SIGKILL)

    def has_ended(self) -> bool:
        """Whether the process is over: nobody would answer."""
        return self._process.poll() is not None

    def log_tail(self) -> str:
        """The end of what the child wrote to stderr."""
        return log_tail(self._log)

    def close(self) -> None:
        """End the process, paused or not; what it started ends with it on Linux."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def _signal(self, number: signal.Signals) -> None:
        # The child leads a process group of its own (start_new_session).
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _died(self) -> ChildDiedError:
        code = self._process.wait()
        was_killed = code == -signal.SIGKILL
        message = f"{self._module} {how_it_ended(code)}"
        return ChildDiedError(message, self.log_tail(), was_killed=was_killed)


def how_it_ended(code: int) -> str:
    """An exit code in words; minus the number of a signal is that of the one that ended it."""
    if code >= 0:
        return f"ended with {code}"
    hint = " (out of memory?)" if code == -signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"


def log_tail(log: IO[bytes]) -> str:
    """The end of a file that a process writes to."""
    end = log.seek(0, os.SEEK_END)
    log.seek(max(0, end - _LOG_TAIL_CHARACTERS))
    return log.read().decode(errors="replace").strip()


def serve(handle: Callable[[Message, Callable[[Message], None]], Message]) -> None:
    """Answer messages from stdin until it closes. For the main of a child's module.

    Args:
        handle: called with a message and a function that sends messages ahead of the answer
            (progress, for example); returns the answer.
    """
    die_with_parent()
    # Libraries print to stdout: give them stderr, and keep the pipe for messages.
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def send(message: Message) -> None:
        pipe.write(json.dumps(message) + "\n")
        pipe.flush()

    for line in sys.stdin:
        send(handle(json.loads(line), send))


def child_environment(more: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process that is to call `die_with_parent`.

    Args:
        more: variables to set on top of this process's own.
    """
    return {**os.environ, **more, _PARENT: str(os.getpid())}


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends, even while it is paused."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = os.environ.get(_PARENT)
    if parent is not None and os.getppid() != int(parent):
        # It ended before Linux was asked, and so will never tell.
        os._exit(1)
