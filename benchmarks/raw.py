"""The baseline: Zenoh and msgspec alone doing what a push does, on the same two rails.

Events of the same form, each encoded once; batches of them in one message; the message on both rails; at
the other end the second copy is dropped and each event is decoded, once. There is no repair, no board, no
buffer, no feed, and the engine's own threads do the work. Sessions are set up as an agent's are.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

import msgspec
import zenoh

from benchmarks.agents import free_port, pause
from tocsin.forwarder.zenoh_config import configuration

__all__ = ["BATCH", "Peer", "Publisher", "peers"]

BATCH: Final = 20
RAILS: Final = 2
_KEY: Final = "tocsin/raw/all"
_DROP: Final = zenoh.CongestionControl.DROP


class Event(msgspec.Struct, frozen=True, gc=False):
    """What a receiver reads of an event."""

    id: str
    source: str
    type: str
    subject: str
    time: str
    origin: str
    sequence: str
    node: str
    severity: str
    data: msgspec.Raw


class Peer(NamedTuple):
    """A receiver, seen from here: the highest number that it has, and a way to ask it."""

    progress: Any
    pipe: Connection

    def ask(self, what: str) -> Any:
        """``count``: how many events it has got; ``took``: milliseconds from time to receipt of each."""
        self.pipe.send(what)
        return self.pipe.recv()


def _ends() -> list[list[str]]:
    hosts = [[f"127.0.{rail + 1}.{node + 1}" for rail in range(RAILS)] for node in range(3)]
    return [[f"tcp/{host}:{free_port(host)}" for host in node] for node in hosts]


def _sessions(ends: list[list[str]], node: int) -> list[zenoh.Session]:
    return [
        zenoh.open(
            zenoh.Config.from_json5(
                configuration(
                    f"rail{rail + 1}", ends[node][rail], [e[rail] for n, e in enumerate(ends) if n != node]
                )
            )
        )
        for rail in range(RAILS)
    ]


def _receive(ends: list[list[str]], node: int, progress: Any, pipe: Connection, *, read: bool) -> None:
    """A receiver, in its own process: takes what comes until its pipe is closed."""
    messages = msgspec.msgpack.Decoder(tuple[int, list[tuple[int, bytes]]])
    events = msgspec.json.Decoder(Event)
    kept: deque[Event | bytes] = deque(maxlen=100_000)
    took: list[tuple[str, int]] = []
    last = count = 0
    lock = threading.Lock()

    def arrived(sample: zenoh.Sample) -> None:
        nonlocal last, count
        first, batch = messages.decode(sample.payload.to_bytes())
        with lock:  # each rail has a thread of its own
            if first <= last:
                return  # the copy from the other rail
            last = first + len(batch) - 1
            for _, body in batch:
                kept.append(events.decode(body) if read else body)
            if len(batch) == 1 and isinstance(event := kept[-1], Event):
                took.append((event.time, time.time_ns()))
            count += len(batch)
            progress.value = last

    sessions = _sessions(ends, node)
    for session in sessions:
        session.declare_subscriber(_KEY, zenoh.handlers.Callback(arrived, indirect=False))
    try:
        while True:
            answers: dict[str, Any] = {"count": lambda: count, "took": lambda: _milliseconds(took)}
            pipe.send(answers[pipe.recv()]())
            took.clear()
    except EOFError:
        pass
    for session in sessions:
        session.close()


def _milliseconds(took: list[tuple[str, int]]) -> list[float]:
    return [at / 1e6 - datetime.fromisoformat(time).timestamp() * 1e3 for time, at in took]


class Publisher:
    """Encodes events and puts batches of them on both rails."""

    def __init__(self, ends: list[list[str]]) -> None:
        self.sessions = _sessions(ends, 2)
        self._rails = [s.declare_publisher(_KEY, congestion_control=_DROP) for s in self.sessions]
        self.sent = 0

    def publish(self, count: int) -> None:
        """One message."""
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        batch = [(0, _encoded(self.sent + 1 + n, now)) for n in range(count)]
        payload = msgspec.msgpack.encode((self.sent + 1, batch))
        self.sent += count
        for rail in self._rails:
            rail.put(payload)


def _encoded(number: int, now: str) -> bytes:
    sequence = f"1790000000000-{number:012d}"
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": sequence,
            "source": "/clusters/bench/nodes/node3",
            "type": "bench.tick",
            "subject": f"subject{number % BATCH}",
            "time": now,
            "origin": "node3",
            "sequence": sequence,
            "node": "node3",
            "severity": "info",
            "data": {"summary": "a line of plain words"},
        }
    )


@contextmanager
def peers(*, read: bool = True) -> Iterator[tuple[Publisher, list[Peer]]]:
    """A publisher here and two receivers as processes, connected; ``read``: they decode each event."""
    context, ends = get_context("spawn"), _ends()
    found, processes = [], []
    for node in (0, 1):
        here, there = context.Pipe()
        progress = context.Value("q", 0, lock=False)
        process = context.Process(
            target=_receive, args=(ends, node, progress, there), kwargs={"read": read}, daemon=True
        )
        process.start()
        there.close()
        found.append(Peer(progress, here))
        processes.append(process)
    publisher = Publisher(ends)
    try:
        _connect(publisher, found)
        yield publisher, found
    finally:
        for peer in found:
            peer.pipe.close()
        for session in publisher.sessions:
            session.close()
        for process in processes:
            process.join(5)
            process.kill()


def _connect(publisher: Publisher, found: list[Peer]) -> None:
    end = time.monotonic() + 30
    while any(len(session.info.peers_zid()) < 2 for session in publisher.sessions) or any(
        peer.progress.value < publisher.sent or not publisher.sent for peer in found
    ):
        if time.monotonic() > end:
            raise RuntimeError("the bare sessions do not find each other")
        publisher.publish(1)
        pause(0.2)
    for peer in found:
        peer.ask("took")
