"""The rail in memory: the suite, and the faults that only it can order."""

from __future__ import annotations

import pytest

from tests.forwarder.suite import End, RailSuite, meet
from tocsin.core.errors import RailError
from tocsin.forwarder.memory import MemoryHub, MemoryRail


class _Network:
    def __init__(self) -> None:
        self.hub = MemoryHub()

    def rail(self, node: str) -> MemoryRail:
        return MemoryRail(self.hub, node)


class TestMemoryRail(RailSuite):
    @pytest.fixture
    def network(self) -> _Network:
        return _Network()


async def test_a_cut_goes_both_ways_until_it_is_healed() -> None:
    """Two nodes that are cut off do not hear each other, others do; what was lost stays lost."""
    hub = MemoryHub("rail2")
    a, b, c = (End(MemoryRail(hub, node)) for node in ("node1", "node2", "node3"))
    await meet(a, b, c)
    hub.cut("node1", "node2")
    a.rail.send(b"cut")
    b.rail.send(b"cut")
    await c.until(lambda: len(c.got) == 2)
    assert ("rail2", 1, 2) == (a.rail.name, a.rail.stats().peers, c.rail.stats().peers)
    hub.heal()
    a.rail.send(b"healed")
    await b.until(lambda: bool(b.got))
    assert ([], [("node1", b"healed")]) == (a.got, b.got)


async def test_a_cut_may_be_one_way_and_from_all() -> None:
    """A node that nobody hears still hears; a peer counts as connected only if both directions work."""
    hub = MemoryHub()
    a, b = (End(MemoryRail(hub, node)) for node in ("node1", "node2"))
    await meet(a, b)
    hub.cut("node1", one_way=True)
    a.rail.send(b"lost")
    b.rail.send(b"heard")
    await a.until(lambda: bool(a.got))
    assert ([("node2", b"heard")], [], 0) == (a.got, b.got, a.rail.stats().peers)


async def test_a_name_is_on_a_rail_once() -> None:
    """A second rail of the same name is refused, and so is a name that could not stand in a key."""
    hub = MemoryHub()
    End(MemoryRail(hub, "node1"))
    with pytest.raises(RailError, match="node1 is on this rail already"):
        MemoryRail(hub, "node1").start(lambda _sender, _payload: None)
    with pytest.raises(RailError, match=r"'a/b', cannot be used on a rail"):
        MemoryRail(hub, "a/b")


async def test_the_inbox_is_bounded_in_messages_and_bytes() -> None:
    """A receiver whose loop does not run keeps as much as its limits say, and counts the rest."""
    hub = MemoryHub()
    a = End(MemoryRail(hub, "node1"))
    b = End(MemoryRail(hub, "node2", max_messages=3))
    c = End(MemoryRail(hub, "node3", max_bytes=25))
    for number in range(5):
        a.rail.send(b"message %d" % number + b"." * (number == 4))
    await b.until(lambda: len(b.got) == 3)
    await c.until(lambda: len(c.got) == 2)
    assert (2, 3) == (b.rail.stats().dropped_in, c.rail.stats().dropped_in)
    assert [b"message 0", b"message 1"] == c.payloads("node1")


async def test_a_rail_that_hangs_is_opened_again() -> None:
    """Its links are there, nothing passes: echoes tell, and a new engine carries again."""
    hub = MemoryHub()
    a, b = (End(MemoryRail(hub, node)) for node in ("node1", "node2"))
    await meet(a, b)
    now = a.rail.stats().heard["node2"]
    for _ in range(10):
        now += 0.25
        a.rail.look(["node2"], ["node2"], now, 1.0)
    assert {"node2": 0.0} == a.rail.stats().round_trips
    hub.hang("node1")
    a.rail.send(b"lost")
    assert 1 == a.rail.stats().peers
    for _ in range(40):
        now += 0.25
        a.rail.look(["node2"], ["node2"], now, 1.0)
    stats = a.rail.stats()
    assert (1, 2, 4) == (stats.reopened, stats.opened, stats.echoes_lost)
    a.rail.send(b"carried")
    await b.until(lambda: bool(b.got))
    assert [("node1", b"carried")] == b.got
    await a.rail.close()
    a.rail.look(["node2"], ["node2"], now, 1.0)
