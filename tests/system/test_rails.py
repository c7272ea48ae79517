"""Rails over a network that breaks: a dead rail delays nothing on the other, and comes back by itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.system.cluster import Cluster, until
from tests.system.netns import Net, missing
from tests.system.test_cluster import only, publishing, sequences, wait_for_last

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]

ROOT = Path(__file__).parent.parent.parent
NODES = 5
CUT_AFTER, CUT, SECONDS = 10.0, 4.0, 22.0


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    """What each of five nodes tells after rail 1 was cut at node 2 for four seconds."""
    program = [sys.executable, "-m", "tests.system.rail_peer"]
    with Net(NODES, 2) as net:
        peers = []
        for node in net.nodes:
            arguments = [f"{node}", f"{NODES}", "100", f"{SECONDS}"]
            command = net.command(node, [*program, *arguments])
            peers.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        time.sleep(CUT_AFTER)
        net.cut(2, 1)
        time.sleep(CUT)
        net.heal()
        return [json.loads(peer.communicate(timeout=20)[0]) for peer in peers]


def test_the_other_rail_does_not_stall(told: list[dict[str, Any]]) -> None:
    """While four links of rail 1 die and are closed, nothing on rail 2 is late."""
    latest = {key: late for each in told for key, late in each["latest"].items() if key.startswith("2/")}
    silence = {key: gap for each in told for key, gap in each["silence"].items() if key.startswith("2/")}
    assert NODES == len(latest)
    assert 1 > max(latest.values()), latest
    assert 1 > max(silence.values()), silence


def test_nobody_else_on_the_cut_rail_is_disturbed(told: list[dict[str, Any]]) -> None:
    """On rail 1 the nodes that were not cut off go on hearing each other."""
    others = {
        (number, key): gap
        for number, each in enumerate(told, 1)
        for key, gap in each["silence"].items()
        if number != 2 and key.startswith("1/") and key != "1/node2"
    }
    assert (NODES - 1) * (NODES - 2) == len(others)
    assert 1 > max(others.values()), others


def test_the_cut_rail_comes_back(told: list[dict[str, Any]]) -> None:
    """After the heal every link is there again, both ways; the bound leaves room for a busy machine."""
    cut = [each["silence"]["1/node2"] for number, each in enumerate(told, 1) if number != 2]
    cut += [gap for key, gap in told[1]["silence"].items() if key.startswith("1/")]
    assert 2 * (NODES - 1) == len(cut)
    assert CUT - 0.5 < min(cut) <= max(cut) < CUT + 8, cut
    assert [[NODES - 1, NODES - 1]] * NODES == [each["peers"] for each in told]


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
    started = len(cluster.events(1, "rail.*@node3"))
    for _ in range(4):
        cluster.net.cut(3, 2)
        time.sleep(6.5)
        cluster.net.heal()
        time.sleep(4)
    told = until(lambda: _settled(cluster, started), 60, "it has settled")
    types = ["rail.down", "rail.up", "rail.down", "rail.up", "rail.flapping", "rail.up"]
    assert types == [event["type"] for event in told]
    assert told[-1]["data"]["changes"] > 4


def _settled(cluster: Cluster, started: int) -> list[dict[str, Any]] | None:
    told = [event for event in cluster.events(1, "rail.*@node3")[started:] if event["subject"] == "rail2"]
    return told if told and "changes" in told[-1]["data"] else None
