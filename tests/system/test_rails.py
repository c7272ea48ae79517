"""Rails over a network that breaks: a dead rail delays nothing on the other, and comes back by itself."""

from __future__ import annotations

import re
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.system.cluster import Cluster, until
from tests.system.netns import Net, missing
from tests.system.rail_nodes import End, Nodes
from tests.system.test_cluster import only, publishing, sequences, wait_for_last

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]

ROOT = Path(__file__).parent.parent.parent
NODES = 5
CUT, AFTER = 4.0, 5.0
#: What may be late at most where nothing is wrong, beside the time for which a busy machine stood still.
LATE = 1.0


class Told(NamedTuple):
    """What five nodes told after rail 1 was cut at node 2."""

    ends: dict[int, End]
    #: (node, of, rail) -> the longest silence while all was observed.
    silences: dict[tuple[int, int, int], float]
    stall: float


@pytest.fixture(scope="module")
def told() -> Told:
    """What each of five nodes tells after rail 1 was cut at node 2 for four seconds."""
    with Net(NODES, 2) as net:
        nodes = Nodes(net, 100)
        for node in net.nodes:
            nodes.start(node)
        nodes.together()
        time.sleep(1)
        begun = time.monotonic()
        net.cut(2, 1)
        time.sleep(CUT)
        net.heal()
        time.sleep(AFTER)
        over = time.monotonic()
        ends = nodes.end()
    silences: dict[tuple[int, int, int], float] = {}
    for node, _, of, rail, since, until_then in nodes.silences():
        if since and until_then > begun:
            silences[node, of, rail] = max(silences.get((node, of, rail), 0.0), until_then - since)
    for node, end in ends.items():
        for (rail, of), last in end.last.items():
            silences[node, of, rail] = max(silences.get((node, of, rail), 0.0), over - last)
    return Told(ends, silences, max(end.stall for end in ends.values()))


def test_the_other_rail_does_not_stall(told: Told) -> None:
    """While four links of rail 1 die and are closed, nothing on rail 2 is late or missing."""
    for end in told.ends.values():
        latest = [late for (rail, _), late in end.latest.items() if rail == 2]
        assert NODES - 1 == len(latest)
        assert LATE + 2 * told.stall > max(latest), told
    silences = {key: gap for key, gap in told.silences.items() if key[2] == 2}
    assert NODES * (NODES - 1) == len(silences)
    assert LATE + 2 * told.stall > max(silences.values()), told


def test_nobody_else_on_the_cut_rail_is_disturbed(told: Told) -> None:
    """On rail 1 the nodes that were not cut off go on hearing each other."""
    others = {key: gap for key, gap in told.silences.items() if key[2] == 1 and 2 not in key[:2]}
    assert (NODES - 1) * (NODES - 2) == len(others)
    assert LATE + 2 * told.stall > max(others.values()), told


def test_the_cut_rail_comes_back(told: Told) -> None:
    """Soon after the heal every link is there again, both ways; there is one for each pair."""
    cut = [gap for key, gap in told.silences.items() if key[2] == 1 and 2 in key[:2]]
    assert 2 * (NODES - 1) == len(cut)
    assert CUT - 0.5 < min(cut) <= max(cut) < CUT + 2.5 + 2 * told.stall, told
    assert [[NODES - 1, NODES - 1]] * NODES == [end.peers for end in told.ends.values()]


def metric(cluster: Cluster, node: int, name: str, labels: str) -> float:
    """A value of a node's metrics; 0 if there is none."""
    text = cluster.get(node, "/metrics").text
    found = re.search(rf"^tocsin_{name}{{{re.escape(labels)}}} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_a_rail_that_works_one_way_only_is_told_by_both_ends(cluster: Cluster) -> None:
    """What node 2 sends to node 1 on rail 1 is dropped: both say so, node 3 does not; nothing is lost."""
    until(lambda: metric(cluster, 1, "rail_round_trip_seconds", 'rail="rail1",peer="node2"'), 15)
    with publishing(cluster, 2, 100) as sent:
        cluster.net.cut(2, 1, to=1, one_way=True)
        for node, peer in ((1, "node2"), (2, "node1")):
            told = only(cluster, 3, f"rail.down@node{node}")
            assert ("rail1", [peer]) == (told["subject"], told["data"]["attributes"]["peers"])
        cluster.net.heal()
        for node in (1, 2):
            until(partial(_rail_is_fine, cluster, node), 10, f"rail1 of node{node} is up again")
    for node in (1, 3):
        wait_for_last(cluster, node, sent)
        assert sent == sequences(cluster, node, "test.tick")
    assert [] == cluster.events(1, "rail.down@node3 rail.flapping node.down")
    assert 0 < metric(cluster, 1, "rail_echoes_lost_total", 'rail="rail1"')
    assert 0 < metric(cluster, 1, "rail_duplicates_total", 'rail="rail2"') + metric(
        cluster, 1, "rail_duplicates_total", 'rail="rail1"'
    )
    names = set(re.findall(r"^tocsin_(rail_\w+){", cluster.get(1, "/metrics").text, re.MULTILINE))
    documented = (ROOT / "docs" / "rails.md").read_text("utf-8")
    assert [] == [name for name in sorted(names) if f"`{name}`" not in documented]
    # A cut is no hang: to open the rail again would not help.
    assert [0, 0] == [metric(cluster, node, "rail_reopened_total", 'rail="rail1"') for node in (1, 2)]


def _rail_is_fine(cluster: Cluster, node: int) -> bool:
    shown = cluster.resource(3, node, "rail", "rail1")
    return shown is not None and shown["status"] == "ok"


@pytest.mark.faults
@pytest.mark.timeout(180)
def test_a_rail_that_flaps_is_told_as_flapping(cluster: Cluster) -> None:
    """Rail 2 of node 3 comes and goes: one rail.flapping instead of a stream of events, then how it is."""
    # What node 3 says of its two rails when it starts comes a moment after it is ready.
    until(lambda: len(cluster.events(1, "rail.*@node3")) >= 2, 10, "node 3 has told of its rails")
    started = len(cluster.events(1, "rail.*@node3"))
    for _ in range(4):
        cluster.net.cut(3, 2)
        time.sleep(6.5)
        cluster.net.heal()
        time.sleep(5)
    told = until(lambda: _settled(cluster, started), 60, "it has settled")
    types = ["rail.down", "rail.up", "rail.down", "rail.up", "rail.flapping", "rail.up"]
    assert types == [event["type"] for event in told]
    assert told[-1]["data"]["changes"] > 4


def _settled(cluster: Cluster, started: int) -> list[dict[str, Any]] | None:
    told = [event for event in cluster.events(1, "rail.*@node3")[started:] if event["subject"] == "rail2"]
    return told if told and "changes" in told[-1]["data"] else None
