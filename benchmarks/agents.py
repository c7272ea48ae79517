"""Real agents on loopback for benchmarks: as many as wanted, on two rails, on free ports."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import psutil

__all__ = ["Agents", "free_port", "pause"]

#: Waits so many seconds.
pause = threading.Event().wait


def free_port(host: str) -> int:
    """A port that nobody has now."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


class Agents:
    """``count`` agents; use as a context manager. Node ``0`` is ``node1``."""

    def __init__(
        self,
        directory: Path,
        count: int = 3,
        *,
        rails: int = 2,
        settings: str = "",
        embedded: int = 0,
        apart: float = 0.0,
        routers: int = 0,
    ) -> None:
        """``embedded``: so many of the last nodes are not started here; :meth:`rails` is for them.

        ``apart``: seconds between two starts. ``routers``: so many of the first nodes route for the others.
        """
        self.urls = [f"http://127.0.0.1:{free_port('127.0.0.1')}" for _ in range(count)]
        ends = [
            [
                f"tcp/127.0.{rail + 1}.{node + 1}:{free_port(f'127.0.{rail + 1}.{node + 1}')}"
                for rail in range(rails)
            ]
            for node in range(count)
        ]
        self.processes: list[subprocess.Popen[bytes]] = []
        self.client = httpx.Client(trust_env=False, timeout=30)
        self._ends = ends
        self.urls = self.urls[: count - embedded]
        for node in range(count - embedded):
            flags = [word for rail in range(rails) for word in ("--rail", _rail(ends, node, rail))]
            tables = "".join(_routed(ends, node, rail, routers) for rail in range(rails)) if routers else ""
            flags = [] if routers else flags
            config = directory / f"node{node + 1}.toml"
            config.write_text(f'[log]\nlevel = "warning"\n{settings}\n{tables}')
            self.processes.append(
                subprocess.Popen(
                    [
                        *(sys.executable, "-m", "tocsin.cli", "agent", "--config", str(config)),
                        *("--name", f"node{node + 1}", "--cluster", "bench"),
                        *("--listen", self.urls[node].removeprefix("http://"), *flags),
                    ],
                    env={k: v for k, v in os.environ.items() if not k.startswith("TOCSIN_")},
                )
            )
            pause(apart)

    def __enter__(self) -> Agents:
        try:
            self._wait(30 + 3 * len(self.urls))
        except BaseException:
            self.stop()
            raise
        return self

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        for url in self.urls:
            while not self._ready(url):
                if time.monotonic() > end:
                    raise RuntimeError(f"{url} is not ready")
                pause(0.1)

    def _ready(self, url: str) -> bool:
        try:
            return self.client.get(f"{url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends all agents."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(10 + len(self.processes))
        self.client.close()

    def rails(self, node: int) -> list[str]:
        """What ``--rail`` is for a node: its own endpoint and those of the others."""
        return [_rail(self._ends, node, rail) for rail in range(len(self._ends[node]))]

    def emit(self, node: int, events: list[dict[str, Any]]) -> None:
        """Publishes a batch at a node."""
        answer = self.client.post(
            f"{self.urls[node]}/api/v1/events",
            json=events,
            headers={"Content-Type": "application/cloudevents-batch+json"},
        )
        answer.raise_for_status()

    def events(self, node: int, on: str) -> list[dict[str, Any]]:
        """All events of a node's buffer that are of interest."""
        found: list[dict[str, Any]] = []
        after = "0"
        while True:
            answer = self.client.get(
                f"{self.urls[node]}/api/v1/events", params={"after": after, "on": on, "limit": 10_000}
            )
            if answer.status_code == 204:
                return found
            page = answer.json()
            found += page["events"]
            after = page["cursor"]
            if not page["more"]:
                return found

    def cpu(self, seconds: float) -> list[float]:
        """Per cent of one core that each agent uses over some time."""
        processes = [psutil.Process(p.pid) for p in self.processes]
        before = [sum(p.cpu_times()[:2]) for p in processes]
        pause(seconds)
        return [
            100 * (sum(p.cpu_times()[:2]) - was) / seconds for p, was in zip(processes, before, strict=True)
        ]

    def memory(self) -> list[float]:
        """Resident MiB of each agent."""
        return [psutil.Process(p.pid).memory_info().rss / 2**20 for p in self.processes]


def _rail(ends: list[list[str]], node: int, rail: int) -> str:
    return ",".join([ends[node][rail], *(e[rail] for n, e in enumerate(ends) if n != node)])


def _routed(ends: list[list[str]], node: int, rail: int, routers: int) -> str:
    """A rail's table where the first nodes are routers, and the others clients that spread over them."""
    mode = "router" if node < routers else "client"
    first = (node + rail) % routers
    order = [ends[(first + step) % routers][rail] for step in range(routers)]
    connect = json.dumps([end for end in order if end != ends[node][rail]])
    return f'[[rails]]\nmode = "{mode}"\nlisten = "{ends[node][rail]}"\nconnect = {connect}\n'
