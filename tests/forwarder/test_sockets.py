"""The close of a link does not wait for a peer that takes nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from pathlib import Path

import psutil

from tests.forwarder.processes import Network
from tests.forwarder.suite import End, meet
from tocsin.forwarder.sockets import close_at_once

OPEN = Path("/proc/self/fd")
LINGER = struct.pack("ii", 1, 10)


def lingers(sock: socket.socket) -> bool:
    """Whether the close of a socket waits."""
    on, _ = struct.unpack("ii", sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
    return bool(on)


def name(address: tuple[str, int]) -> str:
    """An address as the engine writes it."""
    return f"tcp/{address[0]}:{address[1]}"


def test_only_the_links_that_were_named_are_touched() -> None:
    """Two connections with data that nobody takes: the named one closes at once, the other one as before."""
    pairs = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(2):
            here = socket.create_connection(server.getsockname())
            here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            pairs.append((here, server.accept()[0]))
        (one, _), (two, _) = pairs
        assert 1 == close_at_once({(name(one.getsockname()), name(one.getpeername()))})
        assert (False, True) == (lingers(one), lingers(two))
        two.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
        for here, there in pairs:
            here.close()
            there.close()


def test_files_and_other_sockets_do_not_matter() -> None:
    """Whatever else a process has open is left alone, and nothing is left open."""
    before = len(list(OPEN.iterdir()))
    with socket.socket() as fresh, socket.create_server(("127.0.0.1", 0)) as server, Path(__file__).open():
        assert 0 == close_at_once({(name(server.getsockname()), "tcp/127.0.0.1:1")})
        assert not lingers(fresh)
    assert before == len(list(OPEN.iterdir()))


def test_ipv6_is_written_with_brackets() -> None:
    """As the engine writes it."""
    if not socket.has_ipv6:
        return
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as server,
        socket.create_connection(server.getsockname()[:2]) as here,
        server.accept()[0],
    ):
        ends = f"tcp/[::1]:{here.getsockname()[1]}", f"tcp/[::1]:{here.getpeername()[1]}"
        assert 1 == close_at_once({ends})


async def test_no_link_of_a_rail_lingers() -> None:
    """Soon after two nodes have met, both ends of their link are set so."""
    network = Network("node1", "node2")
    ports = {int(endpoint.rpartition(":")[2]) for endpoint in network.endpoints.values()}
    a, b = End(network.rail("node1")), End(network.rail("node2"))
    await meet(a, b)
    end = time.monotonic() + 5
    while len(found := _links(ports)) < 2 or any(found):
        assert time.monotonic() < end, found
        await asyncio.sleep(0.05)
    await a.rail.close()
    await b.rail.close()


def _links(ports: set[int]) -> list[bool]:
    """Of each of this process's connections from or to these ports, whether its close waits."""
    found = []
    for each in psutil.Process().net_connections("tcp4"):
        if each.status == psutil.CONN_ESTABLISHED and {each.laddr.port, each.raddr.port} & ports:
            with socket.socket(fileno=os.dup(each.fd)) as sock:
                found.append(lingers(sock))
    return found
