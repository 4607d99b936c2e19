"""Loaded by every Python process of a run: ends the whole run at one chosen event.

Events are what could leave something half done: files opened for writing, renames, new folders,
removals, locks, and processes started, in the run's folder or the store. Each has a name: the kind,
and the function of quantbench that caused it. `CRASH_LOG` lists the names as they happen, in all
processes; at the first event named `CRASH_AT` the run's main process and this one are killed.
`CRASH_MAX_FILE_BYTES` lets no file grow larger, `CRASH_ORDINARY_USER` makes root obey permissions.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from typing import Any

_LOG = os.environ.get("CRASH_LOG")
_AT = os.environ.get("CRASH_AT")
_ROOT = os.environ.get("CRASH_ROOT", "/nowhere")
_KINDS = {
    "os.rename": "rename",
    "os.mkdir": "mkdir",
    "os.remove": "remove",
    "os.rmdir": "rmdir",
    "fcntl.flock": "lock",
    "subprocess.Popen": "start",
    "tempfile.mkstemp": "temporary",
    "tempfile.mkdtemp": "temporary",
}


def _is_write(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if isinstance(flags, int) else False


def _caller() -> str | None:
    """The function of quantbench that caused it and, if that is the store's, for whom it did so."""
    frame = sys._getframe(2)
    names: list[str] = []
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("quantbench"):
            names.append(f"{module.removeprefix('quantbench.')}.{frame.f_code.co_qualname}")
            if module != "quantbench.store":
                break
        frame = frame.f_back  # type: ignore[assignment]
    return " for ".join(dict.fromkeys((names[0], names[-1]))) if names else None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike) or not _is_write(arguments):
            return
        if not os.fsdecode(path).startswith(_ROOT) or os.fsdecode(path) == _LOG:
            return
        kind = "write"
    elif event in _KINDS:
        kind = _KINDS[event]
        paths = [item for item in arguments if isinstance(item, str | bytes | os.PathLike)]
        is_ours = any(os.fsdecode(path).startswith(_ROOT) for path in paths)
        if kind not in ("lock", "start") and not is_ours:
            return
    else:
        return
    caller = _caller()
    if caller is None:
        return
    name = f"{kind} {caller}"
    if _LOG:
        handle = os.open(_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{name}\n".encode())
        os.close(handle)
    if name == _AT:
        main = int(os.environ["CRASH_MAIN"])
        if main != os.getpid():
            os.kill(main, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def _obey_permissions() -> None:
    """Give up root's right to write where permissions do not let it (CAP_DAC_OVERRIDE)."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    data = (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    for place in (0, 1, 2):  # effective, permitted, inheritable
        data[place] &= ~(1 << 1)
    libc.prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP: for the processes that it starts
    if libc.capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capset")


if "CRASH_MAX_FILE_BYTES" in os.environ:
    limit = int(os.environ["CRASH_MAX_FILE_BYTES"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
if "CRASH_ORDINARY_USER" in os.environ and os.getuid() == 0:
    _obey_permissions()
if _LOG or _AT:
    os.environ.setdefault("CRASH_MAIN", str(os.getpid()))
    sys.addaudithook(_hook)
