"""Rails that go through routers: the suite on clients of two routers, and what happens when a router dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.forwarder.processes import free_ports
from tests.forwarder.suite import End, RailSuite, meet, until
from tocsin.core.errors import RailError
from tocsin.forwarder.zenoh import ZenohRail


def rail(node: str, mode: str, listen: str = "", connect: tuple[str, ...] = ()) -> ZenohRail:
    """A rail that has not been started."""
    return ZenohRail("rail1", cluster="test", node=node, listen=listen, connect=connect, mode=mode)


class Calm(End):
    """Of a router: no message makes it choke, as one makes those that are tested."""

    def _deliver(self, sender: str, payload: bytes) -> None:
        super()._deliver(sender, payload.replace(b"bad", b""))


class Routed:
    """Clients of two routers; each begins with another one."""

    def __init__(self) -> None:
        one, two = (f"tcp/127.0.0.1:{port}" for port in free_ports(2))
        self.routers = {
            "router1": rail("router1", "router", one),
            "router2": rail("router2", "router", two, (one,)),
        }
        self.ends = {name: Calm(router) for name, router in self.routers.items()}
        self._orders = {"node1": (one, two), "node2": (two, one), "node3": (one, two)}

    def rail(self, node: str) -> ZenohRail:
        """A client that has not been started."""
        return rail(node, "client", connect=self._orders[node])

    async def close(self) -> None:
        """Ends the routers."""
        for router in self.routers.values():
            await router.close()


@pytest.fixture
async def routed() -> AsyncIterator[Routed]:
    """Two routers."""
    routed = Routed()
    await meet(*routed.ends.values())
    yield routed
    await routed.close()


class TestRoutedRail(RailSuite):
    @pytest.fixture
    def network(self, routed: Routed) -> Routed:
        return routed

    async def test_a_rail_can_be_closed_and_started_again(
        self, network: Any, open: Callable[[str], End]
    ) -> None:
        """As for peers, but for the other's link: that is one to its router, and stays."""
        a, b = open("node1"), open("node2")
        await meet(a, b)
        await b.rail.close()
        assert (False, 0, "closed") == (b.rail.stats().up, b.rail.stats().peers, b.rail.stats().reason)
        a.rail.send(b"while it was closed")
        again = End(b.rail)
        await meet(a, again)
        a.rail.send(b"and again")
        await again.until(lambda: bool(again.got))
        assert ([], [("node1", b"and again")]) == (b.got, again.got)
        assert (1, 2) == (a.rail.stats().peers, b.rail.stats().opened)


async def test_clients_have_one_link_and_routers_hear_them_too(routed: Routed) -> None:
    """What a client sends reaches those behind its router, behind another one, and the routers themselves."""
    ends = [End(routed.rail(f"node{number}")) for number in (1, 2, 3)]
    await meet(*ends, *routed.ends.values())
    assert [1, 1, 1] == [end.rail.stats().peers for end in ends]
    for end in ends:
        await end.rail.close()


async def test_a_client_goes_to_another_router_when_its_own_dies(routed: Routed) -> None:
    """The engine does that itself: nobody opens a session again."""
    a, b = End(routed.rail("node1")), End(routed.rail("node2"))
    await meet(a, b)
    await routed.routers["router1"].close()
    a.got.clear()
    await meet(a, b)
    assert (1, 1) == (a.rail.stats().opened, b.rail.stats().opened)
    for end in (a, b):
        await end.rail.close()


async def test_a_client_waits_for_a_router_and_says_so() -> None:
    """Without a router the rail is not up; it goes up by itself when there is one."""
    [port] = free_ports(1)
    router = f"tcp/127.0.0.1:{port}"
    client = rail("node1", "client", connect=(router,))
    a = End(client)
    await until(lambda: f"cannot open a link to {router}" in client.stats().reason)
    b = End(rail("node2", "router", router))
    await meet(a, b)
    for end in (a, b):
        await end.rail.close()


async def test_a_client_of_a_router_that_hangs_tries_another_one_first(routed: Routed) -> None:
    """It is cut off from all peers though its link is there: it opens its session anew, elsewhere."""
    client = routed.rail("node1")
    a, b = End(client), End(routed.rail("node2"))
    await meet(a, b)
    before = client.stats().links
    now, seconds = asyncio.get_running_loop().time(), 0.0
    await b.rail.close()  # lives on, as this node is told: on another rail, then
    while not client.stats().reopened:
        seconds += 0.25
        client.look(["node2"], ["node2"], now + seconds, 1.0)
        assert 30 > seconds
    b = End(routed.rail("node2"))
    await meet(a, b)
    assert before != client.stats().links
    for end in (a, b):
        await end.rail.close()


def test_a_router_needs_an_address_and_a_client_none() -> None:
    """Only a client can do without an endpoint of its own."""
    with pytest.raises(RailError, match="is not PROTOCOL/HOST:PORT"):
        rail("node1", "router")
    rail("node1", "client", connect=("tcp/127.0.0.1:7447",))
    rail("node1", "client", "tcp/127.0.0.1:0", connect=("tcp/127.0.0.1:7447",))
