"""A headless Chromium, spoken to by the DevTools protocol over two pipes: no library is needed.

https://chromedevtools.github.io/devtools-protocol/ describes the methods and events.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_PATIENCE_S = 20.0
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
HOW_TO_INSTALL = "no Chromium on the PATH: apt-get install chromium"


def find_chromium() -> str | None:
    """The browser's executable."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """An open browser. `events` has all that it told so far, for the tests to look through."""

    def __init__(self, write_to: int, read_from: int) -> None:
        self.events: list[Json] = []
        self._write_to, self._read_from = write_to, read_from
        self._numbers = itertools.count(1)
        self._left = b""

    def call(self, method: str, session: str | None = None, **params: Any) -> Json:
        """Call a method and wait for its answer."""
        number = next(self._numbers)
        message: Json = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._write_to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") != number:
                self.events.append(answer)
                continue
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            result: Json = answer["result"]
            return result

    def _next(self) -> Json:
        until = time.monotonic() + _PATIENCE_S
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._read_from], [], [], until - time.monotonic())
            if not ready:
                raise TimeoutError("the browser does not answer")
            received = os.read(self._read_from, 1 << 20)
            if not received:
                raise EOFError("the browser has ended")
            self._left += received
        message, _, self._left = self._left.partition(b"\0")
        try:
            answer: Json = json.loads(message)
        except ValueError:
            raise RuntimeError(f"no JSON from the browser: {message[:300]!r}") from None
        return answer


class Page:
    """One page at a given width, with everything that was told of it."""

    def __init__(self, browser: Browser, *, width: int = 1280, height: int = 900) -> None:
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
        self._browser, self._session, self._target = browser, attached["sessionId"], target
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self._seen = len(browser.events)

    def call(self, method: str, **params: Any) -> Json:
        return self._browser.call(method, self._session, **params)

    def open(self, address: str) -> None:
        """Go there, and wait until every plot is drawn, or says that there is nothing to show."""
        self.call("Page.bringToFront")
        self.call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete'")
        self.wait_until_drawn()

    def wait_until_drawn(self) -> None:
        """Wait for the plots."""
        plots = "[...document.querySelectorAll('.plot')]"
        self.wait_for(f"{plots}.every((plot) => plot.querySelector('svg, .empty'))")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait, turn by turn of the page's own events, until an expression is true."""
        turn = "new Promise((done) => setTimeout(done, 10))"
        until = time.monotonic() + _PATIENCE_S
        while not self.evaluate(condition):
            if time.monotonic() > until:
                raise TimeoutError(f"never true: {condition}")
            self.evaluate(turn)

    def press(self, key: str, code: int, *, shift: bool = False) -> None:
        """Press a key as a person does, at whatever has the focus."""
        text = {"text": "\r"} if key == "Enter" else {}
        about: Json = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        modifiers = 8 if shift else 0
        self.call("Input.dispatchKeyEvent", type="keyDown", modifiers=modifiers, **about, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", modifiers=modifiers, **about)

    def move_mouse(self, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def prefer(self, scheme: str, media: str = "") -> None:
        """Show as with a light or dark system, or as on paper."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def screenshot(self, path: Path, *, whole: bool = False, clip: Json | None = None) -> None:
        """Write what is seen, or the whole page, as PNG."""
        more = {"clip": clip | {"scale": 1}} if clip else {}
        taken = self.call("Page.captureScreenshot", captureBeyondViewport=whole, **more)
        path.write_bytes(base64.b64decode(taken["data"]))

    def accessible(self) -> list[Json]:
        """The nodes that a screen reader sees."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [node for node in nodes if not node.get("ignored")]

    def complaints(self) -> list[Json]:
        """Errors and warnings of the console, exceptions, and what the policy refused."""
        return [
            event["params"]
            for event in self._own_events()
            if event["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")
            or (event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] != "log")
        ]

    def requests(self) -> list[str]:
        """Every address that was asked for."""
        asked = ("Network.requestWillBeSent", "Network.webSocketCreated")
        found = [e["params"] for e in self._own_events() if e["method"] in asked]
        return [item["request"]["url"] if "request" in item else item["url"] for item in found]

    def dialogs(self) -> list[Json]:
        return [e for e in self._own_events() if e["method"] == "Page.javascriptDialogOpening"]

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)

    def _own_events(self) -> list[Json]:
        self.evaluate("0")  # all that was told before this is here after it
        events = self._browser.events[self._seen :]
        return [event for event in events if event.get("sessionId") == self._session]


@contextlib.contextmanager
def open_browser(executable: str, profile: Path) -> Iterator[Browser]:
    """Start a browser without a window. No name resolves in it, so nothing can be loaded."""
    theirs_in, ours_out = _far_pipe()
    ours_in, theirs_out = _far_pipe()
    null = _far(os.open(os.devnull, os.O_RDWR))
    process = os.posix_spawn(
        executable,
        [
            executable, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND",
            "--force-color-profile=srgb", f"--user-data-dir={profile}", "--remote-debugging-pipe",
            "about:blank",
        ],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2),
            (os.POSIX_SPAWN_DUP2, theirs_in, 3), (os.POSIX_SPAWN_DUP2, theirs_out, 4),
        ],
    )  # fmt: skip
    for handle in (theirs_in, theirs_out, null):
        os.close(handle)
    browser = Browser(ours_out, ours_in)
    try:
        yield browser
    finally:
        with contextlib.suppress(EOFError, BrokenPipeError):
            browser.call("Browser.close")
        os.waitpid(process, 0)
        os.close(ours_in)
        os.close(ours_out)


def _far_pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    return _far(reading), _far(writing)


def _far(handle: int) -> int:
    """The handle under a number that is none of those that the browser is given."""
    far = fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(handle)
    return far
