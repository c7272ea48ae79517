"""What is published leaves in as few messages as may be, and after a quiet time at once."""

from __future__ import annotations

import asyncio

from tocsin.core.board import Board
from tocsin.core.bus import Arrival, Burst, Bus
from tocsin.core.event import Draft, Event, seal_all
from tocsin.core.messages import Events, decode
from tocsin.core.replica import Replica
from tocsin.forwarder.forwarder import Forwarder
from tocsin.forwarder.rail import Deliver, RailStats


class Recorder:
    """A rail that notes what is to be sent."""

    name = "rail1"

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def start(self, deliver: Deliver) -> None:
        """Nothing ever arrives."""

    def send(self, payload: bytes, to: str | None = None) -> None:
        """Notes it."""
        self.sent.append(payload)

    def look(self, *_: object) -> None:
        """Nothing ever hangs."""

    def stats(self) -> RailStats:
        """Nothing is counted."""
        return RailStats(up=True, reason="")

    async def close(self) -> None:
        """Nothing is open."""

    def bursts(self) -> list[int]:
        """How many events each message had that was sent since the last time."""
        sent, self.sent = self.sent, []
        return [len(m.events) for m in map(decode, sent) if isinstance(m, Events)]


class Host:
    """An agent that has joined: a bus, a board, and time that is set by hand."""

    def __init__(self) -> None:
        self.bus, self.board, self.time = Bus(), Board(), 1000.0
        self.replica = Replica("n1", now=self.time, wall_ms=1_790_000_000_000)
        self.rail = Recorder()
        self.forwarder = Forwarder(self.replica, [self.rail], self)
        while not self.replica.ready:
            self.time += 0.05
            self.replica.tick(self.time)

    def publish(self, count: int) -> None:
        """So many events happen on this node at once."""
        life, seq = self.replica.incarnation, self.replica.own.known + 1 + len(self.forwarder._pending)
        drafts = [Draft(type="backup.step")] * count
        events = seal_all(drafts, cluster="c", origin="n1", incarnation=life, seq=seq, time=self.wall())
        self.bus.publish(Burst.of([Arrival(event, self.time) for event in events], follow=True))

    def now(self) -> float:
        """Monotonic seconds."""
        return self.time

    def wall(self) -> str:
        """Wall time."""
        return "2026-11-30T12:00:00.000000Z"

    def ready(self) -> None:
        """It was ready before the forwarder began."""

    def begin(self, incarnation: int, previous: str) -> None:
        """Likewise."""

    def base(self, origin: str, sequence: str) -> None:
        """There is no other node."""

    skip = base

    def publish_report(self, draft: Draft) -> None:
        """Likewise."""

    def clash(self, name: str, *, yields: bool) -> None:
        """Likewise."""

    def measured(self, node: str, values: dict[str, float]) -> None:
        """Likewise."""

    def late(self, event: Event) -> None:
        """Likewise."""


async def test_the_first_burst_leaves_at_once_and_a_flood_as_one_a_turn() -> None:
    """No delay is added where it is quiet; in a flood each turn of the loop is one message."""
    host = Host()
    host.forwarder.start()
    host.rail.bursts()
    host.publish(2)
    assert [2] == host.rail.bursts()
    host.publish(3)
    host.publish(4)
    assert [] == host.rail.bursts()
    await asyncio.sleep(0)
    assert [7] == host.rail.bursts()
    host.publish(1)
    host.publish(1)
    assert [] == host.rail.bursts(), "the turn before was not quiet"
    await asyncio.sleep(0)
    assert [2] == host.rail.bursts()
    await asyncio.sleep(0)
    host.publish(5)
    assert [5] == host.rail.bursts()
    await host.forwarder.stop()


async def test_what_waits_leaves_before_the_node_says_goodbye() -> None:
    """The last events of a life are on their way before it ends."""
    host = Host()
    host.forwarder.start()
    host.publish(1)
    host.publish(3)
    await host.forwarder.stop()
    assert [1, 3] == host.rail.bursts()


async def test_what_others_told_is_not_sent_again() -> None:
    """Only this node's own events of this life are: not those of others, not those of a former life."""
    host = Host()
    host.forwarder.start()
    host.rail.bursts()
    for origin, life in (("n2", host.replica.incarnation), ("n1", host.replica.incarnation - 1)):
        drafts = [Draft(type="backup.step")] * 2
        events = seal_all(drafts, cluster="c", origin=origin, incarnation=life, seq=1, time=host.wall())
        arrivals = [Arrival(event, host.time) for event in events]
        for follow in (True, False):
            host.bus.publish(Burst.of(arrivals, follow=follow))
    await asyncio.sleep(0)
    assert [] == host.rail.bursts()
    await host.forwarder.stop()
