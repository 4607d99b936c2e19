"""A hub on loopback that takes uploads: repositories, large files, commits, pull requests.

It answers what huggingface_hub asks of the real one to publish, and is as strict: a commit names
large files that have arrived, and only those; a commit on an old head is refused; a wrong token
sees nothing. Storage of large files gets no token.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from fake_hub import Fault

LARGE = (".onnx", ".parquet", ".safetensors", ".bin")
# What a token may: write to repositories of `me`, and propose to those of others; or read only.
TOKEN = "hf_WritesToTheHubOnLoopback0123456789"  # noqa: S105 - opens nothing but this
READ_ONLY = "hf_ReadsTheHubOnLoopback0123456789"
OWNER = "me"


@dataclass
class Commit:
    """What was sent with a commit, and the files after it."""

    id: str
    message: str
    files: dict[str, bytes]


@dataclass
class Repository:
    """A repository: its commits on main, and its pull requests."""

    private: bool
    commits: list[Commit]
    pull_requests: list[Commit] = field(default_factory=list)

    @property
    def head(self) -> Commit:
        return self.commits[-1]


class UploadHub:
    """The server. `requests` lists `METHOD path`, status; `stored` has large files by SHA-256."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}
        self.verified: set[str] = set()
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, int]] = []
        self.tokens_at_storage: list[str] = []
        self.lock = threading.Lock()
        self.server: ThreadingHTTPServer | None = None

    def __enter__(self) -> UploadHub:
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.server is not None
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.server_port}"

    def clear(self) -> None:
        """Forget everything."""
        self.repositories.clear()
        self.stored.clear()
        self.verified.clear()
        self.faults.clear()
        self.requests.clear()
        self.tokens_at_storage.clear()

    def add(self, name: str, *, private: bool = False, **files: bytes) -> Repository:
        """Make a repository, with a first commit as the hub makes one."""
        first = {".gitattributes": b"*.onnx filter=lfs diff=lfs merge=lfs -text\n"} | files
        made = Repository(private, [Commit(_commit_id(name, 0), "initial commit", first)])
        self.repositories[name] = made
        return made

    def fail(self, match: str, status: int, times: int | None = None) -> None:
        """Answer this status to requests whose `METHOD path` contains a text."""
        self.faults.append(Fault(match, status=status, times=times))

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
    hub: UploadHub

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self._body()
        path, _, query = self.path.partition("?")
        path = urllib.parse.unquote(path)
        fault = self.hub.fault(f"{self.command} {path}")
        if fault is not None and fault.status is not None:
            return self._error(fault.status, "this fails as it was told to")
        if path.startswith("/storage/"):
            return self._store(path.removeprefix("/storage/"), body)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in (TOKEN, READ_ONLY):
            return self._error(401, "Invalid credentials in Authorization header")
        if path == "/api/validate-yaml":
            return self._validate(json.loads(body))
        if path == "/api/repos/create":
            return self._create(json.loads(body), token)
        if path == "/verify":
            return self._verify(json.loads(body))
        lfs = re.fullmatch(r"/(.+)\.git/info/lfs/objects/batch", path)
        api = re.fullmatch(
            r"/api/models/([^/]+/[^/]+)(?:/(preupload|commit|revision)/([^/]+))?", path
        )
        name = lfs[1] if lfs else api[1] if api else ""
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self._may_write(name, token)):
            # The real one does not tell a missing repository from a private one.
            return self._error(401, "Repository not found", "RepoNotFound")
        if lfs:
            return self._batch(json.loads(body))
        assert api is not None
        if api[2] in (None, "revision"):
            return self._json(
                {"id": name, "sha": repository.head.id, "private": repository.private}
            )
        if api[2] == "preupload":
            return self._preupload(json.loads(body), repository)
        proposed = "create_pr=1" in query
        if token == READ_ONLY or not (proposed or self._may_write(name, token)):
            return self._error(403, "You need write access")
        return self._commit(body, name, repository, proposed)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _may_write(self, name: str, token: str) -> bool:
        return token == TOKEN and name.startswith(f"{OWNER}/")

    def _validate(self, asked: dict[str, Any]) -> None:
        if asked["content"].startswith("---\n"):
            return self._json({"errors": [], "warnings": []})
        body = {"errors": [{"message": "no front matter"}], "warnings": []}
        return self._json(body, 400)

    def _create(self, asked: dict[str, Any], token: str) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if not self._may_write(name, token):
            return self._error(403, "You don't have the rights to create a model there")
        if name in self.hub.repositories:
            return self._json(
                {"error": "You already created it", "url": f"{self.hub.url}/{name}"}, 409
            )
        private = asked.get("visibility") == "private" or asked.get("private") is True
        self.hub.add(name, private=private)
        return self._json({"url": f"{self.hub.url}/{name}"})

    def _preupload(self, asked: dict[str, Any], repository: Repository) -> None:
        there = repository.head.files
        answer = []
        for file in asked["files"]:
            large = file["path"].endswith(LARGE)
            found = {"path": file["path"], "shouldIgnore": False}
            found["uploadMode"] = "lfs" if large else "regular"
            if file["path"] in there:
                content = there[file["path"]]
                found["oid"] = hashlib.sha256(content).hexdigest() if large else _git_id(content)
            answer.append(found)
        self._json({"files": answer})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects: list[dict[str, Any]] = []
        for item in asked["objects"]:
            told = {"oid": item["oid"], "size": item["size"]}
            if item["oid"] not in self.hub.stored:
                told["actions"] = {
                    "upload": {"href": f"{self.hub.url}/storage/{item['oid']}?signature=secret"},
                    "verify": {"href": f"{self.hub.url}/verify"},
                }
            objects.append(told)
        self._json({"transfer": "basic", "objects": objects})

    def _store(self, digest: str, body: bytes) -> None:
        if "Authorization" in self.headers:
            self.hub.tokens_at_storage.append(self.headers["Authorization"])
        if hashlib.sha256(body).hexdigest() != digest:
            return self._error(400, "other contents than announced")
        self.hub.stored[digest] = body
        return self._send(200, b"", {"ETag": f'"{digest}"'})

    def _verify(self, asked: dict[str, Any]) -> None:
        content = self.hub.stored.get(asked["oid"])
        if content is None or len(content) != asked["size"]:
            return self._error(404, "it has not arrived")
        self.hub.verified.add(asked["oid"])
        return self._json({})

    def _commit(self, body: bytes, name: str, repository: Repository, proposed: bool) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        header = lines[0]["value"]
        with self.hub.lock:
            if header.get("parentCommit", repository.head.id) != repository.head.id:
                return self._error(
                    412, "A commit has happened since. Please refresh and try again."
                )
            files = dict(repository.head.files)
            for line in lines[1:]:
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif value["oid"] in self.hub.stored:
                    files[value["path"]] = self.hub.stored[value["oid"]]
                else:
                    return self._error(400, f"{value['path']} has not been uploaded")
            number = len(repository.commits) + len(repository.pull_requests)
            made = Commit(_commit_id(name, number), header["summary"], files)
            (repository.pull_requests if proposed else repository.commits).append(made)
            pages = f"{self.hub.url}/{name}"
            answer = {"commitOid": made.id, "commitUrl": f"{pages}/commit/{made.id}"}
            if proposed:
                answer["pullRequestUrl"] = f"{pages}/discussions/{len(repository.pull_requests)}"
        return self._json(answer)

    def _json(self, data: Any, status: int = 200) -> None:
        self._send(status, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, text: str, code: str | None = None) -> None:
        body = json.dumps({"error": text}).encode()
        codes = {} if code is None else {"X-Error-Code": code}
        sent = {"Content-Type": "application/json", "X-Error-Message": text} | codes
        self._send(status, body, sent)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        line = f"{self.command} {urllib.parse.unquote(self.path)}"
        self.hub.requests.append((line, status))
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _commit_id(name: str, number: int) -> str:
    return hashlib.sha1(f"{name} {number}".encode(), usedforsecurity=False).hexdigest()


def _git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
