"""Agents as processes: they serve, stop in time, and say what keeps them from running."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.system.cluster import Cluster, until
from tests.system.netns import PUBLIC

pytestmark = pytest.mark.system


def test_an_event_reaches_every_node(cluster: Cluster) -> None:
    """What is published at node 1 is in the buffer of each node, once, with node 1 as its origin."""
    sequence = cluster.emit(1, "backup.finished", subject="/srv", data={"status": "ok", "summary": "done"})
    for node in (1, 2, 3):
        [event] = until(partial(cluster.events, node, on="backup.*"), what=f"at node{node}")
        assert ("node1", sequence, "/srv") == (event["origin"], event["sequence"], event["subject"])
        resource = cluster.resource(node, 1, "backup", "/srv")
        assert resource is not None
        assert ("ok", "done") == (resource["status"], resource["summary"])


def test_a_new_kind_is_told(cluster: Cluster) -> None:
    """The first resource of a kind of a publisher's own is told to all, so that pages can show it."""
    cluster.emit(2, "backup.began")
    for subject in ("a", "b"):
        cluster.emit(2, "backup.failed", subject=subject, data={"status": "failed"})
    cluster.emit(2, "test.end")

    for node in (1, 2, 3):
        until(partial(cluster.events, node, "test.end"), 10, f"node{node} has all")
        [told] = cluster.events(node, "agent.kind-added")
        assert ("node2", "backup") == (told["node"], told["subject"])


def test_an_agent_stops_in_time_and_its_port_is_free(cluster: Cluster) -> None:
    """SIGTERM ends an agent within two seconds, with the others told; it can be started again at once."""
    assert 2 > cluster.stop(2)
    until(lambda: cluster.events(1, on="node.left"), 20, "node2 has left")
    cluster.start(2)
    cluster.wait_ready(2)
    until(lambda: cluster.events(1, on="node.up"), 20, "node2 is back")


@pytest.mark.slow
@pytest.mark.parametrize("alone", [True, False], ids=["agent", "machine"])
def test_who_was_frozen_accuses_nobody(cluster: Cluster, alone: bool) -> None:
    """Frozen for longer than the lease a node is called down; thawed, it blames nobody for its own silence.

    With its machine, as a virtual one is, nothing waits in its sockets, and its network takes a moment, too.
    """
    for rail in cluster.net.rails if not alone else ():
        cluster.net.cut(2, rail)
    cluster.pause(2)
    time.sleep(8)
    cluster.resume(2)
    time.sleep(1)
    cluster.net.heal()
    for node in (1, 3):
        until(partial(cluster.events, node, "node.up@node2"), 20, f"node2 is back at node{node}")
    time.sleep(7)  # in which three announces would be missed and that be told
    at = {node: cluster.events(node, "rail.* node.*") for node in (1, 2, 3)}
    assert [] == [event for events in at.values() for event in events if event["type"] == "rail.down"]
    accused = {
        node: {(event["node"], event["origin"] == "node2") for event in events if _accuses(event)}
        for node, events in at.items()
    }
    assert {1: {("node2", False)}, 2: set(), 3: {("node2", False)}} == accused


def _accuses(event: dict[str, Any]) -> bool:
    return event["type"] in ("node.suspect", "node.down")


def test_an_agent_goes_on_without_its_rail(make_cluster: Callable[..., Cluster]) -> None:
    """A rail whose interface has no address yet does not stop the agent; it joins when the address comes."""
    cluster = make_cluster(nodes=2, rails=1)
    cluster.net.ip(2, "address del 10.99.1.2/24 dev rail1")
    cluster.start()
    cluster.wait_ready()
    assert "does not have that address" in cluster.log(2)
    assert 200 == cluster.get(2, "/livez").status_code
    cluster.net.ip(2, "address add 10.99.1.2/24 dev rail1")
    cluster.emit(1, "backup.finished")
    until(lambda: cluster.events(2, on="backup.*"), 10, "the event after the address came")


def test_a_port_in_use_is_told_and_ends_the_agent(make_cluster: Callable[..., Cluster]) -> None:
    """An agent whose HTTP port is taken says so in its last line and exits with code 1."""
    cluster = make_cluster(nodes=1, rails=1)
    address = cluster.net.address(1, PUBLIC)
    other = cluster.popen(
        ["python3", "-m", "http.server", "8340", "--bind", address],
        node=1,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: cluster.get(1, "/").status_code == 200 if _listens(cluster) else False)
    cluster.start(1)
    assert 1 == cluster.processes.pop(1).wait(10)
    assert address in cluster.log(1).splitlines()[-1]
    assert other.poll() is None


def _listens(cluster: Cluster) -> bool:
    command = cluster.net.command(1, ["ss", "-ltnH", "sport = :8340"])
    return bool(subprocess.run(command, capture_output=True, text=True).stdout)
