"""The lives of a real agent that lost its memory: what it publishes must go on reaching the others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from tests.system.cluster import Cluster, until

pytestmark = pytest.mark.system


def read(cluster: Cluster, node: int, on: str, after: str) -> tuple[list[str], list[str]]:
    """What a reader gets from a cursor on: sequences, and the reasons of the gaps between them."""
    found: list[str] = []
    gaps: list[str] = []
    while True:
        answer = cluster.get(node, "/api/v1/events", params={"after": after, "on": on})
        after = answer.headers["Tocsin-Cursor"]
        if answer.status_code == 204:
            return found, gaps
        if answer.status_code == 410:
            gaps.append(answer.json()["reason"])
        else:
            found += [event["sequence"] for event in answer.json()["events"]]


def test_a_node_whose_clock_and_state_were_lost_lives_on_above_its_former_life(
    make_cluster: Callable[..., Cluster],
) -> None:
    """Nobody could tell it while it listened; once it is told, it begins a life that the others hand on."""
    cluster = make_cluster(nodes=2)
    state = cluster.directory / "state1"
    state.mkdir(exist_ok=True)
    ahead = round(time.time() * 1000) + 3_600_000
    (state / "state.json").write_text(json.dumps({"incarnation": ahead}))  # as if its clock had been fast
    cluster.start()
    cluster.wait_ready()
    cluster.wait_together()
    before = cluster.emit(1, "test.before")
    until(lambda: read(cluster, 2, "test.before", "0")[0], 5, "the event of the former life")

    there = cluster.get(2, "/api/v1/events").headers["Tocsin-Cursor"]
    cluster.kill(1)
    (state / "state.json").unlink()
    cluster.net.cut(1, 1)
    cluster.net.cut(1, 2)
    cluster.start(1)
    cluster.wait_ready(1)
    assert cluster.emit(1, "test.low") < before, "nobody told it of its former life"
    starts = {1: cluster.get(1, "/api/v1/events").headers["Tocsin-Cursor"], 2: there}
    cluster.net.heal()
    # An attempt to connect that began behind the cut may wait for the kernel's next try, up to 15 s.
    until(lambda: read(cluster, 2, "agent.renewed", there)[0], 35, "a new life")
    after = cluster.emit(1, "test.after")

    assert before < after
    until(lambda: read(cluster, 2, "test.*", starts[2])[0], 5, "what it publishes now")
    for node, start in starts.items():
        assert ([after], ["replica"]) == read(cluster, node, "test.*", start)
    kept = json.loads((state / "state.json").read_text())
    assert kept["incarnation"] == int(after[:13])
