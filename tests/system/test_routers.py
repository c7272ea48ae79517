"""Rails through routers (docs/scale.md): six agents behind three, on two rails; a router dies, or freezes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from tests.system.cluster import Cluster, until
from tests.system.netns import missing
from tests.system.test_cluster import sequences

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]

ROUTERS: Final = (1, 2, 3)
CLIENTS: Final = (4, 5, 6, 7, 8, 9)
_PORT: Final = 7447
#: Seconds that a router is frozen: more than the lease of a link (2 s), more than until it counts as down.
FROZEN: Final = (4.0, 9.0)
DOWN: Final = 5.0


class Routed(Cluster):
    """Nodes 1 to 3 are routers on both rails, the others their clients, each on every rail of another one."""

    def _rail(self, node: int, rail: int) -> dict[str, Any]:
        routers = {each: f"tcp/{self.net.address(each, rail)}:{_PORT}" for each in ROUTERS}
        if node in ROUTERS:
            others = [end for each, end in routers.items() if each != node]
            return {"mode": "router", "listen": routers[node], "connect": others}
        first = (node + rail) % len(ROUTERS)
        order = [*list(routers.values())[first:], *list(routers.values())[:first]]
        return {"mode": "client", "listen": f"tcp/{self.net.address(node, rail)}:0", "connect": order}


@pytest.fixture
def routed(tmp_path: Path) -> Iterator[Routed]:
    """All started, and up in each other's eyes."""
    quiet = {"generators": {"disabled": ["adapters", "services", "storage", "load"]}}
    cluster = Routed(tmp_path, nodes=len(ROUTERS + CLIENTS), settings=quiet)
    try:
        cluster.start()
        cluster.wait_ready(seconds=150)
        cluster.wait_together(seconds=90)
        yield cluster
    finally:
        print(cluster.logs(20))
        cluster.close()


def metric(cluster: Cluster, node: int, name: str) -> dict[str, float]:
    """The values of a metric of a node, by its labels."""
    lines = cluster.get(node, "/metrics").text.splitlines()
    found = (line.rpartition(" ") for line in lines if line.startswith(f"tocsin_{name}{{"))
    return {labels.partition("{")[2]: float(value) for labels, _, value in found}


def publish(cluster: Cluster, sent: dict[int, list[str]], rounds: int) -> None:
    """Every client publishes an event in each round."""
    for _ in range(rounds):
        for node, sequences_of_node in sent.items():
            sequences_of_node.append(cluster.emit(node, "test.event"))


def everywhere(cluster: Cluster, start: dict[int, str], sent: dict[int, list[str]]) -> Callable[[], bool]:
    """Whether every buffer has as many events of each as were sent; then they must be the same, in order.

    ``start``: the cursors of all nodes before that; a gap after them is a failure.
    """

    def complete() -> bool:
        for node, cursor in start.items():
            events = cluster.events(node, "test.event", cursor)
            if len(events) < sum(map(len, sent.values())):
                return False
            for origin, expected in sent.items():
                got = [event["sequence"] for event in events if event["origin"] == f"node{origin}"]
                assert got == expected, f"of node{origin} at node{node}"
        return True

    return complete


def test_a_router_dies_and_nothing_is_lost(routed: Routed) -> None:
    """Before, during and after: each event once and in order everywhere, and no rail is opened again."""
    assert all(
        metric(routed, node, "rail_peers") == {'rail="rail1"}': 1, 'rail="rail2"}': 1} for node in CLIENTS
    )
    start = {node: str(routed.get(node, "/api/v1/events").json()["cursor"]) for node in ROUTERS + CLIENTS}
    sent: dict[int, list[str]] = {node: [] for node in CLIENTS}
    publish(routed, sent, 5)
    until(everywhere(routed, start, sent), 60, "all events at all nodes")

    routed.kill(1)
    publish(routed, sent, 10)
    del start[1]
    until(everywhere(routed, start, sent), 60, "all events at all nodes that live")
    until(lambda: routed.resource(9, 1, "node", "node1")["status"] == "failed", 60, "node1 counts as down")  # type: ignore[index]
    publish(routed, sent, 5)
    until(everywhere(routed, start, sent), 60, "all events after that")
    for node in start:
        reopened = metric(routed, node, "rail_reopened_total")
        assert {0.0} == set(reopened.values()), f"node{node}"
    for node in CLIENTS:
        assert 1 == len(sequences(routed, node, "node.down@node1")), f"node{node} is told once"


@pytest.mark.faults
def test_a_router_is_frozen_and_goes_on_and_nothing_is_lost(routed: Routed) -> None:
    """Longer than its links' lease, then until it counts as down: each event once and in order everywhere.

    Meanwhile all others lack nothing; when it goes on, it gets what it has missed, and is told as up again.
    """
    start = {node: str(routed.get(node, "/api/v1/events").json()["cursor"]) for node in ROUTERS + CLIENTS}
    others = {node: cursor for node, cursor in start.items() if node != 1}
    sent: dict[int, list[str]] = {node: [] for node in start}
    publish(routed, sent, 3)
    until(everywhere(routed, start, sent), 60, "all events at all nodes")
    beside = {node: sequences_of_node for node, sequences_of_node in sent.items() if node != 1}
    for seconds in FROZEN:
        routed.pause(1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            publish(routed, beside, 1)
        until(everywhere(routed, others, sent), 60, "all events at all nodes that are not frozen")
        if seconds > DOWN:
            until(lambda: _state(routed, 9) == "down", 60, "node1 counts as down")
        routed.resume(1)
        publish(routed, beside, 3)
        until(everywhere(routed, start, sent), 60, "all events at all nodes, also at the one that was frozen")
        until(lambda: all(_state(routed, node) == "up" for node in others), 60, "node1 counts as up")
        publish(routed, sent, 3)
        until(everywhere(routed, start, sent), 60, "all events after that")
    for node in start:
        assert 0 == routed.counted(node, "events_lost_total"), f"node{node}"
    for node in CLIENTS:
        # The first time it may have been frozen for long enough to count as down, on a busy machine.
        told = [_change(event) for event in routed.events(node, "node.*@node1", start[node])]
        assert told[-1] == ("node.up", ""), (node, told)
        assert ("node.down", "") in told, (node, told)
        assert all(one != next_ for one, next_ in pairwise(told)), f"node{node} is told once: {told}"
        assert metric(routed, node, "rail_peers") == {'rail="rail1"}': 1, 'rail="rail2"}': 1}, f"node{node}"


def _change(event: dict[str, Any]) -> tuple[str, str]:
    """What is told of a node; "suspect" has two meanings: nobody hears it, or some do not."""
    return event["type"], event["data"]["attributes"].get("path", "")


def _state(routed: Routed, at: int) -> str:
    shown = routed.resource(at, 1, "node", "node1")
    return str(shown["attributes"].get("state")) if shown else ""
