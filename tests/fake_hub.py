"""A hub on loopback: serves models and datasets from folders, and fails when it is told to.

It answers what huggingface_hub and datasets ask of the real one to read a repository, with its
headers and error codes. Folders are copied when they are added: a commit does not change.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

Kind = Literal["model", "dataset"]

# These are kept in large file storage, where a file's ETag is its SHA-256.
LARGE = (".safetensors", ".bin", ".parquet", ".png", ".h5")
TOKEN = "hf_right"  # noqa: S105 - opens nothing but this
WHAT = {"revision", "tree", "paths-info"}


@dataclass
class Fault:
    """Something that goes wrong with requests whose `METHOD path` contains `match`.

    `status` with `code` answers an error instead; `cut` ends the body after so many bytes, though
    more were announced; `spoil` changes one byte. `times` is how often, None for ever.
    """

    match: str
    status: int | None = None
    code: str | None = None
    cut: int | None = None
    spoil: bool = False
    times: int | None = None


@dataclass
class Repository:
    """Commits by their 40 digits, and branches and tags that name them."""

    commits: dict[str, Path] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False

    def commit(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.refs.get(revision)


class FakeHub:
    """The server.

    `moved` maps old names to new ones; `requests` lists what was asked: `METHOD path`, status.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repositories: dict[tuple[Kind, str], Repository] = {}
        self.moved: dict[str, str] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, int]] = []
        self.lock = threading.Lock()
        self.port = 0
        self.server: ThreadingHTTPServer | None = None

    def __enter__(self) -> FakeHub:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; after `stop`, on the same port as before."""
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def add(self, kind: Kind, name: str, folder: Path, refs: tuple[str, ...] = ("main",)) -> str:
        """Add a commit with the files of a folder, and point branches and tags to it."""
        repository = self.repositories.setdefault((kind, name), Repository())
        commit = _sha1(f"{kind} {name} {len(repository.commits)}".encode())
        target = self.root / f"{kind}s" / name / commit
        shutil.copytree(folder, target)
        repository.commits[commit] = target
        repository.refs |= dict.fromkeys(refs, commit)
        return commit

    def fail(self, match: str, **what: Any) -> None:
        """Let requests fail from now on; see `Fault`."""
        self.faults.append(Fault(match, **what))

    def asked(self, match: str) -> int:
        """How many requests contained this text."""
        return sum(match in line for line, _ in self.requests)

    def fault(self, line: str) -> Fault | None:
        """The fault that meets this request, counted down."""
        with self.lock:
            for fault in self.faults:
                if fault.match in line and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else head and body are two packets, and every answer waits 40 ms for the second.
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    hub: FakeHub

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        form = urllib.parse.parse_qs(self.rfile.read(length).decode())
        path, _, query = self.path.partition("?")
        line = f"{self.command} {urllib.parse.unquote(path)}"
        fault = self.hub.fault(line)
        if fault is not None and fault.status is not None:
            self._error(fault.status, fault.code, "this fails as it was told to")
            return
        if path.startswith("/api/"):
            self._api(path, query, form)
        elif "/resolve/" in path:
            self._resolve(path, fault)
        else:
            self._error(404, None, "no such page")

    def _api(self, path: str, query: str, form: Mapping[str, list[str]]) -> None:
        parts = [urllib.parse.unquote(part) for part in path.split("/")[2:]]
        at = next((n for n, part in enumerate(parts) if n > 1 and part in WHAT), len(parts))
        name = "/".join(parts[1:at])
        what = parts[at] if at < len(parts) else "info"
        revision = parts[at + 1] if at < len(parts) else "main"
        found = self._found(parts[0], name, revision)
        if found is None:
            return
        commit, folder, _ = found
        files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
        if what in ("info", "revision"):
            siblings = [{"rfilename": file} for file in sorted(files)]
            self._json({"id": name, "sha": commit, "siblings": siblings, "tags": []})
        elif what == "tree":
            inside = "/".join(parts[at + 2 :])
            recursive = "recursive=true" in query.lower()
            self._json(_tree(folder, inside, recursive))
        else:
            entries = {entry["path"]: entry for entry in _tree(folder, "", True)}
            self._json([entries[p] for p in form.get("paths", []) if p in entries])

    def _resolve(self, path: str, fault: Fault | None) -> None:
        before, _, after = path.strip("/").partition("/resolve/")
        kind, name = ("models", before)
        if before.startswith("datasets/"):
            kind, name = "datasets", before.removeprefix("datasets/")
        revision, _, file = after.partition("/")
        found = self._found(kind, name, urllib.parse.unquote(revision))
        if found is None:
            return
        commit, folder, repository = found
        if repository.gated and not self._authorized():
            self._error(401, "GatedRepo", "Access to this repository is restricted")
            return
        target = (folder / urllib.parse.unquote(file)).resolve()
        if not target.is_relative_to(folder.resolve()) or not target.is_file():
            self._error(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
            return
        data = target.read_bytes()
        etag = _etag(target, data)
        if fault is not None and fault.spoil:
            data = data[:-1] + bytes([data[-1] ^ 0xFF])
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted.group(1)) if wanted else 0
        headers = {
            "ETag": f'"{etag}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        if target.name.endswith(LARGE):
            headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(data))}
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        body = data[start:]
        cut = None if fault is None or self.command == "HEAD" else fault.cut
        self._send(206 if wanted else 200, body if cut is None else body[:cut], headers, len(body))

    def _found(self, kinds: str, name: str, revision: str) -> tuple[str, Path, Repository] | None:
        kind: Kind = "dataset" if kinds == "datasets" else "model"
        if name in self.hub.moved:
            location = self.path.replace(f"/{name}", f"/{self.hub.moved[name]}", 1)
            self._send(307, b"", {"Location": location}, 0)
            return None
        repository = self.hub.repositories.get((kind, name))
        if repository is None:
            # The real one does not tell a missing repository from a private one.
            self._error(401, "RepoNotFound", "Invalid username or password.")
            return None
        token = self.headers.get("Authorization")
        if token is not None and not self._authorized():
            self._error(401, None, "Invalid credentials in Authorization header")
            return None
        commit = repository.commit(revision)
        if commit is None:
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return commit, repository.commits[commit], repository

    def _authorized(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _json(self, data: Any) -> None:
        body = json.dumps(data).encode()
        self._send(200, body, {"Content-Type": "application/json"}, len(body))

    def _error(
        self, status: int, code: str | None, text: str, headers: Mapping[str, str] | None = None
    ) -> None:
        body = json.dumps({"error": text}).encode()
        codes = {} if code is None else {"X-Error-Code": code}
        sent = {"Content-Type": "application/json", "X-Error-Message": text} | codes
        self._send(status, body, sent | dict(headers or {}), len(body))

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], length: int) -> None:
        line = f"{self.command} {urllib.parse.unquote(self.path)}"
        self.hub.requests.append((line, status))
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(length))
        if len(body) < length:
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _tree(folder: Path, inside: str, recursive: bool) -> list[dict[str, Any]]:
    start = folder / inside
    entries = []
    for path in sorted(start.rglob("*") if recursive else start.glob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            entries.append({"type": "directory", "path": name, "oid": _sha1(name.encode())})
            continue
        data = path.read_bytes()
        entry = {"type": "file", "path": name, "size": len(data), "oid": _git_id(data)}
        if name.endswith(LARGE):
            entry["lfs"] = {"oid": _etag(path, data), "size": len(data), "pointerSize": 134}
        entries.append(entry)
    return entries


def _etag(path: Path, data: bytes) -> str:
    large = path.name.endswith(LARGE)
    return hashlib.sha256(data).hexdigest() if large else _git_id(data)


def _git_id(data: bytes) -> str:
    return _sha1(b"blob %d\0" % len(data) + data)


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
