"""Links come back by themselves: nodes start in any order, rails are cut and healed, nodes are killed.

As a program it measures: ``python -m tests.system.test_dialling SEEDS [NODES]``; results in docs/rails.md.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.system.netns import Net, missing
from tests.system.rail_nodes import Nodes, Silence

pytestmark = [
    pytest.mark.system,
    pytest.mark.faults,
    pytest.mark.timeout(200),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]

#: Seconds after which all links must be there again, and after which nothing may be silent that was not cut.
BACK, SILENT = 2.5, 1.0
STEPS = 6
_pause = threading.Event()


class Fault(NamedTuple):
    """One thing that was done: to a node or to all (0), on a rail or on all (0)."""

    kind: str
    node: int
    rail: int
    begun: float
    over: float

    def concerns(self, silence: Silence) -> bool:
        """Whether it explains that silence, or its end."""
        hit = self.node in (0, silence.node, silence.of) and self.rail in (0, silence.rail)
        return hit and self.begun - 0.5 < silence.until and silence.since < self.over + BACK


class Result(NamedTuple):
    """How long links took to come back, and silences that nothing explains; the longest first."""

    back: list[tuple[float, str, Silence]]
    odd: list[tuple[float, Silence]]
    never: list[tuple[int, int, int]]
    faults: list[Fault]


def run(seed: int, count: int) -> Result:
    """``count`` nodes start within 15 s, then a few faults, one after the other."""
    rng = random.Random(seed)
    with Net(count, 2) as net:
        nodes = Nodes(net, 20)
        for node in rng.sample(net.nodes, count):
            nodes.start(node)
            _pause.wait(rng.choice([0, rng.uniform(0, 15 / count)]))
        nodes.together()
        faults = [_fault(rng, nodes) for _ in range(STEPS)]
        ends = nodes.end()
    heard = {(node, of, rail) for node, end in ends.items() for rail, of in end.last}
    return _judge(nodes, faults, [key for key in _pairs(count) if key not in heard])


def _pairs(count: int) -> Iterator[tuple[int, int, int]]:
    for node in range(1, count + 1):
        for of in range(1, count + 1):
            if of != node:
                yield from ((node, of, rail) for rail in (1, 2))


def _fault(rng: random.Random, nodes: Nodes) -> Fault:
    """Does one thing, and leaves the links time to come back."""
    kind = rng.choice(["cut", "cut", "both", "dead", "kill"])
    node, rail = rng.choice(nodes.net.nodes), rng.choice([1, 2])
    if kind == "kill":
        begun = time.monotonic()
        nodes.kill(node)
        _pause.wait(rng.choice([0, rng.uniform(0, 5)]))
        nodes.start(node)
        fault = Fault(kind, node, 0, begun, nodes.up[node, nodes.lives[node]])
    else:
        # About the lease of a link, 2 s, is where its two ends disagree.
        fault = _cut(nodes.net, kind, node, rail, rng.choice([rng.uniform(1, 12), rng.uniform(1.5, 3.5)]))
    _pause.wait(BACK + 2)
    return fault


def _cut(net: Net, kind: str, node: int, rail: int, seconds: float) -> Fault:
    begun = time.monotonic()
    if kind == "dead":
        net.switch_off(rail)
    else:
        for each in net.rails if kind == "both" else (rail,):
            net.cut(node, each)
    _pause.wait(seconds)
    net.switch_on(rail)
    net.heal()
    return Fault(kind, 0 if kind == "dead" else node, 0 if kind == "both" else rail, begun, time.monotonic())


def _judge(nodes: Nodes, faults: list[Fault], never: list[tuple[int, int, int]]) -> Result:
    back, odd = [], []
    silences = list(nodes.silences())
    for each in silences:
        known = [fault for fault in faults if fault.concerns(each)]
        took = each.until - each.since
        if not each.since and not known:
            begun = max(at for (node, _), at in nodes.up.items() if node in (each.node, each.of))
            back.append((each.until - begun, "start", each))
        elif known:
            last = max(known, key=lambda fault: fault.over)
            if not _elsewhere(each, silences) or each.since < last.over:
                back.append((each.until - last.over, last.kind, each))
        elif not _elsewhere(each, silences):
            odd.append((took, each))
    return Result(sorted(back, reverse=True), sorted(odd, reverse=True), never, faults)


def _elsewhere(one: Silence, silences: list[Silence]) -> bool:
    """Whether the other rail of the same two was as silent: then it was the machine that stood still."""
    return any(
        (one.node, one.of) == (other.node, other.of)
        and one.rail != other.rail
        and abs(one.since - other.since) < 0.2
        for other in silences
    )


@pytest.mark.parametrize("seed", range(4))
def test_links_come_back_after_whatever_happened(seed: int) -> None:
    """All pairs are linked on all rails soon after each start and heal, and nothing else is ever silent."""
    result = run(seed, 3 + 2 * (seed % 2))
    assert [] == result.never
    assert max(took for took, *_ in result.back) < BACK, result
    assert all(took < SILENT for took, _ in result.odd), result


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        found = run(number, int(sys.argv[2]) if len(sys.argv) > 2 else 3 + 2 * (number % 2))
        kinds = [(fault.kind, round(fault.over - fault.begun, 1)) for fault in found.faults]
        print(number, found.back[:2], found.odd[:1], found.never, kinds, flush=True)
