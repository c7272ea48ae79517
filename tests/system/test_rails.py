"""Rails over a network that breaks: a dead rail delays nothing on the other, and comes back by itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.system.netns import Net, missing

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]

ROOT = Path(__file__).parent.parent.parent
NODES = 5
CUT_AFTER, CUT, SECONDS = 2.5, 4.0, 11.0


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
    """Within three seconds after the heal every link is there again, both ways."""
    cut = [each["silence"]["1/node2"] for number, each in enumerate(told, 1) if number != 2]
    cut += [gap for key, gap in told[1]["silence"].items() if key.startswith("1/")]
    assert 2 * (NODES - 1) == len(cut)
    assert CUT - 0.5 < min(cut) <= max(cut) < CUT + 3, cut
    assert [[NODES - 1, NODES - 1]] * NODES == [each["peers"] for each in told]
