"""NATS JetStream for comparison: three servers on this machine, one stream on all of them, in memory.

Each event is a message, published from Python with msgspec and nats-py as an agent's program would, without
waiting for each acknowledgement: never more than a window of them are missing. An acknowledgement means
that a majority of the three servers has the event, so each round ends when all three have everything.
``benchmarks/install-tools`` installs the server and nats-py.
"""

from __future__ import annotations

import asyncio
import importlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from benchmarks.agents import free_port
from benchmarks.table import scratch

__all__ = ["missing", "rate"]

#: As in :mod:`benchmarks.rate`.
WINDOW: Final = 12_000
RETAIN: Final = 2.0
_LIBRARIES: Final = Path(".venv/bench")
_SUBJECT: Final = "bench.tick"


def missing() -> str:
    """What is missing to run this, in words; empty if nothing is."""
    if not shutil.which("nats-server", path="/usr/sbin:/usr/bin:/usr/local/bin"):
        return "nats-server is not installed"
    if not (_LIBRARIES / "nats").is_dir():
        return "nats-py is not installed"
    return ""


@contextmanager
def _servers() -> Iterator[list[str]]:
    hosts = [f"127.0.3.{node + 1}" for node in range(3)]
    routes = [f"nats-route://{host}:{free_port(host)}" for host in hosts]
    ports = [free_port(host) for host in hosts]
    with scratch() as directory:
        processes = []
        for node, host in enumerate(hosts):
            config = Path(directory) / f"server{node}.conf"
            config.write_text(
                f'server_name: "server{node}"\nhost: "{host}"\nport: {ports[node]}\n'
                f'jetstream {{ store_dir: "{directory}/store{node}", max_mem: 1G }}\n'
                f'cluster {{ name: "bench", listen: "{routes[node].removeprefix("nats-route://")}", '
                f"routes: {routes} }}\n".replace("'", '"')
            )
            command = [shutil.which("nats-server", path="/usr/sbin:/usr/bin:/usr/local/bin") or "", "-c"]
            processes.append(
                subprocess.Popen(
                    [*command, str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )
        try:
            yield [f"nats://{host}:{port}" for host, port in zip(hosts, ports, strict=True)]
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(10)


def _event(number: int) -> bytes:
    sequence = f"1790000000000-{number:012d}"
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": sequence,
            "source": "/clusters/bench/nodes/node3",
            "type": _SUBJECT,
            "subject": f"subject{number % 20}",
            "time": f"{time.time():.6f}",
            "origin": "node3",
            "sequence": sequence,
            "node": "node3",
            "severity": "info",
            "data": {"summary": "a line of plain words"},
        }
    )


async def _connect(url: str) -> Any:
    nats = importlib.import_module("nats")
    end = time.monotonic() + 30
    while True:
        try:
            client = await nats.connect(url, max_reconnect_attempts=1)
            await client.jetstream().add_stream(
                name="bench", subjects=["bench.>"], num_replicas=3, storage="memory", max_age=RETAIN
            )
        except Exception:
            # The servers have not all come up, or have not elected a leader yet.
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.5)
        else:
            return client


async def _rate(urls: list[str], seconds: float) -> float:
    client = await _connect(urls[0])
    acknowledged = refused = 0

    async def answer(message: Any) -> None:
        nonlocal acknowledged, refused
        acknowledged += 1
        refused += b'"error"' in message.data

    inbox = client.new_inbox()
    await client.subscribe(inbox, cb=answer)
    await asyncio.sleep(1)
    sent, start = 0, time.monotonic()
    while time.monotonic() - start < seconds:
        if sent - acknowledged > WINDOW:
            await asyncio.sleep(0.001)
            continue
        for _ in range(200):
            sent += 1
            await client.publish(_SUBJECT, _event(sent), reply=inbox)
        await asyncio.sleep(0)
    end = time.monotonic() + 10
    while acknowledged < sent and time.monotonic() < end:
        await asyncio.sleep(0.005)
    took = time.monotonic() - start
    await client.close()
    if refused or acknowledged < sent:
        raise RuntimeError(f"of {sent} messages {acknowledged} were acknowledged, {refused} refused")
    return sent / took


def rate(seconds: float) -> float:
    """Events a second that are acknowledged by the cluster."""
    sys.path.insert(0, str(_LIBRARIES))
    with _servers() as urls:
        return uvloop.run(_rate(urls, seconds))
