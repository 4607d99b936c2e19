"""A process that has imported what others need, and is forked instead of starting each anew.

Importing PyTorch and a model of transformers takes 5 to 7 seconds of processor time; a fork takes
none of it. What is forked has a heap of its own, but its libraries lie at the template's addresses.
Both ends are here: `Template` for the parent, `serve_forks` for the template. Linux only.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from quantbench.child import Process, child_environment, how_it_ended, log_tail
from quantbench.core.errors import QuantbenchError

IS_SUPPORTED = sys.platform == "linux"

_MESSAGE_BYTES = 4096


class Template:
    """A running `python -m MODULE FD ARGUMENTS...`, whose main calls `serve_forks`."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        answer_limit_s: float | None = None,
    ) -> None:
        """Start the process; it is ready when the first `fork` returns.

        Args:
            module: its main is given the number of a socket, and `arguments`.
            arguments: what it is to prepare.
            environment: variables to set on top of the parent's; forked processes have them too.
            answer_limit_s: how long it may take to answer; then it hangs, and is ended.
        """
        self._limit_s = answer_limit_s
        self._hung = False
        self._lock = threading.Lock()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the template
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(answer_limit_s)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=child_environment(environment),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def fork(self, _module: str, _environment: Mapping[str, str], log: IO[bytes]) -> Process:
        """A new process: what `child.Child` is to be started with.

        Args:
            log: where it writes what is not an answer.

        Raises:
            QuantbenchError: the template ended, or was ended because it did not answer; the
                message has the end of its log.
        """
        read_in, write_in = os.pipe()
        read_out, write_out = os.pipe()
        try:
            answer = self._ask({"do": "fork"}, [read_in, write_out, log.fileno()])
            if answer is None:
                raise QuantbenchError(f"the process to fork from {self._end()}")
        except BaseException:
            os.close(write_in)
            os.close(read_out)
            raise
        finally:
            os.close(read_in)
            os.close(write_out)
        return _Forked(int(answer), os.fdopen(write_in, "w"), os.fdopen(read_out), self._exit_code)

    def kill(self) -> None:
        """End the template while another thread waits for its answer; `close` comes after."""
        self._process.kill()

    def close(self) -> None:
        """End the template; what was forked from it ends with it."""
        self._socket.close()
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _end(self) -> str:
        """How it ended, and the end of its log."""
        code = self._process.wait()
        how = f"gave no answer in {self._limit_s:g} s" if self._hung else how_it_ended(code)
        return f"{how}: {log_tail(self._log)}".removesuffix(": ")

    def _exit_code(self, pid: int, *, wait: bool) -> int | None:
        """As of `Popen.poll` and `wait`. A process does not outlive its template."""
        answer = self._ask({"do": "wait", "pid": pid, "options": 0 if wait else os.WNOHANG}, [])
        return -int(signal.SIGKILL) if answer is None else answer["code"]

    def _ask(self, message: Mapping[str, Any], files: Sequence[int]) -> Any:
        """What the template answers; None if it has ended, or was ended as it did not answer."""
        with self._lock:
            try:
                socket.send_fds(self._socket, [json.dumps(message).encode()], files)
                answer = self._socket.recv(_MESSAGE_BYTES)
            except (BrokenPipeError, ConnectionResetError):
                return None
            except TimeoutError:
                self._process.kill()
                self._hung = True
                return None
            except BaseException:
                # Its answer would be taken for that to the next question.
                self._process.kill()
                raise
        return json.loads(answer) if answer else None


@dataclass
class _Forked:
    """A process that the template forked; see `child.Process`."""

    pid: int
    stdin: IO[str] | None
    stdout: IO[str] | None
    exit_code: Callable[..., int | None]
    # Told once: afterwards the number may be that of another process.
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.exit_code(self.pid, wait=False)
        return self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = self.exit_code(self.pid, wait=True)
        return int(self.returncode or 0)


def serve_forks(socket_number: int, main: Callable[[], None]) -> None:
    """Fork a process that runs `main` whenever asked to, until the socket closes.

    Args:
        socket_number: the file number of the socket to the parent.
        main: what the forked process does; its stdin, stdout and stderr are those of the caller.
    """
    # Objects of the template are not to be visited, and thereby copied, in each process.
    gc.collect()
    gc.freeze()
    os.environ.update(child_environment({}))
    with socket.socket(fileno=socket_number) as parent:
        while True:
            received, files, _, _ = socket.recv_fds(parent, _MESSAGE_BYTES, 3)
            if not received:
                return
            message = json.loads(received)
            answer = _fork(parent, files, main) if message["do"] == "fork" else _wait(message)
            parent.send(json.dumps(answer).encode())


def _fork(parent: socket.socket, files: Sequence[int], main: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            parent.close()
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            main()
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    # Before the parent knows of it, so that it can signal the group.
    os.setpgid(pid, pid)
    for file in files:
        os.close(file)
    return pid


def _wait(message: Mapping[str, Any]) -> dict[str, int | None]:
    pid, status = os.waitpid(message["pid"], message["options"])
    return {"code": os.waitstatus_to_exitcode(status) if pid else None}
