"""What every rail must do: one suite, run by test_memory.py and test_zenoh.py on what they build.

A subclass says in :meth:`RailSuite.network` how rails come into being; everything else is the same for all.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Protocol

import pytest

from tocsin.core.errors import RailError
from tocsin.forwarder.rail import MAX_MESSAGE_BYTES, Rail

HELLO = b"hello"


class Network(Protocol):
    """What a subclass provides: a rail for each node, all on one network."""

    def rail(self, node: str) -> Rail:
        """A rail that has not been started, of up to three nodes."""


class End:
    """A started rail and all that arrived on it, greetings left out."""

    def __init__(self, rail: Rail) -> None:
        self.rail = rail
        self.got: list[tuple[str, bytes]] = []
        self.threads: set[int] = set()
        self._changed = asyncio.Event()
        rail.start(self._deliver)

    def _deliver(self, sender: str, payload: bytes) -> None:
        self.threads.add(threading.get_ident())
        if payload == b"bad":
            raise ValueError("a message that the receiver chokes on")
        if payload != HELLO:
            self.got.append((sender, payload))
        self._changed.set()

    def payloads(self, sender: str) -> list[bytes]:
        """What arrived of one sender, in order of arrival."""
        return [payload for node, payload in self.got if node == sender]

    async def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        """Waits until something has arrived that makes the condition true."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def hears(self, *names: str) -> None:
        """Waits until a message of each node has arrived."""
        await self.until(lambda: set(names) <= set(self.rail.stats().heard))


async def until(condition: Callable[[], Any], seconds: float = 10) -> None:
    """Waits for something that no message tells."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def meet(*ends: End) -> None:
    """Greets until each has heard each other: rails may need a moment, and say nothing of it."""
    before = {end: end.rail.stats().received for end in ends}

    async def greet() -> None:
        while True:
            for end in ends:
                end.rail.send(HELLO)
            await asyncio.sleep(0.02)

    greeting = asyncio.create_task(greet())
    try:
        await asyncio.gather(*(end.until(partial(_met, end, len(ends), before)) for end in ends))
    finally:
        greeting.cancel()


async def insist(sender: End, receiver: End, payload: bytes) -> None:
    """Sends the same again and again until it has arrived."""
    while payload not in [each for _, each in receiver.got]:
        sender.rail.send(payload)
        await asyncio.sleep(0.02)


def _met(end: End, ends: int, before: dict[End, int]) -> bool:
    stats = end.rail.stats()
    return stats.received > before[end] and len(stats.heard) >= ends - 1


class RailSuite:
    """The behaviour of a rail, seen from outside."""

    @pytest.fixture
    def network(self) -> Network:
        raise NotImplementedError("a subclass says how rails come into being")

    @pytest.fixture
    async def open(self, network: Network) -> AsyncIterator[Callable[[str], End]]:
        """Opens rails, and closes them at the end of the test."""
        ends: list[End] = []

        def opened(node: str) -> End:
            ends.append(End(network.rail(node)))
            return ends[-1]

        yield opened
        for end in ends:
            await end.rail.close()

    async def test_a_message_reaches_all_others(self, open: Callable[[str], End]) -> None:
        """What is sent to all arrives once at every other node, with the sender's name."""
        a, b, c = open("node1"), open("node2"), open("node3")
        await meet(a, b, c)
        a.rail.send(b"news")
        await b.until(lambda: bool(b.got))
        await c.until(lambda: bool(c.got))
        assert ([], [("node1", b"news")], [("node1", b"news")]) == (a.got, b.got, c.got)

    async def test_a_message_to_one_reaches_only_that_one(self, open: Callable[[str], End]) -> None:
        """What is sent to one node arrives there and nowhere else, not even at the sender."""
        a, b, c = open("node1"), open("node2"), open("node3")
        await meet(a, b, c)
        a.rail.send(b"for node2", to="node2")
        a.rail.send(b"for node1", to="node1")
        a.rail.send(b"for nobody", to="node9")
        a.rail.send(b"for all")
        await b.until(lambda: len(b.got) >= 2)
        await c.until(lambda: bool(c.got))
        assert [("node1", b"for all")] == c.got
        assert [b"for node2", b"for all"] == b.payloads("node1")
        assert [] == a.got

    async def test_the_order_of_each_sender_is_kept(self, open: Callable[[str], End]) -> None:
        """Two nodes send at once; a third gets all of both, each sender's in the order sent."""
        a, b, c = open("node1"), open("node2"), open("node3")
        await meet(a, b, c)
        sent = [b"%d" % number for number in range(500)]
        for payload in sent:
            a.rail.send(payload)
            b.rail.send(payload)
            await asyncio.sleep(0)
        await c.until(lambda: len(c.got) >= 1000)
        assert (sent, sent) == (c.payloads("node1"), c.payloads("node2"))

    async def test_a_burst_arrives_in_order(self, open: Callable[[str], End]) -> None:
        """A burst of 2,000 messages handed over at once neither blocks nor is shuffled."""
        a, b = open("node1"), open("node2")
        await meet(a, b)
        sent = [b"%d" % number + b"." * 200 for number in range(2000)]
        for payload in sent:
            a.rail.send(payload)
        await b.until(lambda: len(b.got) >= 2000)
        assert sent == b.payloads("node1")

    async def test_nothing_grows_while_the_loop_is_busy(self, open: Callable[[str], End]) -> None:
        """The loop sends without end and reads nothing: the surplus is counted, then all goes on."""
        a, b = open("node1"), open("node2")
        await meet(a, b)
        before, payload = a.rail.stats(), bytes(64 << 10)
        for _ in range(4000):  # 250 MiB, the loop does not run meanwhile
            a.rail.send(payload)
        assert 0 < a.rail.stats().dropped_out + b.rail.stats().dropped_in
        await until(lambda: _all_accounted(a, 4000, before.sent + before.dropped_out))
        await insist(a, b, b"still here")

    async def test_a_peer_may_start_later(self, open: Callable[[str], End]) -> None:
        """A node that is alone sends into the void; one that starts later hears what is sent from then on."""
        a = open("node1")
        a.rail.send(b"nobody is there")
        await until(lambda: a.rail.stats().up)
        a.rail.send(b"nobody is there")
        b = open("node2")
        await meet(a, b)
        a.rail.send(b"now")
        await b.until(lambda: bool(b.got))
        assert [("node1", b"now")] == b.got

    async def test_a_rail_can_be_closed_and_started_again(
        self, network: Network, open: Callable[[str], End]
    ) -> None:
        """After a close nothing arrives; the same rail started again works, and its counters have gone on."""
        a, b = open("node1"), open("node2")
        await meet(a, b)
        before = b.rail.stats()
        await b.rail.close()
        await b.rail.close()
        assert (False, 0, "closed") == (b.rail.stats().up, b.rail.stats().peers, b.rail.stats().reason)
        await until(lambda: a.rail.stats().peers == 0)
        a.rail.send(b"while it was closed")
        again = End(b.rail)
        await meet(a, again)
        a.rail.send(b"and again")
        await again.until(lambda: bool(again.got))
        assert ([], [("node1", b"and again")]) == (b.got, again.got)
        assert before.received < b.rail.stats().received
        assert 2 == b.rail.stats().opened

    async def test_what_was_sent_before_the_close_arrives(self, open: Callable[[str], End]) -> None:
        """A goodbye handed over just before the close still goes out."""
        a, b = open("node1"), open("node2")
        await meet(a, b)
        for number in range(50):
            a.rail.send(b"%d" % number)
        a.rail.send(b"goodbye")
        await a.rail.close()
        await b.until(lambda: b"goodbye" in b.payloads("node1"))
        assert 51 == len(b.got)

    async def test_deliver_is_called_on_the_thread_of_the_loop(self, open: Callable[[str], End]) -> None:
        """Whoever receives needs no lock."""
        a, b = open("node1"), open("node2")
        await meet(a, b)
        assert {threading.get_ident()} == a.threads | b.threads

    async def test_a_receiver_that_chokes_loses_one_message(self, open: Callable[[str], End]) -> None:
        """An exception of the receiver is told to the loop; the messages behind it arrive all the same."""
        a, b = open("node1"), open("node2")
        await meet(a, b)
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
        for payload in (b"one", b"bad", b"two"):
            a.rail.send(payload)
        await b.until(lambda: len(b.got) >= 2)
        assert [b"one", b"two"] == b.payloads("node1")
        assert ["a message that the receiver chokes on"] == [str(context["exception"]) for context in told]

    async def test_a_message_may_have_a_mebibyte(self, open: Callable[[str], End]) -> None:
        """The largest message arrives whole; a larger one is refused and counted, and the rail goes on."""
        a, b = open("node1"), open("node2")
        await meet(a, b)
        before = a.rail.stats().dropped_out
        largest = bytes(range(256)) * (MAX_MESSAGE_BYTES // 256)
        a.rail.send(largest + b"1")
        a.rail.send(largest)
        await b.until(lambda: bool(b.got))
        assert [("node1", largest)] == b.got
        assert 1 == a.rail.stats().dropped_out - before

    async def test_sending_never_raises(self, network: Network) -> None:
        """Before the start and after the close a message is dropped and counted."""
        rail = network.rail("node1")
        assert (False, "not started") == (rail.stats().up, rail.stats().reason)
        rail.send(b"too early")
        end = End(rail)
        await until(lambda: rail.stats().up)
        await rail.close()
        rail.send(b"too late", to="node2")
        assert (2, 0) == (rail.stats().dropped_out, rail.stats().sent)
        assert [] == end.got

    async def test_a_rail_starts_once(self, open: Callable[[str], End]) -> None:
        """Starting a rail that is started is an error of the caller."""
        end = open("node1")
        with pytest.raises(RailError, match="already"):
            end.rail.start(lambda _sender, _payload: None)

    async def test_stats_tell_what_happened(self, open: Callable[[str], End]) -> None:
        """Sent, received, bytes, who is connected and when each was last heard."""
        a, b = open("node1"), open("node2")
        start = asyncio.get_running_loop().time()
        await meet(a, b)
        before = b.rail.stats()
        a.rail.send(b"12345")
        await b.until(lambda: bool(b.got))
        after = b.rail.stats()
        assert before.received_bytes + 5 <= after.received_bytes
        assert (True, "", 1) == (after.up, after.reason, after.peers)
        assert 1 == len(after.links)
        assert {"node1"} == set(after.heard)
        assert start <= after.heard["node1"] <= asyncio.get_running_loop().time()
        assert 5 <= a.rail.stats().sent_bytes


def _all_accounted(end: End, count: int, before: int) -> bool:
    stats = end.rail.stats()
    return stats.sent + stats.dropped_out - before >= count
