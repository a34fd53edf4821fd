"""A real browser for tests: headless Chromium, told what to do over a pipe; its requests end in a proxy of ours."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PAGE = "http://page.invalid/"  # only the proxy knows it
MAKER = (".googleapis.com", ".google.com", ".gvt1.com")  # whom Chromium asks of its own accord, with an empty page too
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--no-pings"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"),
    "--disable-features=OptimizationHints,MediaRouter,Translate",
]


def chromium() -> str:
    """Where Chromium is; without it the test is skipped, or fails where CI_BROWSER says that it must be there."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        assert not os.environ.get("CI_BROWSER"), "CI_BROWSER is set, but there is no chromium"
        pytest.skip("there is no chromium here (Debian: apt-get install chromium)")
    return found


class Proxy(ThreadingHTTPServer):
    """Answers for the whole world: the page at PAGE, nothing anywhere else; and remembers what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.page, self.asked = b"", []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        ours = self.path == PAGE
        self.send_response(200 if ours else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.server.page) if ours else 0))
        self.end_headers()
        self.wfile.write(self.server.page if ours else b"")

    do_CONNECT = do_POST = do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def _of_its_own(asked: str) -> bool:
    host = re.sub(r"^\w+ (https?://)?", "", asked).split("/")[0].split(":")[0]
    return host.endswith(MAKER)


class Browser:
    """One page at a time: ``open`` it, then ``ask`` it questions in JavaScript, which its own policy does not bind."""

    def __init__(self, folder: Path) -> None:
        self.proxy, self.events, self.number, self.rest = Proxy(), [], 0, b""
        (there, self.to), (self.back, here) = os.pipe(), os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (there, here)]  # clear of 3 and 4
        flags = [*FLAGS, f"--user-data-dir={folder}", f"--proxy-server=127.0.0.1:{self.proxy.server_address[1]}"]
        line = ["bash", "-c", f'exec "$0" "$@" 3<&{ends[0]} 4>&{ends[1]}', chromium(), *flags, "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(line, pass_fds=ends, **quiet)
        for end in (there, here, *ends):
            os.close(end)
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self.session = {"sessionId": self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End the browser and the proxy."""
        self.process.kill()
        self.process.wait()
        self.proxy.shutdown()
        self.proxy.server_close()
        os.close(self.to)
        os.close(self.back)

    def open(self, page: str, width: int = 1280, height: int = 800) -> None:
        """Show a page and wait until it is loaded, with a moment more for what it might do then."""
        self.proxy.page, self.events = page.encode(), []
        self.proxy.asked.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=PAGE)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._read()
        time.sleep(0.3)
        self.ask("document.title")  # what was under way has arrived

    @property
    def complaints(self) -> list[str]:
        """What the page left on the console, errors and violations of its policy included."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event["params"]) for event in self.events if event["method"] in kinds]

    @property
    def requests(self) -> list[str]:
        """What was asked of the network, by the page or by the browser, besides the page itself."""
        sent = [event["params"]["request"]["url"] for event in self.events
                if event["method"] == "Network.requestWillBeSent"]  # fmt: skip
        away = [url for url in sent if url != PAGE and not url.startswith("data:")]
        return away + [asked for asked in self.proxy.asked if asked != f"GET {PAGE}" and not _of_its_own(asked)]

    def ask(self, expression: str) -> object:
        """What a JavaScript expression gives on the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def call(self, method: str, **params: object) -> dict:
        """A command of the DevTools protocol about the page."""
        return self._call(method, self.session, **params)

    def _call(self, method: str, session: dict | None = None, **params: object) -> dict:
        self.number += 1
        said = {"id": self.number, "method": method, "params": params, **(session or {})}
        os.write(self.to, json.dumps(said).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == said["id"]:
                assert "error" not in answer, answer
                return answer["result"]

    def _read(self) -> dict:
        while b"\0" not in self.rest:
            more = os.read(self.back, 1 << 20)
            assert more, "the browser has gone away"
            self.rest += more
        message, _, self.rest = self.rest.partition(b"\0")
        told = json.loads(message)
        if "method" in told:
            self.events.append(told)
        return told
