"""Two real agents of one name, on two machines, that meet after a cut."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.system.cluster import Cluster, until
from tests.system.test_cluster import publishing

pytestmark = pytest.mark.system


def told(cluster: Cluster, node: int, on: str) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """The events of interest in a node's buffer, in order, and what of node2 it tells as lost."""
    events: list[dict[str, Any]] = []
    lost: list[list[str]] = []
    after = "0"
    while True:
        answer = cluster.get(node, "/api/v1/events", params={"after": after, "on": on, "limit": "10000"})
        if answer.status_code == 204:
            return events, lost
        page = answer.json()
        events += page.get("events", [])
        lost += [page["lost"]["node2"]] if "lost" in page else []
        after = page["cursor"]


def test_the_younger_of_two_of_one_name_yields_and_the_elder_loses_nothing(
    make_cluster: Callable[..., Cluster],
) -> None:
    """Both say so; what the elder tells all the time is at the others, all of it and in order."""
    cluster = make_cluster(settings={"cluster": {"nodes": ["node1", "node2"]}})
    for rail in (1, 2):
        cluster.net.cut(3, rail)
    cluster.start(1, 2)
    cluster.wait_ready()
    cluster.start(3, settings={"node": {"name": "node2"}})
    cluster.wait_ready()
    theirs = cluster.emit(3, "test.theirs")
    with publishing(cluster, 2, 100) as sent:
        time.sleep(1)
        cluster.net.heal()
        until(lambda: cluster.get(3, "/readyz").status_code == 503, 20, "the younger yields")
        time.sleep(5)

    until(lambda: told(cluster, 1, "test.tick")[0][-1]["sequence"] == sent[-1], 20, "all is at node1")
    ticks, lost = told(cluster, 1, "test.tick")
    assert sent == [event["sequence"] for event in ticks]
    assert not [(first, last) for first, last in lost for sequence in sent if first <= sequence <= last]
    for node in (1, 2):
        assert ["error"] == [event["severity"] for event in told(cluster, node, "agent.clash")[0]]
    assert "name clash" in cluster.log(2)
    assert "name clash" in cluster.log(3)
    shown = cluster.resource(1, 2, "node", "node2")
    assert shown is not None
    assert "up" == shown["attributes"]["state"]
    assert sent[0] < theirs < sent[-1]  # the elder lives on in a life above
