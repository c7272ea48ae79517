"""The main job, on three real agents in three network namespaces on two rails."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from tests.system.cluster import Cluster, until
from tests.tools.systemd_box import SystemdBox
from tests.tools.systemd_box import missing as missing_systemd

pytestmark = pytest.mark.system

OTHERS = (1, 3)
FAILING = "[Service]\nType=simple\nExecStart=/bin/sh -c 'sleep 0.3; exit 3'\n"


def sequences(cluster: Cluster, node: int, on: str) -> list[str]:
    """The sequences of the events of interest in a node's buffer, in order of their numbers."""
    return [event["sequence"] for event in cluster.events(node, on)]


def only(cluster: Cluster, node: int, on: str) -> dict[str, Any]:
    """The one event of interest that a node's buffer has: it must come, and come once."""
    until(lambda: cluster.events(node, on), 20, f"{on} at node{node}")
    [event] = cluster.events(node, on)
    return event


def wait_for(cluster: Cluster, node: int, on: str, after: str, seconds: float) -> list[dict[str, Any]]:
    """Waits for events of interest in a node's buffer; returns them."""
    found = until(lambda: cluster.events(node, on, after), seconds, f"{on} at node{node}")
    return list(found)


def wait_for_last(cluster: Cluster, node: int, sent: list[str]) -> None:
    """Waits until a node's buffer has the last of what was sent."""
    until(lambda: sequences(cluster, node, "test.tick")[-1:] == sent[-1:], 20, f"all at node{node}")


@contextmanager
def publishing(cluster: Cluster, node: int, a_second: int) -> Iterator[list[str]]:
    """Publishes at a steady rate until the block ends; gives the sequences."""
    sent: list[str] = []
    stop = threading.Event()
    numbers = itertools.count(1)
    period = 0.02

    def work() -> None:
        next_at = time.monotonic()
        while not stop.is_set():
            many = max(1, round(a_second * period))
            sent.extend(cluster.emit_all(node, [{"type": "test.tick", "subject": f"{next(numbers)}"}] * many))
            next_at += period
            stop.wait(max(0.0, next_at - time.monotonic()))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()


def _failed(cluster: Cluster, node: int, kind: str, subject: str) -> bool:
    """Whether something of node 2 is shown as failed by a node."""
    shown = cluster.resource(node, 2, kind, subject)
    return shown is not None and shown["status"] == "failed"


def test_a_link_goes_down_and_every_node_knows(make_cluster: Callable[..., Cluster]) -> None:
    """Started in any order; a real link of node 2 goes down: nodes 1 and 3 are told once and show it."""
    cluster = make_cluster()
    for node in (2, 3, 1):
        cluster.net.add_veth(node, "eth7")
        cluster.start(node)
        time.sleep(0.2)
    cluster.wait_ready()
    until(lambda: cluster.resource(1, 2, "adapter", "eth7"), 20, "node1 knows eth7 of node2")
    cluster.net.link_down(2, "eth7")

    for node in OTHERS:
        event = only(cluster, node, "adapter.down@node2")
        assert ("node2", "eth7") == (event["origin"], event["subject"])
        # A section that was late when this node joined is in doubt until it has come.
        until(partial(_failed, cluster, node, "adapter", "eth7"), 20, f"the board of node{node} says so")
    time.sleep(1)
    assert 1 == len(cluster.events(1, "adapter.down@node2"))


def test_a_unit_of_a_real_systemd_fails_and_every_node_knows(make_cluster: Callable[..., Cluster]) -> None:
    """A unit of node 2's systemd fails: service.failed reaches nodes 1 and 3 once, and their boards."""
    if missing_systemd():
        pytest.skip(missing_systemd())
    cluster = make_cluster()
    with SystemdBox({"search.service": FAILING}) as box:
        cluster.start(1, 3)
        cluster.start(2, environment={"DBUS_SYSTEM_BUS_ADDRESS": box.address})
        cluster.wait_ready()
        box.systemctl("start", "search.service")

        for node in OTHERS:
            event = only(cluster, node, "service.failed:search.service")
            assert "node2" == event["origin"]
            shown = partial(_failed, cluster, node, "service", "search.service")
            until(shown, 20, f"the board of node{node} says so")


def test_each_rail_is_cut_in_turn_and_nothing_is_lost(cluster: Cluster) -> None:
    """Rail 1 of node 2 is cut under 500 events/s, then rail 2: nodes 2 and 3 have all, once, in order."""
    with publishing(cluster, 1, 500) as sent:
        for rail in (1, 2):
            time.sleep(1)
            cluster.net.cut(2, rail)
            time.sleep(3)
            cluster.net.heal()
            time.sleep(1.5)

    for node in (1, 2, 3):
        wait_for_last(cluster, node, sent)
        assert sent == sequences(cluster, node, "test.tick")
    assert len(sent) > 3000


def test_both_rails_cut_for_ten_seconds_and_healed(cluster: Cluster) -> None:
    """No rail is left to node 2 for 10 s under 200 events/s: after the heal it has all, in order, no gap."""
    with publishing(cluster, 1, 200) as sent:
        time.sleep(0.5)
        cluster.net.cut(2, 1)
        cluster.net.cut(2, 2)
        time.sleep(10)
        cluster.net.heal()
        time.sleep(1)

    wait_for_last(cluster, 2, sent)
    assert sent == sequences(cluster, 2, "test.tick") == sequences(cluster, 3, "test.tick")


def test_kill_and_restart_are_told_once(make_cluster: Callable[..., Cluster]) -> None:
    """A kill -9: node.down once on each survivor in time; restart: node.up once, nothing again, no gap."""
    cluster = make_cluster(settings={"cluster": {"down_after": 3, "nodes": ["node1", "node2", "node3"]}})
    cluster.start()
    cluster.wait_ready()
    for node in OTHERS:
        wait_for(cluster, node, "node.joined@node2", "0", 20)
    cluster.emit(2, "test.before")
    for node in OTHERS:
        wait_for(cluster, node, "test.before", "0", 20)
    cursors = {node: cluster.get(node, "/api/v1/events").json()["cursor"] for node in OTHERS}
    cluster.kill(2)
    killed = time.monotonic()
    for node in OTHERS:
        wait_for(cluster, node, "node.down@node2", cursors[node], 8)
    assert time.monotonic() - killed < 3 + 2 + 1  # announce period, rank, and what asking takes here
    cluster.start(2)
    cluster.wait_ready(2)

    for node in OTHERS:
        only_up = wait_for(cluster, node, "node.up@node2", cursors[node], 20)
        assert 1 == len(only_up)
    time.sleep(2)
    for node in OTHERS:
        told = cluster.events(node, "", cursors[node])  # 200 or 204 on every page: no gap
        types = [event["type"] for event in told if event["node"] == "node2" and event["type"][:5] == "node."]
        assert (1, 1) == (types.count("node.down"), types.count("node.up")), types
        identities = [(event["origin"], event["sequence"]) for event in told]
        assert len(identities) == len(set(identities))
        assert not [event for event in told if event["type"] == "test.before"]


def test_a_node_that_never_starts_is_shown_as_missing(make_cluster: Callable[..., Cluster]) -> None:
    """A node of the configuration that never comes is on the board, not up: '2 of 3 up'."""
    cluster = make_cluster(settings={"cluster": {"down_after": 3, "nodes": ["node1", "node2", "node3"]}})
    cluster.start(1, 2)
    cluster.wait_ready()
    states = {r["subject"]: r["attributes"]["state"] for r in cluster.board(1) if r["kind"] == "node"}
    assert "node3" in states
    assert "up" != states["node3"]
    only(cluster, 1, "node.down@node3")

    banner = cluster.get(1, "/frame/banner").text
    assert "of 3 up" in banner


def test_a_partition_longer_than_the_retention(make_cluster: Callable[..., Cluster]) -> None:
    """Both rails of node 2 cut for more than 2 T: after the heal a gap is told, and the board is right."""
    cluster = make_cluster(settings={"buffer": {"retain": 3}})
    cluster.start()
    cluster.wait_ready()
    cluster.emit(1, "web.changed", subject="shop", data={"status": "ok", "summary": "runs"})
    until(lambda: cluster.resource(2, 1, "web", "shop"), 20, "shop on the board of node2")
    cursor = cluster.get(2, "/api/v1/events").json()["cursor"]
    cluster.net.cut(2, 1)
    cluster.net.cut(2, 2)
    time.sleep(0.5)
    cluster.emit(1, "web.changed", subject="shop", data={"status": "failed", "summary": "is broken"})
    for _ in range(8):
        # A reader that keeps polling meanwhile is not told of anything that was not.
        answer = cluster.get(2, "/api/v1/events", params={"after": cursor})
        assert answer.status_code in (200, 204)
        cursor = answer.headers["Tocsin-Cursor"]
        time.sleep(1)
    cluster.net.heal()

    def gap() -> dict[str, Any] | None:
        nonlocal cursor
        answer = cluster.get(2, "/api/v1/events", params={"after": cursor})
        if answer.status_code == 410:
            return dict(answer.json())
        cursor = answer.headers["Tocsin-Cursor"]
        return None

    problem = until(gap, 10, "a gap is told")
    assert "replica" == problem["reason"]
    assert "node1" in problem["lost"]
    shown = cluster.resource(2, 1, "web", "shop")
    assert shown is not None
    assert "failed" == shown["status"]
    after = cluster.get(2, "/api/v1/events", params={"after": problem["cursor"]})
    assert after.status_code in (200, 204)


def test_a_cut_rail_is_told_once_by_each_node_it_concerns(cluster: Cluster) -> None:
    """Rail 1 of node 2 is cut: node 2 says once that it reaches nobody, the others that it misses node 2."""
    cluster.net.cut(2, 1)
    for node in OTHERS:
        assert "rail1" == only(cluster, node, "rail.down@node2")["subject"]
    until(
        lambda: cluster.resource(1, 20, "rail", "rail1:node2") or cluster.resource(1, 3, "rail", "rail1"), 20
    )
    shown = cluster.resource(1, 2, "rail", "rail1")
    assert shown is not None
    assert "failed" == shown["status"]
    cluster.net.heal()
    until(lambda: cluster.resource(1, 2, "rail", "rail1")["status"] == "ok", 10, "rail1 of node2 is up")  # type: ignore[index]
    until(lambda: not [r for r in cluster.board(3) if r["kind"] == "rail" and r["status"] != "ok"], 10)
    assert not cluster.events(1, "node.*@node2 node.suspect")[1:]
