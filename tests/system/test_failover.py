"""Monitors whose serving node dies: each event once, whatever node answers next."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from typing import Any

import pytest

from tests.system.cluster import Cluster, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


class Tail:
    """A running ``tocsin tail --json`` and what it has printed."""

    def __init__(self, cluster: Cluster, *nodes: int, on: str = "test.*") -> None:
        urls = [word for node in nodes for word in ("--url", cluster.url(node))]
        self.process = cluster.tocsin(
            "tail", "--json", "--on", on, *urls, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.lines: list[dict[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    @property
    def told(self) -> list[str]:
        return [line["sequence"] for line in self.lines if "sequence" in line]

    @property
    def gaps(self) -> list[dict[str, Any]]:
        return [line["gap"] for line in self.lines if "gap" in line]


def settled(tail: Tail, sent: list[str], what: str) -> None:
    """Waits until the tail has told as much as was sent: it must be the same, in the same order."""
    until(lambda: len(tail.told) >= len(sent), 40, what)
    assert sent == tail.told, what


def test_tail_survives_its_serving_nodes(cluster: Cluster) -> None:
    """kill, restart, kill of the serving nodes, an idle minute, a node that is behind: each event once."""
    tail = Tail(cluster, 1, 2, 3)
    sent: list[str] = []

    def emit(many: int = 1) -> None:
        for _ in range(many):
            sent.append(cluster.emit(3, "test.event", subject=str(len(sent))))

    until(lambda: tail.process.poll() is None and _asked(cluster, 1), 10, "tail has asked node1")
    emit(5)
    settled(tail, sent, "served by node1")
    cluster.kill(1)
    emit(5)
    settled(tail, sent, "after the kill of node1")
    cluster.start(1)
    cluster.wait_ready(1)
    emit(5)
    cluster.kill(2)
    emit(5)
    settled(tail, sent, "after the kill of node2")
    cluster.start(2)
    cluster.wait_ready(2)

    time.sleep(60)
    emit(3)
    settled(tail, sent, "after an idle minute")

    # The next node is behind the last: cut off, it lacks what the reader has been told already.
    cluster.net.cut(1, 1)
    cluster.net.cut(1, 2)
    cluster.net.cut(2, 1)
    cluster.net.cut(2, 2)
    time.sleep(0.5)
    before = len(sent)
    emit(5)
    time.sleep(1.5)
    serving_3 = len(tail.told) > before
    cluster.net.heal()
    emit(2)
    settled(tail, sent, f"through a cut (node3 served: {serving_3})")
    assert [] == tail.gaps
    until(lambda: len(cluster.events(1, "test.event")) == len(sent), 20, "node1 has them, too")
    assert sent == [event["sequence"] for event in cluster.events(1, "test.event")]


def test_the_next_node_is_behind(cluster: Cluster) -> None:
    """The serving node dies while the next one is cut off and lacks events: none repeated, none missed."""
    tail = Tail(cluster, 3, 1)
    until(lambda: _asked(cluster, 3), 10, "tail has asked node3")
    sent = [cluster.emit(3, "test.event") for _ in range(3)]
    settled(tail, sent, "served by node3")
    for rail in (1, 2):
        cluster.net.cut(1, rail)
    time.sleep(0.3)
    sent += [cluster.emit(3, "test.event") for _ in range(4)]
    settled(tail, sent, "told by node3, unknown to node1")
    until(lambda: len(cluster.events(2, "test.event")) == len(sent), 20, "node2 has them")
    cluster.kill(3)
    time.sleep(1)
    assert sent == tail.told
    cluster.net.heal()
    until(lambda: len(cluster.events(1, "test.event")) == len(sent), 10, "node2 tells node1")
    last = cluster.emit(1, "test.event")
    until(lambda: last in tail.told, 10, "the tail goes on at node1")
    assert [*sent, last] == tail.told
    assert [] == tail.gaps


def _asked(cluster: Cluster, node: int) -> bool:
    """Whether a poll of a monitor is held at a node, by its own metrics."""
    text = cluster.get(node, "/metrics").text
    held = [line for line in text.splitlines() if line.startswith("tocsin_feed_held") and " " in line]
    return any(float(line.rsplit(" ", 1)[1]) > 0 for line in held if not line.startswith("#"))
