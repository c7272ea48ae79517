"""For tests of the rail over Zenoh: a network on loopback, and a peer in a process of its own."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tocsin.forwarder.zenoh import ZenohRail

__all__ = ["Network", "free_ports", "peer_process"]


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Network:
    """Rails of nodes on loopback that know each other's ports."""

    def __init__(self, *nodes: str) -> None:
        ports = free_ports(len(nodes))
        self.endpoints = {node: f"tcp/127.0.0.1:{port}" for node, port in zip(nodes, ports, strict=True)}

    def rail(self, node: str, cluster: str = "test") -> ZenohRail:
        """The rail of a node, not started yet."""
        # Every node gets the same list: its own address in it does no harm.
        connect = list(self.endpoints.values())
        return ZenohRail("rail1", cluster=cluster, node=node, listen=self.endpoints[node], connect=connect)


_PEER = """
import asyncio, sys
from tocsin.forwarder.zenoh import ZenohRail

async def main():
    rail = ZenohRail("rail1", cluster="test", node="node2", listen=sys.argv[1], connect=[sys.argv[2]])
    rail.start(lambda sender, payload: None)
    while True:
        rail.send(b"hello")
        await asyncio.sleep(0.02)

asyncio.run(main())
"""


@pytest.fixture
def peer_process() -> Iterator[tuple[Network, subprocess.Popen[bytes]]]:
    """A peer in a process of its own, which can be frozen and killed."""
    network = Network("node1", "node2")
    process = subprocess.Popen(
        [sys.executable, "-c", _PEER, network.endpoints["node2"], network.endpoints["node1"]]
    )
    yield network, process
    process.kill()
    process.wait()
