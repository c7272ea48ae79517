"""The rail over Zenoh: the suite on real sessions over loopback, and what only a real network can do."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time

import pytest

from tests.forwarder.processes import Network, free_ports, peer_process
from tests.forwarder.suite import End, RailSuite, meet, until
from tocsin.core.errors import RailError
from tocsin.forwarder.zenoh import ZenohRail, left_behind

__all__ = ["peer_process"]  # a fixture


class TestZenohRail(RailSuite):
    @pytest.fixture
    def network(self) -> Network:
        return Network("node1", "node2", "node3")


@pytest.mark.parametrize(
    ("listen", "connect", "words"),
    [
        ("127.0.0.1:7447", [], "rail1: '127.0.0.1:7447' is not PROTOCOL/HOST:PORT"),
        ("carrier-pigeon/127.0.0.1:7447", [], "the protocol 'carrier-pigeon'"),
        ("tcp/127.0.0.1:7447", ["tcp/127.0.0.2"], "is not HOST:PORT"),
        ("tcp/127.0.0.1:7447", ["tcp/127.0.0.2:0"], "the port 0 is not between 1 and 65535"),
        ("tcp/300.0.0.1:7447", [], "is not an IPv4 address"),
    ],
)
def test_an_endpoint_that_cannot_be_read_is_refused(listen: str, connect: list[str], words: str) -> None:
    """A typing mistake is told at once, with the rail, the endpoint and what is expected."""
    with pytest.raises(RailError) as error:
        ZenohRail("rail1", cluster="test", node="node1", listen=listen, connect=connect)
    assert str(error.value).startswith("rail1: ")
    assert words in str(error.value)


def test_names_must_fit_into_a_key() -> None:
    """A cluster or node whose name would change the meaning of a key is refused."""
    for names in ({"cluster": "a/*", "node": "node1"}, {"cluster": "test", "node": "**"}):
        with pytest.raises(RailError, match="letters, digits"):
            ZenohRail("rail1", listen="tcp/127.0.0.1:7447", **names)


async def test_a_port_in_use_is_told_and_tried_again() -> None:
    """The rail says in words why it is not up, and goes up by itself once the port is free."""
    network = Network("node1", "node2")
    port = int(network.endpoints["node1"].rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        a = End(network.rail("node1"))
        await until(lambda: "the port is in use" in a.rail.stats().reason)
        assert network.endpoints["node1"] in a.rail.stats().reason
        a.rail.send(b"dropped")
        assert (False, 1) == (a.rail.stats().up, a.rail.stats().dropped_out)
    b = End(network.rail("node2"))
    await meet(a, b)
    assert ("", True) == (a.rail.stats().reason, a.rail.stats().up)
    await a.rail.close()
    await b.rail.close()


async def test_an_address_that_is_not_there_yet_does_not_stop_the_rest() -> None:
    """An interface that is not up yet: the rail says so, and closes at once when asked."""
    rail = ZenohRail("rail2", cluster="test", node="node1", listen="tcp/192.0.2.1:7447", connect=[])
    End(rail)
    await until(lambda: "does not have that address" in rail.stats().reason)
    start = time.monotonic()
    await rail.close()
    assert 0.5 > time.monotonic() - start


async def test_an_unknown_host_among_the_peers_disturbs_nobody() -> None:
    """A peer whose name cannot be resolved is tried again in the background; the others are connected."""
    network = Network("node1", "node2")
    a, b = End(network.rail("node1")), None
    odd = ["tcp/no-such-host.invalid:7447", network.endpoints["node1"]]
    b = End(ZenohRail("rail1", cluster="test", node="node2", listen=network.endpoints["node2"], connect=odd))
    await meet(a, b)
    await a.rail.close()
    await b.rail.close()


@pytest.mark.parametrize("accepting", [False, True])
async def test_a_peer_that_does_not_dial_back_is_dialled_until_it_is_there(accepting: bool) -> None:
    """Refused, or taken and hung up on as by a process that is just ending: the rail tries again soon."""
    port = free_ports(1)[0]
    two = f"tcp/127.0.0.1:{port}"
    dialled = asyncio.Event()

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dialled.set()
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", port if accepting else 0)
    a = End(ZenohRail("rail1", cluster="test", node="node1", listen="tcp/127.0.0.2:0", connect=[two]))
    await until(lambda: dialled.is_set() if accepting else a.rail.stats().up)
    server.close()
    await server.wait_closed()
    await asyncio.sleep(1)
    b = End(ZenohRail("rail1", cluster="test", node="node2", listen=two))
    await meet(a, b)
    assert (1, 1) == (a.rail.stats().opened, len(a.rail.stats().links))
    await a.rail.close()
    await b.rail.close()


async def looked_at(*ends: End) -> None:
    """Has rails look as an agent does."""
    while True:
        for end in ends:
            end.rail.look([], [], time.monotonic(), 1.0)
        await asyncio.sleep(0.05)


async def test_who_should_dial_and_does_not_is_dialled() -> None:
    """Node 1 is to be dialled by node 2, which does not know it: soon it dials itself, and goes on to."""
    one, two = (f"tcp/127.0.0.{number}:{free_ports(1)[0]}" for number in (1, 2))
    a = End(ZenohRail("rail1", cluster="test", node="node1", listen=one, connect=[two]))
    b = End(ZenohRail("rail1", cluster="test", node="node2", listen=two))
    looking = asyncio.create_task(looked_at(a))
    async with asyncio.timeout(20):
        await meet(a, b)
    assert 2 == a.rail.stats().opened
    await b.rail.close()
    await until(lambda: not a.rail.stats().peers)
    again = End(b.rail)
    await meet(a, again)
    assert 2 == a.rail.stats().opened
    looking.cancel()
    await a.rail.close()
    await b.rail.close()


async def test_of_two_that_know_each_other_one_dials() -> None:
    """The lists of both have both: there is one link, and no rail is opened twice."""
    network = Network("node1", "node2")
    a, b = End(network.rail("node1")), End(network.rail("node2"))
    looking = asyncio.create_task(looked_at(a, b))
    await meet(a, b)
    await asyncio.sleep(6)
    for end in (a, b):
        stats = end.rail.stats()
        assert (1, 1, 0) == (stats.opened, stats.peers, stats.reopened)
    dialled = [
        link for end in (a, b) for link in end.rail.stats().links if link in network.endpoints.values()
    ]
    assert 1 == len(dialled)
    looking.cancel()
    await a.rail.close()
    await b.rail.close()


async def test_clusters_on_one_network_do_not_hear_each_other() -> None:
    """The name of the cluster is part of every key."""
    network = Network("node1", "node2", "node3")
    a, b = End(network.rail("node1")), End(network.rail("node2"))
    other = End(network.rail("node3", cluster="other"))
    await meet(a, b)
    await until(lambda: other.rail.stats().peers == 2)
    a.rail.send(b"not for the others")
    await b.until(lambda: bool(b.got))
    assert ([], {}) == (other.got, dict(other.rail.stats().heard))
    for end in (a, b, other):
        await end.rail.close()


async def test_a_frozen_peer_delays_nobody(
    peer_process: tuple[Network, subprocess.Popen[bytes]],
) -> None:
    """A peer that takes nothing any more: sending stays instant, the queues bounded, the close quick."""
    network, process = peer_process
    a = End(network.rail("node1"))
    await a.hears("node2")
    os.kill(process.pid, signal.SIGSTOP)
    payload, slowest = bytes(60_000), 0.0
    for _ in range(300):
        start = time.monotonic()
        a.rail.send(payload)
        slowest = max(slowest, time.monotonic() - start)
        await asyncio.sleep(0.002)
    assert 0.1 > slowest
    await until(lambda: a.rail.stats().peers == 0)  # given up after the lease
    start = time.monotonic()
    await a.rail.close()
    assert 1.5 > time.monotonic() - start


@pytest.mark.parametrize("lingers", [False, True])
async def test_a_close_does_not_wait_for_a_peer_that_froze_just_now(
    peer_process: tuple[Network, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, lingers: bool
) -> None:
    """The engine ends at once; where it waits for the peer it is left behind, and that is said."""
    if lingers:
        monkeypatch.setattr("tocsin.forwarder.zenoh.close_at_once", len)
    network, process = peer_process
    a = End(network.rail("node1"))
    await a.hears("node2")
    await asyncio.sleep(0.5)
    os.kill(process.pid, signal.SIGSTOP)
    for _ in range(300):
        a.rail.send(bytes(60_000))
        await asyncio.sleep(0)
    start = time.monotonic()
    await a.rail.close()
    assert 1.5 > time.monotonic() - start
    assert lingers == left_behind()
    process.kill()
    await until(lambda: not left_behind())


async def test_a_killed_peer_is_noticed_at_once(
    peer_process: tuple[Network, subprocess.Popen[bytes]],
) -> None:
    """The kernel closes the links of a killed process; the rail counts one peer less without delay."""
    network, process = peer_process
    a = End(network.rail("node1"))
    await a.hears("node2")
    assert 1 == a.rail.stats().peers
    process.kill()
    await until(lambda: a.rail.stats().peers == 0, seconds=1)
    await a.rail.close()
