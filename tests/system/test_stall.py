"""More dead links than receive threads: a rail that is gone for twenty nodes must not stall the other.

As a program it measures: ``python -m tests.system.test_stall [RUNS [THREADS]]``; results in docs/rails.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.system.netns import Net, missing

ROOT = Path(__file__).parent.parent.parent
NODES = 20
RATE = 5
RUNS = 20
#: Seconds before the cut; from it until the links have died (lease 2 s) and were closed; after the heal.
BEFORE, DEAD, AFTER = 3.0, 7.0, 3.0

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]


class Delays(NamedTuple):
    """How late messages were, in seconds, and how many there were."""

    number: int
    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, delays: list[float]) -> Delays:
        """Sums up a sample."""
        ordered = sorted(delays)
        at = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99, 1.0)]
        return cls(len(ordered), *at)


class Run(NamedTuple):
    """One cut: rail 2 before and during it, at all nodes; and the longest of it at any one."""

    healthy: Delays
    dead: Delays
    #: Messages on rail 2 during the cut that should have come, and did not.
    lost: int
    #: How many messages of rail 1 came that were sent after the heal: it works again.
    again: int


def run(threads: str = "") -> Run:
    """Twenty nodes, a process each, full mesh on two rails; rail 1 drops everything for a while."""
    environment = {key: value for key, value in os.environ.items() if key != "ZENOH_RUNTIME"}
    if threads:
        environment["ZENOH_RUNTIME"] = f"(rx: (worker_threads: {threads}))"
    program = [sys.executable, "-m", "tests.system.rail_crowd"]
    pause = threading.Event()
    with Net(NODES, 2) as net:
        peers = [
            subprocess.Popen(
                net.command(node, [*program, f"{node}", f"{NODES}", f"{RATE}"]),
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for node in net.nodes
        ]
        for peer in peers:
            assert peer.stdout is not None
            assert "together\n" == peer.stdout.readline(), peer.args
        start = time.monotonic()
        pause.wait(BEFORE)
        cut = time.monotonic()
        net.switch_off(1)
        pause.wait(DEAD)
        net.switch_on(1)
        heal = time.monotonic()
        pause.wait(AFTER)
        for peer in peers:
            assert peer.stdin is not None
            peer.stdin.close()
        told = []
        for peer in peers:
            assert peer.stdout is not None
            told.append(json.loads(peer.stdout.readline()))
            peer.stdout.close()
        for peer in peers:
            peer.wait(20)
    rail1 = [item for each in told for item in each["1"]]
    rail2 = [item for each in told for item in each["2"]]
    healthy = Delays.of([late for sent, late in rail2 if start <= sent < cut])
    during = [late for sent, late in rail2 if cut <= sent < heal]
    wanted = healthy.number * (heal - cut) / (cut - start)
    lost = max(0, round(wanted - len(during)))
    return Run(healthy, Delays.of(during), lost, sum(sent > heal for sent, _ in rail1))


def check(measured: Run) -> None:
    """Nothing on the healthy rail is a second late, hardly anything is lost; the other rail works again."""
    # What a busy machine delays, it delays before the cut, too. A stall lasts for seconds.
    assert 1 + measured.healthy.most > measured.dead.most, measured
    assert 0.25 + 2 * measured.healthy.p99 > measured.dead.p99, measured
    assert measured.lost < 0.1 * measured.dead.number, measured
    assert measured.again, measured


def test_a_rail_that_is_dead_for_all_does_not_stall_the_other() -> None:
    """Nineteen links die at once in each of twenty nodes: nothing on the healthy rail is a second late."""
    check(run())


@pytest.mark.faults
@pytest.mark.parametrize("number", range(1, RUNS + 1))
def test_no_run_of_twenty_stalls(number: int) -> None:
    """With too few threads half of the runs stall, or fewer: one that is well shows little, twenty do."""
    print(f"run {number} of {RUNS}")
    check(run())


if __name__ == "__main__":
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
        print(run(sys.argv[2] if len(sys.argv) > 2 else ""), flush=True)
