"""The buffer in a file: cursors over clean and unclean restarts of real agents."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.system.cluster import Cluster, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

FILE: dict[str, dict[str, Any]] = {
    "buffer": {"storage": "file", "prune_interval": 2},
    "generators": {"disabled": ["load"]},
}
ON = "test.*"


def now(cluster: Cluster, node: int) -> str:
    """The cursor behind everything."""
    return str(cluster.get(node, "/api/v1/events").json()["cursor"])


def told(cluster: Cluster, node: int, after: str) -> list[str]:
    """The subjects of what a reader at a cursor is told."""
    return [event["subject"] for event in cluster.events(node, on=ON, after=after)]


def emit(cluster: Cluster, node: int, *subjects: int) -> None:
    """Events with these subjects."""
    cluster.emit_all(node, [{"type": "test.event", "subject": str(each)} for each in subjects])


def metric(cluster: Cluster, node: int, name: str) -> float:
    """One of a node's metrics."""
    lines = cluster.get(node, "/metrics").text.splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"tocsin_{name} "))


def test_a_single_node_that_restarts(make_cluster: Callable[..., Cluster]) -> None:
    """Cursors go on after a clean stop and after a kill; the same post is not published twice."""
    cluster = make_cluster(nodes=1, rails=1, settings=FILE)
    cluster.start()
    cluster.wait_ready()
    emit(cluster, 1, 1, 2)
    at_two = now(cluster, 1)
    emit(cluster, 1, 3)
    post: dict[str, Any] = {"type": "test.event", "subject": "4", "source": "/x", "id": "once"}
    sequence = cluster.emit(1, **post)
    at_four = now(cluster, 1)
    cluster.stop(1)

    cluster.start()
    cluster.wait_ready()
    assert ["3", "4"] == told(cluster, 1, at_two)
    assert [] == told(cluster, 1, at_four)
    assert sequence == cluster.emit(1, **post)
    emit(cluster, 1, 5)
    assert at_four.partition(":")[0] == now(cluster, 1).partition(":")[0]
    assert 0 == metric(cluster, 1, "buffer_file_failures_total")
    cluster.kill(1)

    cluster.start()
    cluster.wait_ready()
    assert at_four.partition(":")[0] != now(cluster, 1).partition(":")[0]
    assert ["3", "4", "5"] == told(cluster, 1, at_two)
    emit(cluster, 1, 6)
    assert ["5", "6"] == told(cluster, 1, at_four)
    buffer = at_four.partition(":")[0]
    answer = cluster.get(1, "/api/v1/events", params={"after": f"{buffer}:999999"})
    assert (410, "restarted") == (answer.status_code, answer.json()["reason"])
    board = cluster.resource(1, 1, "agent", "buffer")
    assert board is not None
    assert "ok" == board["status"]


def test_what_came_in_between_is_fetched_behind(make_cluster: Callable[..., Cluster]) -> None:
    """A node that was away goes on with its numbers; each event once and in order, also what it missed."""
    cluster = make_cluster(nodes=3, rails=2, settings=FILE)
    cluster.start()
    cluster.wait_ready()
    cluster.wait_together()
    emit(cluster, 2, 1, 2)
    until(lambda: ["1", "2"] == told(cluster, 1, "0"), what="node1 has both")
    cursor = now(cluster, 1)
    for ending in (cluster.stop, cluster.kill):
        ending(1)
        emit(cluster, 2, 3)
        emit(cluster, 3, 4)
        cluster.start(1)
        cluster.wait_ready(1)
        until(partial(_has, cluster, cursor, "3", "4"), what="node1 has what it missed")
        emit(cluster, 2, 5)
        until(partial(_has, cluster, cursor, "5"), what="node1 goes on")
        found = told(cluster, 1, cursor)
        assert ["3", "4", "5"] == sorted(found)
        assert found.index("3") < found.index("5")
        cursor = now(cluster, 1)
    for node in (2, 3):
        agent = cluster.resource(1, node, "agent", "agent")
        assert agent is not None
        assert "ok" == agent["status"]


def _has(cluster: Cluster, after: str, *subjects: str) -> bool:
    return set(subjects) <= set(told(cluster, 1, after))


def test_all_nodes_that_fall_at_once(make_cluster: Callable[..., Cluster]) -> None:
    """A loss of power in the whole room: what was in the files is told, at whatever node, once."""
    cluster = make_cluster(nodes=2, rails=1, settings=FILE)
    cluster.start()
    cluster.wait_ready()
    cluster.wait_together()
    emit(cluster, 1, 1)
    emit(cluster, 2, 2)
    until(
        lambda: {"1", "2"} == set(told(cluster, 1, "0")) == set(told(cluster, 2, "0")), what="both have both"
    )
    cursors = {node: now(cluster, node) for node in (1, 2)}
    cluster.kill(1)
    cluster.kill(2)
    cluster.start()
    cluster.wait_ready()
    cluster.wait_together()
    emit(cluster, 1, 3)
    until(lambda: "3" in told(cluster, 2, cursors[2]), what="they are a cluster again")

    for node, cursor in cursors.items():
        assert ["3"] == told(cluster, node, cursor)
        assert ["1", "2", "3"] == sorted(told(cluster, node, "0"))


def test_pruning_goes_on_beside_the_work(make_cluster: Callable[..., Cluster]) -> None:
    """The file stays small while events come and go, and nothing is lost over it."""
    cluster = make_cluster(
        nodes=1,
        rails=1,
        settings={"buffer": {**FILE["buffer"], "retain": 2}, "generators": FILE["generators"]},
    )
    cluster.start()
    cluster.wait_ready()
    file = cluster.directory / "state1" / "buffer.log"
    largest, cursor, found = 0, now(cluster, 1), list[str]()
    for turn in range(40):
        emit(cluster, 1, *range(turn * 25, turn * 25 + 25))
        page = cluster.get(1, "/api/v1/events", params={"after": cursor, "on": ON, "limit": "10000"}).json()
        found += [event["subject"] for event in page["events"]]
        cursor = page["cursor"]
        largest = max(largest, file.stat().st_size)
        threading.Event().wait(0.2)

    assert [str(each) for each in range(1000)] == found
    assert metric(cluster, 1, "buffer_file_prunes_total") >= 1
    until(lambda: file.stat().st_size < largest / 3, 10, "it is small again")
