"""Polls of the feed, idle and with ten events each, against a bare ASGI application and nginx that say 204.

    python -m benchmarks.feed [--seconds 2] [--rounds 5] [--readers 64]

Each server has a process of its own on one core; the readers are kept-alive connections from another.
Rounds alternate, so that other work on the machine hits all. What counts is polls per second of the
server's CPU time: that is what is left when the machine is busy with something else as well. nginx (with
``return 204``) is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any, NamedTuple

import psutil
import uvicorn
import uvloop

from benchmarks.viewers_servers import as_load, nginx, nginx_is_there, on_core
from tocsin.core.board import Board
from tocsin.core.buffer import Buffer
from tocsin.core.bus import Arrival, Bus
from tocsin.core.event import report, seal
from tocsin.core.measures import Measures
from tocsin.core.recent import Recent
from tocsin.server import Server
from tocsin.web.app import create_app
from tocsin.web.node import Settings

ID = "k3f9a.mdz2k1xq"
_LENGTH = re.compile(rb"content-length: (\d+)")


class Node:
    """A node with a thousand events and nothing going on."""

    cluster, name = "bench", "node1"

    def __init__(self) -> None:
        self.settings = Settings()
        self.board, self.bus = Board(), Bus()
        self.buffer: Buffer | None = Buffer(ID)
        self.recent, self.measures = Recent(), Measures()
        for seq in range(1, 1001):
            draft = report("service.failed", f"unit{seq}.service", "failed", "it failed")
            event = seal(draft, cluster="bench", origin="node1", incarnation=1, seq=seq, time=self.wall())
            self.buffer.append(Arrival(event, 0.0), 0.0, self.wall())

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> str:
        return "2026-01-01T00:00:00.000000Z"

    def publish(self, drafts: Sequence[Any]) -> list[str]:
        raise NotImplementedError

    def readiness(self) -> str:
        return ""

    def degraded(self) -> tuple[str, ...]:
        return ()

    def urls(self) -> dict[str, str]:
        return {"node1": "http://127.0.0.1:8340"}

    def feeds(self) -> dict[str, str]:
        return self.urls()

    def counters(self) -> dict[str, Any]:
        return {}

    def forget(self, node: str) -> bool:
        return False


async def bare(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def serve(which: str, fd: int) -> None:
    """What a server's process does."""
    if which == "feed":
        uvloop.run(_serve_feed(fd))
        return
    config = uvicorn.Config(
        bare, fd=fd, http="httptools", loop="uvloop", ws="none", lifespan="off", access_log=False,
        log_config=None, server_header=False,
    )  # fmt: skip
    uvicorn.Server(config).run()


async def _serve_feed(fd: int) -> None:
    server = Server(create_app(Node()))
    server.start(socket.socket(fileno=fd))
    await asyncio.Event().wait()


class Reader(asyncio.Protocol):
    """One viewer that polls again as soon as it is answered."""

    def __init__(self, request: bytes) -> None:
        self.request, self.answers, self.bytes, self.left = request, 0, 0, b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.left += data
        while (end := self.left.find(b"\r\n\r\n")) >= 0:
            assert self.left.startswith((b"HTTP/1.1 204", b"HTTP/1.1 200")), self.left
            length = _LENGTH.search(self.left, 0, end)
            size = end + 4 + (int(length[1]) if length is not None else 0)
            if len(self.left) < size:
                return
            self.answers += 1
            self.bytes = size
            self.left = self.left[size:]
            self.transport.write(self.request)


class Round(NamedTuple):
    """What one server did in one round."""

    per_second: float
    per_cpu_second: float
    bytes: int


async def measure(port: int, cpu: Callable[[], float], path: str, readers: int, seconds: float) -> Round:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\nUser-Agent: bench\r\n"
        "Accept-Encoding: gzip\r\nSec-Fetch-Site: same-origin\r\nReferer: http://127.0.0.1/\r\n\r\n"
    ).encode()
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Reader(request), "127.0.0.1", port))[1] for _ in range(readers)
    ]
    while min(client.answers for client in clients) < 3:  # the server may still be starting
        await asyncio.sleep(0.05)
    before, used, then = sum(c.answers for c in clients), cpu(), time.monotonic()
    await asyncio.sleep(seconds)
    polls = sum(c.answers for c in clients) - before
    used, passed = cpu() - used, time.monotonic() - then
    for client in clients:
        client.transport.abort()
    return Round(polls / passed, polls / used, clients[0].bytes)


#: What is measured: at which server, and what is asked there.
PATHS = {
    "bare": ("bare", "/"),
    "nginx": ("nginx", "/idle"),
    "idle polls": ("feed", f"/api/v1/events?after={ID}:1000&view=brief"),
    "polls with 10 events": ("feed", f"/api/v1/events?after={ID}:990&view=brief"),
}


@contextmanager
def _server(which: str) -> Iterator[tuple[int, Callable[[], float]]]:
    """A server on the first core: its port, and what CPU time it has used."""
    if which == "nginx":
        with nginx() as server:
            yield server.port, server.cpu
        return
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        port, fd = listening.getsockname()[1], listening.fileno()
        command = [sys.executable, "-m", "benchmarks.feed", "--serve", which, "--fd", str(fd)]
        child = subprocess.Popen([*on_core(), *command], pass_fds=[fd])
    process = psutil.Process(child.pid)
    try:
        yield port, lambda: sum(process.cpu_times()[:2])
    finally:
        child.terminate()
        child.wait(10)


def run(seconds: float = 2.0, rounds: int = 5, readers: int = 64) -> dict[str, Any]:
    """Measures; returns medians: polls/s, polls per CPU second, and their ratios to the bare application."""
    wanted = {name: where for name, where in PATHS.items() if where[0] != "nginx" or not nginx_is_there()}
    found: dict[str, list[Round]] = {name: [] for name in wanted}
    with as_load(), ExitStack() as stack:
        servers = {which: stack.enter_context(_server(which)) for which in {w for w, _ in wanted.values()}}
        for _ in range(rounds):
            for name, (which, path) in wanted.items():
                found[name].append(uvloop.run(measure(*servers[which], path, readers, seconds)))
    told: dict[str, Any] = {}
    for name, done in found.items():
        pairs = list(zip(done, found["bare"], strict=True))
        told[name] = {
            "polls/s": round(median(r.per_second for r in done)),
            "polls per CPU second": round(median(r.per_cpu_second for r in done)),
            "to bare": round(median(r.per_second / b.per_second for r, b in pairs), 2),
            "to bare, CPU": round(median(r.per_cpu_second / b.per_cpu_second for r, b in pairs), 2),
            "bytes": done[0].bytes,
        }
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--readers", type=int, default=64)
    parser.add_argument("--serve", choices=["bare", "feed"], help=argparse.SUPPRESS)
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.fd)
        return
    for name, values in run(given.seconds, given.rounds, given.readers).items():
        print(f"{name}: " + ", ".join(f"{what} {value}" for what, value in values.items()))


if __name__ == "__main__":
    main()
