"""A rail that hangs while TCP looks alive is closed and opened again; nothing is lost, nobody waits."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest

from tests.forwarder.processes import Network, free_ports, peer_process
from tests.forwarder.relay import Relay
from tests.forwarder.suite import End, meet, until
from tocsin.forwarder.zenoh import ZenohRail, left_behind

__all__ = ["peer_process"]  # a fixture


class _Pair:
    """Two nodes on one rail; node 1 dials node 2 through a relay."""

    def __init__(self, name: str, relay: Relay, ports: list[int]) -> None:
        # The higher address, so that it is node 1 that dials.
        one, two = (f"tcp/127.0.0.{number}:{port}" for number, port in zip((2, 1), ports, strict=True))
        self.relay = relay
        self.b = End(ZenohRail(name, cluster="test", node="node2", listen=two))
        self._dialler = ZenohRail(name, cluster="test", node="node1", listen=one, connect=[relay.endpoint])

    async def meet(self) -> None:
        while not self.b.rail.stats().up:
            await asyncio.sleep(0.01)
        self.a = End(self._dialler)
        await meet(self.a, self.b)

    @property
    def reopened(self) -> int:
        return self.a.rail.stats().reopened + self.b.rail.stats().reopened


@asynccontextmanager
async def pair(name: str) -> AsyncIterator[_Pair]:
    """Two nodes that have met on a rail."""
    ports = free_ports(2)
    async with Relay(ports[1]) as relay:
        made = _Pair(name, relay, ports)
        await made.meet()
        yield made
        await asyncio.gather(made.a.rail.close(), made.b.rail.close())


@asynccontextmanager
async def looking(pairs: Iterable[_Pair]) -> AsyncIterator[None]:
    """Has every rail look at its echoes as an agent does."""
    pairs = list(pairs)

    async def look() -> None:
        while True:
            now = time.monotonic()
            for each in pairs:
                each.a.rail.look(["node2"], ["node2"], now, 1.0)
                each.b.rail.look(["node1"], ["node1"], now, 1.0)
            await asyncio.sleep(0.1)

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()


async def test_round_trips_are_measured() -> None:
    """Each end knows the round trip to the other, and no echo is lost."""
    async with pair("rail1") as rail1, looking([rail1]):
        for end, peer in ((rail1.a, "node2"), (rail1.b, "node1")):
            while peer not in end.rail.stats().round_trips:
                await asyncio.sleep(0.01)
            stats = end.rail.stats()
            assert 0 < stats.round_trips[peer] < 1
            assert (0, 0, 0) == (stats.echoes_lost, stats.reopened, stats.left_behind)


async def test_a_hanging_rail_is_opened_again_and_nothing_is_lost() -> None:
    """Under 500 messages/s on two rails the engine of one hangs: all arrive, soon on both rails again."""
    async with pair("rail1") as rail1, pair("rail2") as rail2, looking([rail1, rail2]):
        stop, sent = asyncio.Event(), 0

        async def send() -> None:
            nonlocal sent
            next_at = time.monotonic()
            while not stop.is_set():
                for each in (rail1, rail2):
                    each.a.rail.send(b"%d" % sent)
                sent += 1
                next_at += 0.002
                await asyncio.sleep(max(0.0, next_at - time.monotonic()))

        sending = asyncio.create_task(send())
        await until(lambda: rail1.b.got and "node2" in rail1.a.rail.stats().round_trips)
        rail1.relay.hang()
        hung = sent
        await until(lambda: rail1.reopened, 10)
        reopened = sent
        await until(lambda: rail1.b.got and int(rail1.b.got[-1][1]) > reopened, 10)
        stop.set()
        await sending
        last = b"%d" % (sent - 1)
        await rail2.b.until(lambda: last in rail2.b.payloads("node1")[-1:])

        arrived = {int(payload) for end in (rail1.b, rail2.b) for payload in end.payloads("node1")}
        assert set(range(sent)) == arrived
        missed = set(range(sent)) - {int(payload) for payload in rail1.b.payloads("node1")}
        assert missed <= set(range(hung - 50, sent)), "rail 1 lost something before it hung"
        assert missed, "rail 1 did not hang"
        order = [int(payload) for payload in rail1.b.payloads("node1")]
        assert sorted(order) == order
        assert 0 == rail2.reopened


async def test_a_peer_that_takes_nothing_but_seems_alive() -> None:
    """The peer's window is shut while its keep-alives come: the rail is opened again, all stays quick."""
    async with pair("rail1") as rail1, looking([rail1]):
        a, b = rail1.a, rail1.b
        await until(lambda: "node2" in a.rail.stats().round_trips)
        rail1.relay.freeze()
        slowest = 0.0
        async with asyncio.timeout(15):
            while a.rail.stats().opened < 2:
                start = time.monotonic()
                a.rail.send(bytes(60_000))
                slowest = max(slowest, time.monotonic() - start)
                await asyncio.sleep(0.005)
        assert 0.1 > slowest
        assert 1 == a.rail.stats().reopened
        b.got.clear()
        await meet(a, b)
        a.rail.send(b"here again")
        await b.until(lambda: b"here again" in b.payloads("node1"))


async def test_an_engine_that_does_not_close_is_left_behind(
    peer_process: tuple[Network, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The close hangs on a frozen peer: it is left to its thread and counted, and a new one opens."""
    monkeypatch.setattr("tocsin.forwarder.zenoh.close_at_once", len)
    network, process = peer_process
    rail = network.rail("node1")
    a = End(rail)
    await a.hears("node2")
    process.send_signal(signal.SIGSTOP)
    before = a.rail.stats().sent
    async with asyncio.timeout(30):  # more than all buffers on the way hold
        while a.rail.stats().sent < before + 300:
            a.rail.send(bytes(60_000))
            await asyncio.sleep(0.001)
    assert rail._life is not None
    start = time.monotonic()
    rail._reopen(rail._life, "a test wants it")
    await until(lambda: a.rail.stats().opened == 2)
    assert 8 > time.monotonic() - start
    assert (True, 1, 1) == (left_behind(), a.rail.stats().reopened, a.rail.stats().left_behind)
    process.send_signal(signal.SIGCONT)
    before = a.rail.stats().received
    await a.until(lambda: a.rail.stats().received > before)
    await a.rail.close()
    await until(lambda: not left_behind(), 15)
