"""Idle polls of the feed against a bare ASGI application that answers 204, both under uvicorn, in one run.

    python -m benchmarks.feed [--seconds 2] [--rounds 5] [--readers 64]

Each application has a process of its own; the readers are keep-alive connections from a third. Rounds
alternate, so that other work on the machine hits both. What counts is polls per second of the server's
CPU time: that is what is left when the machine is busy with something else as well.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import MutableMapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import psutil
import uvicorn
import uvloop

from tocsin.core.board import Board
from tocsin.core.buffer import Buffer
from tocsin.core.bus import Arrival, Bus
from tocsin.core.event import report, seal
from tocsin.core.measures import Measures
from tocsin.core.recent import Recent
from tocsin.web.app import create_app
from tocsin.web.node import Settings

ID = "k3f9a.mdz2k1xq"


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
    app: Any = create_app(Node()) if which == "feed" else bare
    config = uvicorn.Config(
        app, fd=fd, http="httptools", loop="uvloop", ws="none", lifespan="off", access_log=False,
        log_config=None, server_header=False,
    )  # fmt: skip
    uvicorn.Server(config).run()


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
            assert self.left.startswith(b"HTTP/1.1 204"), self.left
            self.answers += 1
            self.bytes = end + 4
            self.left = self.left[end + 4 :]
            self.transport.write(self.request)


class Round(NamedTuple):
    """What one server did in one round."""

    per_second: float
    per_cpu_second: float
    bytes: int


async def measure(port: int, process: psutil.Process, readers: int, seconds: float) -> Round:
    path = f"/api/v1/events?after={ID}:1000&view=brief"
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
    before, cpu, then = sum(c.answers for c in clients), sum(process.cpu_times()[:2]), time.monotonic()
    await asyncio.sleep(seconds)
    polls = sum(c.answers for c in clients) - before
    used, passed = sum(process.cpu_times()[:2]) - cpu, time.monotonic() - then
    for client in clients:
        client.transport.abort()
    return Round(polls / passed, polls / used, clients[0].bytes)


def run(seconds: float = 2.0, rounds: int = 5, readers: int = 64) -> dict[str, Any]:
    """Measures; returns medians: polls/s and polls per CPU second of both, the ratios, bytes of an answer."""
    ports, processes = {}, {}
    found: dict[str, list[Round]] = {"bare": [], "feed": []}
    try:
        for which in found:
            with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
                ports[which] = server.getsockname()[1]
                fd = server.fileno()
                command = [sys.executable, "-m", "benchmarks.feed", "--serve", which, "--fd", str(fd)]
                processes[which] = subprocess.Popen(command, pass_fds=[fd])
        for _ in range(rounds):
            for which, rounds_of in found.items():
                process = psutil.Process(processes[which].pid)
                rounds_of.append(uvloop.run(measure(ports[which], process, readers, seconds)))
    finally:
        for child in processes.values():
            child.terminate()
            child.wait(10)
    rate = {which: median(r.per_second for r in done) for which, done in found.items()}
    cpu = {which: median(r.per_cpu_second for r in done) for which, done in found.items()}
    pairs = list(zip(found["feed"], found["bare"], strict=True))
    return {
        "polls_per_second": {which: round(value) for which, value in rate.items()},
        "polls_per_cpu_second": {which: round(value) for which, value in cpu.items()},
        "ratio": round(median(f.per_second / b.per_second for f, b in pairs), 3),
        "ratio_cpu": round(median(f.per_cpu_second / b.per_cpu_second for f, b in pairs), 3),
        "bytes_of_an_idle_answer": found["feed"][0].bytes,
    }


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
    for name, value in run(given.seconds, given.rounds, given.readers).items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
