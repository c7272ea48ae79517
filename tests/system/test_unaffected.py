"""One node is cut off, frozen or slow: what the others do among themselves stays as it was, also in a flood.

As a program it measures: ``python -m tests.system.test_unaffected [RUNS]``; results in docs/rails.md.
"""

from __future__ import annotations

import itertools
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
from tests.system.faults.judge import Accepted, judge
from tests.system.faults.traffic import Reader
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
#: Seconds within which all are equal after a heal; and once, if they are dialled once more.
EQUAL, EQUAL_ONCE = 3.0, 6.0
#: The flood: buffers that it fills in two seconds; batches of events of 4 kB, 2,000 events a second at most;
#: windows of so many batches each.
SMALL = {"buffer": {"max_events": 4000, "max_bytes": 16 << 20}}
FILLER, CROWD, PAUSE = "x" * 4000, 50, 1 / 40
WINDOWS, BATCHES = 4, 150
#: What the engine may hold for a peer that takes nothing, on two rails: 16 batches of 64 KiB each.
QUEUES = 2 * 16 * (64 << 10)
#: What freed memory may lie about between what is used, in bytes: the allocator gives little of it back.
ALLOCATOR = 16 << 20
_pause = threading.Event()
_ids = itertools.count(1)


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
@pytest.mark.timeout(240)
def test_all_are_equal_soon_after_a_cut_of_ten_seconds(cluster: Cluster) -> None:
    """Both rails of node 3 are cut for 10 s and healed: within 3 s all boards and prefixes are the same.

    One heal of five may take up to 6 s. Links are dialled anew, an attempt and the pause after it last 2 s,
    and the next announce tells within 1 s what is missing. On a machine that others use, too, an attempt may
    fail; but not in two of five heals, and what takes longer than another attempt or two is something else.
    """
    took = sorted(heal(cluster, 10) for _ in range(RUNS))
    print("equal after", [round(each, 2) for each in took])
    assert EQUAL >= took[-2], took
    assert EQUAL_ONCE >= took[-1], took


class Flood(NamedTuple):
    """What was measured in a flood."""

    accepted: list[Accepted]
    #: How long 99 of 100 POSTs took at most, in seconds; the median of the windows.
    post: float
    #: The most that nodes 1 and 2 had of it, in bytes, at the beginning of a POST.
    memory: dict[int, int]

    @property
    def size(self) -> int:
        """The bytes of these events, or a little less."""
        return len(self.accepted) * len(FILLER)


def flood(cluster: Cluster) -> Flood:
    """Publishes large events at node 1, as steadily as the machine lets it, and as much on any."""
    accepted, posts, memory = list[Accepted](), list[list[float]](), dict.fromkeys((1, 2), 0)
    due = time.monotonic()
    for _ in range(WINDOWS):
        posts.append([])
        for _ in range(BATCHES):
            start = time.monotonic()
            ids = [f"flood{next(_ids)}" for _ in range(CROWD)]
            events = [{"type": "test.tick", "id": each, "data": {"summary": FILLER}} for each in ids]
            sequences = cluster.emit_all(1, events)
            now = time.monotonic()
            posts[-1].append(now - start)
            accepted += (Accepted(*each, now) for each in zip(ids, ["node1"] * CROWD, sequences, strict=True))
            for node in memory:
                memory[node] = max(memory[node], psutil.Process(cluster.pid(node)).memory_info().rss)
            due = max(due + PAUSE, now - PAUSE)
            _pause.wait(max(0.0, due - now))
    return Flood(accepted, statistics.median(percentile(each, 0.99) for each in posts), memory)


@pytest.mark.faults
@pytest.mark.timeout(240)
def test_a_flood_beside_a_frozen_node_is_bounded(make_cluster: Callable[..., Cluster]) -> None:
    """Far more is published than buffers and queues may hold: who is frozen costs no memory and no time.

    The same flood before, with nobody frozen, fills all that is bounded anyway. Nothing is lost to node 2,
    and node 3, when it goes on, is told of what it cannot have any more.
    """
    cluster = make_cluster(settings=SMALL)
    cluster.start()
    cluster.wait_ready()
    cluster.wait_together()
    healthy = flood(cluster)
    reader = Reader(cluster, 3)
    try:
        until(lambda: reader.started, 20, "the reader of node 3 has begun")
        with frozen(cluster):
            ill = flood(cluster)
            last = ill.accepted[-1]
            until(lambda: cluster.seen(2, 1) >= last.sequence, 10, "all of the flood is at node 2")
        until(lambda: reader.knows(last), 60, "the reader of node 3 was told the last event, or of a gap")
        until(lambda: cluster.seen(3, 1) >= last.sequence, 60, "node 3 has the last event")
    finally:
        reader.close()
    bound = SMALL["buffer"]["max_bytes"] + QUEUES + ALLOCATOR
    print(f"{ill.size >> 20} MiB, POST {healthy.post:.4f} s, {ill.post:.4f} s", healthy.memory, ill.memory)
    assert ill.size > max(5 * SMALL["buffer"]["max_bytes"], 5 * QUEUES, 2 * bound), "no flood"
    for node in (1, 2):
        assert ill.memory[node] < healthy.memory[node] + bound, (node, healthy.memory, ill.memory)
        assert cluster.counted(node, "buffer_bytes") <= SMALL["buffer"]["max_bytes"]
        assert 0 == cluster.counted(node, "events_lost_total"), node
    assert ill.post <= 2 * healthy.post + FLOOR, (healthy.post, ill.post)
    verdict = judge(ill.accepted, reader.told)
    assert verdict.right, verdict
    assert verdict.gaps, "node 3 has had more than may be held"
    cluster.wait_together()


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
