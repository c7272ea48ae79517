"""One node is cut off, frozen or slow: what the others do among themselves stays as it was.

As a program it measures: ``python -m tests.system.test_unaffected [RUNS]``; results in docs/rails.md.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.system.cluster import Cluster, until
from tests.system.netns import missing

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]

#: Seconds of each window, and how often events are posted in it: 200 events/s.
WINDOW, PERIOD, BATCH = 4.0, 0.02, 4
RUNS = 5
#: Twice next to nothing is next to nothing: what a scheduler may add on a busy machine, in seconds.
FLOOR = 0.005
#: What the queues for a peer that takes nothing may hold, and what an agent takes anyway, in bytes.
MEMORY = 48 << 20
_pause = threading.Event()


class Window(NamedTuple):
    """What was measured for a while, in seconds and bytes."""

    #: From the number at node 1 to the number at node 2: 80 and 99 of 100 events, and all.
    p80: float
    p99: float
    most: float
    #: How long a POST at node 1 took: 80 and 99 of 100.
    post80: float
    post: float
    #: The larger of nodes 1 and 2.
    memory: int
    lost: int


def percentile(values: list[float], share: float) -> float:
    """The value that ``share`` of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def measure(cluster: Cluster, seconds: float = WINDOW) -> Window:
    """Publishes at node 1 for a while and looks when the events got their numbers at nodes 1 and 2."""
    cursors = {node: cluster.get(node, "/api/v1/events").json()["cursor"] for node in (1, 2)}
    posts, sent = [], 0
    next_at = time.monotonic()
    end = next_at + seconds
    while next_at < end:
        start = time.monotonic()
        sent += len(cluster.emit_all(1, [{"type": "test.tick"}] * BATCH))
        posts.append(time.monotonic() - start)
        next_at += PERIOD
        _pause.wait(max(0.0, next_at - time.monotonic()))
    until(lambda: len(_recorded(cluster, 2, cursors[2])) == sent, 10, "all events at node 2")
    there = _recorded(cluster, 2, cursors[2])
    late = [there[key] - at for key, at in _recorded(cluster, 1, cursors[1]).items()]
    memory = max(psutil.Process(cluster.pid(node)).memory_info().rss for node in (1, 2))
    lates = percentile(late, 0.8), percentile(late, 0.99), max(late)
    return Window(*lates, percentile(posts, 0.8), percentile(posts, 0.99), memory, sent - len(late))


def _recorded(cluster: Cluster, node: int, after: str) -> dict[str, float]:
    """When the events of :func:`measure` got their numbers; all nodes of this machine share the clock."""
    return {
        event["sequence"]: datetime.fromisoformat(event["recordedtime"]).timestamp()
        for event in cluster.events(node, "test.tick", after)
    }


@contextmanager
def cut(cluster: Cluster) -> Iterator[None]:
    """Nothing comes through to and from node 3, on any rail."""
    for rail in cluster.net.rails:
        cluster.net.cut(3, rail)
    yield
    cluster.net.heal()


@contextmanager
def frozen(cluster: Cluster) -> Iterator[None]:
    """The agent of node 3 is stopped; its kernel takes what is sent until its buffers are full."""
    cluster.pause(3)
    yield
    cluster.resume(3)


@contextmanager
def slow(cluster: Cluster) -> Iterator[None]:
    """All rails of node 3 carry 64 kbit/s, both ways; what they do not carry waits for 4 s."""
    ends = [
        ["ip", "netns", "exec", cluster.net.namespace(node), "tc", "qdisc"]
        for node in (3, None)
        for _ in cluster.net.rails
    ]
    devices = [f"rail{rail}" for rail in cluster.net.rails] + [f"n3r{rail}" for rail in cluster.net.rails]
    limit = ["root", "tbf", "rate", "64kbit", "burst", "2kb", "latency", "4s"]
    for command, device in zip(ends, devices, strict=True):
        subprocess.run([*command, "add", "dev", device, *limit], check=True)
    yield
    for command, device in zip(ends, devices, strict=True):
        subprocess.run([*command, "del", "dev", device, "root"], check=True)


FAULTS = {"cut": cut, "frozen": frozen, "slow": slow}


def run(cluster: Cluster, fault: str, seconds: float = WINDOW) -> tuple[Window, Window]:
    """A healthy window, and one with the fault from its beginning; then all is healed."""
    healthy = measure(cluster, seconds)
    with FAULTS[fault](cluster):
        ill = measure(cluster, seconds)
    cluster.wait_together(seconds=30)
    return healthy, ill


def test_a_node_in_trouble_delays_nobody_else(cluster: Cluster) -> None:
    """Node 3 is cut off, frozen, slow: from node 1 to node 2 nothing is lost or waits for node 3.

    Whoever waited for a dead link waited for two seconds and more, so most events would be late. The bounds
    are those of a busy machine; how little it really is: the next test.
    """
    healthy = measure(cluster, 1.0)
    for fault, trouble in FAULTS.items():
        with trouble(cluster):
            ill = measure(cluster, 3.5)
        assert 0 == ill.lost, fault
        assert 0.5 > ill.p80, (fault, healthy, ill)
        assert 0.5 > ill.post80, (fault, healthy, ill)
        assert ill.memory < healthy.memory + MEMORY, (fault, healthy, ill)
        cluster.wait_together()


@pytest.mark.faults
@pytest.mark.timeout(180)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_node_in_trouble_costs_the_others_nothing(cluster: Cluster, fault: str) -> None:
    """The median of five runs: latency and local publishing within twice the healthy value."""
    runs = [run(cluster, fault) for _ in range(RUNS)]
    for name in ("p99", "post"):
        healthy, ill = (statistics.median(getattr(each[side], name) for each in runs) for side in (0, 1))
        assert ill <= max(2 * healthy, FLOOR), (name, healthy, ill, runs)
    assert 0 == sum(window.lost for windows in runs for window in windows)
    assert max(ill.memory for _, ill in runs) < runs[0][0].memory + MEMORY, runs


def heal(cluster: Cluster, seconds: float) -> float:
    """Cuts node 3 off while it and node 1 publish; how long after the heal all nodes have the same."""
    stop = threading.Event()

    def publish(node: int) -> None:
        for number in range(1_000_000):
            if stop.wait(0.05):
                return
            data = {"status": "warning", "summary": f"{number}"}
            cluster.emit(node, "test.changed", subject=f"thing{number % 7}", data=data)

    threads = [threading.Thread(target=publish, args=(node,)) for node in (1, 3)]
    for thread in threads:
        thread.start()
    with cut(cluster):
        _pause.wait(seconds)
        stop.set()
        for thread in threads:
            thread.join()
    start = time.monotonic()
    until(lambda: _same(cluster), 30, "all boards and prefixes are equal")
    return time.monotonic() - start


def _same(cluster: Cluster) -> bool:
    # What a node says of another one: "is up", or "has joined" where it saw that.
    boards = [
        {
            (each["node"], each["kind"], each["subject"]): (each["status"], each["summary"])
            if each["kind"] != "node"
            else each["status"]
            for each in board
        }
        for board in map(cluster.board, cluster.net.nodes)
    ]
    lists = [_prefixes(cluster, node) for node in cluster.net.nodes]
    return all(board == boards[0] for board in boards) and all(each == lists[0] for each in lists)


def _prefixes(cluster: Cluster, node: int) -> dict[str, list[str]]:
    """What a node's buffer has of each origin, in its order."""
    found: dict[str, list[str]] = {}
    for event in cluster.events(node, "test.changed"):
        found.setdefault(event["origin"], []).append(event["sequence"])
    return found


@pytest.mark.faults
@pytest.mark.timeout(180)
def test_all_are_equal_soon_after_a_cut_of_ten_seconds(cluster: Cluster) -> None:
    """Both rails of node 3 are cut for 10 s and healed: within 3 s all boards and prefixes are the same."""
    took = [heal(cluster, 10) for _ in range(RUNS)]
    assert 3 > statistics.median(took), took


def _program(work: Callable[[Cluster], None]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        cluster = Cluster(Path(directory))
        try:
            cluster.start()
            cluster.wait_ready()
            cluster.wait_together()
            work(cluster)
        finally:
            cluster.close()


def _measure(cluster: Cluster) -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    for fault in FAULTS:
        for _ in range(runs):
            for name, window in zip(("healthy", fault), run(cluster, fault), strict=True):
                print(name, window, flush=True)
    print("equal after a cut of 10 s:", [round(heal(cluster, 10), 2) for _ in range(runs)])


if __name__ == "__main__":
    _program(_measure)
