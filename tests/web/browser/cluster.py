"""Nodes as processes, for the tests of the page, and what was asked of them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def until(condition: Callable[[], Any], seconds: float = 10.0, what: str = "") -> Any:
    """The first true value of ``condition``; fails after ``seconds``."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {what or condition}"
        threading.Event().wait(0.02)
    return value


class Served:
    """One node: a process that can be killed, frozen and started again on its port."""

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        self.name, self.settings = name, settings
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.urls: dict[str, str] = {}
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Serves; returns when it does."""
        if self._socket.fileno() < 0:
            self._socket = socket.create_server(("127.0.0.1", self.port))
        arguments = [str(self._socket.fileno()), self.name, json.dumps(self.urls), json.dumps(self.settings)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.web.browser.node", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
            pass_fds=[self._socket.fileno()],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._socket.close()  # or the port would seem to live when the process is dead
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """Like kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None
        self._socket.close()

    def freeze(self) -> None:
        """It goes on listening and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, path: str, body: Any = None) -> Any:
        """Asks the control of the test."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data)
        with urllib.request.urlopen(request, timeout=5) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def log(self, pattern: str = "", since: int = 0) -> list[dict[str, Any]]:
        """The requests so far whose path matches."""
        return [entry for entry in self.ask("/test/log")[since:] if re.search(pattern, entry["path"])]

    def mark(self) -> int:
        """To ask :meth:`log` from here on."""
        return len(self.ask("/test/log"))

    def frames(self, since: int = 0) -> dict[str, int]:
        """How often each frame was asked for."""
        counts: dict[str, int] = {}
        for entry in self.log("^/frame/", since):
            name = entry["path"].split("/")[2].split("?")[0]
            counts[name] = counts.get(name, 0) + 1
        return counts

    def held(self) -> int:
        """How many polls are held now."""
        return sum(1 for entry in self.log(r"^/api/v1/events\?") if entry["end"] is None)


class Cluster:
    """Nodes that know each other, and events that reach those named, each once."""

    def __init__(self) -> None:
        self.nodes: list[Served] = []
        self._started: list[Served] = []
        self._seqs: dict[str, int] = {}

    def add(self, names: str, **settings: Any) -> list[Served]:
        """Starts nodes; ``settings`` are those of the web stage, and ``retain``."""
        self.nodes = [Served(name, settings) for name in names.split()]
        urls = {node.name: node.url for node in self.nodes}
        for node in self.nodes:
            node.urls = urls
            node.start()
            self._started.append(node)
        return self.nodes

    def event(
        self, type: str, subject: str = "", *, origin: str = "node1", at: str = "", **more: Any
    ) -> None:
        """An event that arrives at the nodes ``at`` (all that are named; default: all nodes)."""
        self._seqs[origin] = self._seqs.get(origin, 0) + 1
        told = {"type": type, "subject": subject, "origin": origin, "seq": self._seqs[origin], **more}
        for node in self.nodes:
            if not at or node.name in at.split():
                node.ask("/test/events", [told])

    def stop(self) -> None:
        """Ends all processes."""
        for node in self._started:
            node.kill()


class Site:
    """Somebody else's web site: one page, ``html``, and what else is in ``files`` by path."""

    def __init__(self) -> None:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = (site.html if self.path == "/" else site.files.get(self.path, "")).encode()
                self.send_response(200 if body else 404)
                kind = {".js": "text/javascript", ".css": "text/css"}.get(Path(self.path).suffix, "text/html")
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Silent."""

        self.html = ""
        self.files: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
