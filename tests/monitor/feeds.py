"""Feeds to read in tests: processes with a real buffer and feed, and servers that are no feed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

ROOT = Path(__file__).parent.parent.parent


class FeedNode:
    """One node's feed in a process; killed, frozen and restarted by the test."""

    def __init__(self, name: str = "n1", **settings: Any) -> None:
        self.name, self.settings = name, settings
        self.port = 0
        self.incarnation = 0
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """A new life, on the same port."""
        self.incarnation += 1
        command = [sys.executable, "-m", "tests.monitor.feed_process", str(self.port), self.name]
        self._process = subprocess.Popen(
            [*command, str(self.incarnation), json.dumps(self.settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())

    def reset(self) -> None:
        """As new, for another test."""
        if self._process is None:
            self.start()
        else:
            self.thaw()
            self.incarnation += 1
            self.do("reset", self.incarnation, self.settings)

    def do(self, *command: Any) -> Any:
        """A command of tests/monitor/feed_process.py, and its answer."""
        assert self._process
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def events(self, origin: str, first: int, last: int, type: str = "test.event") -> None:
        for seq in range(first, last + 1):
            self.do("event", origin, seq, type)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    pipe.close()
            self._process.wait(10)
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end(signal.SIGKILL)


@contextmanager
def impostor(status: int, headers: dict[str, str], body: bytes) -> Iterator[str]:
    """The URL of a server that answers everything in the same way: a captive portal, a wrong port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 (http.server wants it)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
