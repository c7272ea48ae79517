"""Buffers at chosen nodes, or of chosen nodes only: readers go where the events are, and miss nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.system.cluster import Cluster, until
from tests.system.test_browser import FLAGS, LIVE
from tests.system.test_failover import Tail, settled

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

NO_BUFFER = {"buffer": {"enabled": False}}
Make = Callable[..., Cluster]


def started(make_cluster: Make, third: dict[str, Any]) -> Cluster:
    """Three nodes of which the third has other settings, up in each other's eyes."""
    cluster = make_cluster()
    cluster.start(1, 2)
    cluster.start(3, settings=third)
    cluster.wait_ready(seconds=60)
    cluster.wait_together(seconds=60)
    return cluster


def polled(cluster: Cluster, node: int) -> bool:
    """Whether a feed has answered anybody."""
    lines = cluster.get(node, "/metrics").text.splitlines()
    return any(line.startswith("tocsin_feed_answers") and not line.endswith(" 0") for line in lines)


def test_a_node_without_a_buffer(make_cluster: Make) -> None:
    """It publishes and shows the whole cluster; its readers go on elsewhere, also when that node dies."""
    cluster = started(make_cluster, NO_BUFFER)
    named = {f"node{node}": cluster.url(node) for node in (1, 2)}
    until(lambda: cluster.get(3, "/api/v1/events").json().get("nodes") == named, 60, "both are named")
    assert cluster.get(3, "/api/v1/events").status_code == 421

    tail = Tail(cluster, 3)  # knows no other node
    until(lambda: any(polled(cluster, node) for node in (1, 2)), 60, "the monitor was sent on")
    sent = [
        cluster.emit(node, "test.event", data={"status": "ok"}, subject=f"{node}") for node in (1, 2, 3, 3)
    ]
    until(lambda: len(tail.told) >= len(sent), 60, "all have been told")
    assert sorted(sent) == sorted(tail.told)

    # Cut off it still holds what it published: the others fetch it.
    for rail in cluster.net.rails:
        cluster.net.cut(3, rail)
    sent += [cluster.emit(3, "test.event", subject=f"alone {number}") for number in range(100)]
    cluster.net.heal()
    until(lambda: len(tail.told) >= len(sent), 60, "what was published while it was cut off")
    assert sent[4:] == tail.told[4:]

    cluster.kill(1)
    later = [cluster.emit(3, "test.event", subject="after the kill") for _ in range(5)]
    until(lambda: len(tail.told) >= len(sent + later), 60, "the monitor has gone to the other node")
    assert later == tail.told[len(sent) :]
    cluster.start(1)
    cluster.stop(3)
    cluster.start(3, settings=NO_BUFFER)
    cluster.wait_ready(1, 3, seconds=60)
    cluster.wait_together(seconds=60)
    latest = cluster.emit(3, "test.event", subject="after its restart")
    until(lambda: latest in tail.told, 60, "an event of the restarted node")
    assert (sorted([*sent, *later, latest]), []) == (sorted(tail.told), tail.gaps)
    at = {node: cluster.resource(node, 1, "test", "1") for node in (1, 2, 3)}
    assert all(resource is not None for resource in at.values()), at


def test_a_buffer_of_some_nodes(make_cluster: Make) -> None:
    """It serves who wants only these, and sends on who may want others; its board is complete."""
    cluster = started(make_cluster, {"buffer": {"nodes": ["node1", "node3"]}})
    within = Tail(cluster, 3, 2, on="test.event@node1")
    until(lambda: polled(cluster, 3), 60, "the one reads")
    beyond = Tail(cluster, 3)
    until(lambda: any(polled(cluster, node) for node in (1, 2)), 60, "the other one, too")

    sent = {
        node: [cluster.emit(node, "test.event", data={"status": "ok"}) for _ in range(3)]
        for node in (1, 2, 3)
    }
    until(lambda: len(beyond.told) >= 9, 60, "all of all nodes")
    settled(within, sent[1], "of node1 only")
    assert sorted(beyond.told) == sorted([*sent[1], *sent[2], *sent[3]])
    answer = cluster.get(3, "/api/v1/events", params={"after": "0", "on": "test.event@node1"})
    assert answer.json()["window"]["origins"] == ["node1", "node3"]
    assert set(answer.json()["seen"]) == {"node1", "node3"}
    assert cluster.resource(3, 2, "test", "") is not None

    position = cluster.get(1, "/api/v1/events").json()
    body = {"after": position["cursor"], "seen": position["seen"]}
    there = cluster.request("POST", 3, "/api/v1/events/resume", json=body)
    assert (there.status_code, set(there.json()["nodes"])) == (421, {"node1", "node2"})

    cluster.kill(3)  # who was served by it goes on at a node that has all, and is told nothing twice
    sent[1] += [cluster.emit(1, "test.event") for _ in range(3)]
    settled(within, sent[1], "after the kill of the node with the part")
    assert (within.gaps, beyond.gaps) == ([], [])


@pytest.mark.browser
def test_a_page_at_a_node_without_a_buffer(make_cluster: Make) -> None:
    """It is live by the feed of another node, and goes to the other one when that dies."""
    cluster = started(make_cluster, NO_BUFFER)
    with sync_playwright() as playwright:
        chromium = str(cluster.script("/usr/bin/chromium"))
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        page.goto(f"{cluster.url(3)}/other")
        page.wait_for_function(LIVE)
        for number, kill in ((1, 1), (2, 0)):
            cluster.emit(3, "test.event", subject=f"number {number}", data={"status": "failed"})
            page.locator("#content", has_text=f"number {number}").wait_for(timeout=60_000)
            if kill:
                cluster.kill(kill)
                threading.Event().wait(1)
        browser.close()
