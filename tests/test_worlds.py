"""Simulated clusters by the hundred, large ones, and the bugs that they found: see docs/proof.md.

``TOCSIN_WORLDS`` is the number of schedules of the long run (default 100,000), ``TOCSIN_FIRST_SEED`` where
they begin, ``TOCSIN_THOUSAND`` how many a thousand nodes are, for who works on that test. What fails is
printed with how to repeat it; it belongs into ``tests/bugs.py``.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.bugs import BUGS, Bug
from tests.schedules import SCHEDULES, assert_agreement
from tests.simulator import Node, World, check_order
from tests.worlds import run_many
from tocsin.core.messages import AskSection
from tocsin.core.replica import Replica

WORLDS = int(os.environ.get("TOCSIN_WORLDS", "100000"))
THOUSAND = int(os.environ.get("TOCSIN_THOUSAND", "1000"))
FIRST = int(os.environ.get("TOCSIN_FIRST_SEED", "0"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_hundred_small_worlds() -> None:
    """Three to five nodes each, every fault there is: all agree in the end, and no reader misses anything."""
    assert {} == run_many(500)


@pytest.mark.faults
@pytest.mark.timeout(0)
def test_many_small_worlds() -> None:
    """The same with so many that rare coincidences happen, too."""
    assert {} == run_many(WORLDS, FIRST, log=True)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug.kind} {bug.seed}")
def test_a_bug_of_old_is_found_again(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back in it shows in the world that is named for it; without it all is well there."""
    SCHEDULES[bug.kind](bug.seed)
    monkeypatch.setattr(bug.of, bug.method, bug.was)
    monkeypatch.setitem(Replica._handlers, AskSection, Replica._on_ask_section)
    with pytest.raises(AssertionError):
        SCHEDULES[bug.kind](bug.seed)


@pytest.fixture
def _uncollected() -> Iterator[None]:
    """As in :mod:`tests.worlds`: what is looked through again and again lives as long as its world."""
    gc.disable()
    yield
    gc.enable()
    gc.collect()


@pytest.mark.faults
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("_uncollected")
@pytest.mark.parametrize("seed", range(20))
def test_a_large_world(seed: int) -> None:
    """300 nodes start together, some are cut off and one dies: all agree, each change is told once."""
    world = World(300, seed)
    world.network.rails = 1
    world.start()
    world.run(12)
    assert all(node.replica.ready for node in world.nodes.values())
    away = world.random.sample(world.names[5:], 3)
    for name in away:
        world.network.cut(name, (0,), world.names)
    sent = [world.emit(name, "web", "failed") for name in ("n1", "n300", *away)]
    world.run(2)
    world.network.heal()
    world.kill("n5")
    world.run(20)
    for node in world.nodes.values():
        have = {event.sequence for event in node.events(type_="service.started")}
        assert set(sent) <= have, node.name
        assert 1 == len([e for e in node.events(type_="node.down") if e.node == "n5"]), node.name
        assert not [e for e in node.events(type_="node.down") if e.node != "n5"], node.name
        check_order(node)
    world.names.remove("n5")
    assert_agreement(world)


@pytest.mark.faults
@pytest.mark.timeout(14400)
@pytest.mark.usefixtures("_uncollected")
def test_a_thousand_nodes() -> None:
    """One of a thousand nodes is cut off for ten virtual seconds: all have everything once, and no loss.

    The others have what one of them says, meanwhile; who was cut off and they learn of each other after the
    heal, as soon as they announce themselves again, which is once in those ten seconds.
    """
    world = World(THOUSAND)
    world.network.rails = 1
    world.tick = 0.1
    world.start()
    nodes = list(world.nodes.values())
    # What is published before a node is ready waits, and would prove nothing.
    run_until(world, 20, lambda: all(node.replica.ready for node in nodes))
    run_until(world, 10, lambda: all(len(joined(node)) == len(nodes) - 1 for node in nodes))

    period = max(node.replica.period for node in nodes)
    assert len(nodes) / 100 == period
    world.network.cut("n2", (0,), world.names)
    sent = {name: world.emit(name, "web", "failed") for name in ("n1", "n2")}
    assert all(sent.values()), sent
    world.run(period)
    for node in nodes:
        heard = "n2" if node.name == "n2" else "n1"
        assert {heard: [sent[heard]]} == told(node), f"{node.name}, before the heal"

    world.network.heal()
    last = f"n{len(nodes)}"
    sent[last] = world.emit(last, "web", "failed")
    everything = {origin: [sequence] for origin, sequence in sent.items()}
    run_until(world, 2.5 * period, lambda: all(told(node) == everything for node in nodes))
    for node in nodes:
        check_order(node)
        assert not node.losses(), node.name
        assert not node.replica.degraded(), node.name
        assert {f"n{n}": 1 for n in range(1, len(nodes) + 1)} == {**joined(node), node.name: 1}
        assert {"node.joined", "service.started"} == {event.type for event in node.events()}, node.name
        states = [node.board.section(origin)[0].status for origin in sent]
        assert ["failed"] * len(sent) == states, node.name


def run_until(world: World, seconds: float, condition: Callable[[], bool]) -> None:
    """Lets virtual time pass until something is so; at most so many seconds."""
    end = world.now + seconds
    while not condition():
        assert world.now < end, f"not within {seconds} virtual seconds"
        world.run(0.5)


def told(node: Node) -> dict[str, list[str]]:
    """What a node has of each origin of what services did, in its order."""
    found: dict[str, list[str]] = {}
    for event in node.events(type_="service.started"):
        found.setdefault(event.origin, []).append(event.sequence)
    return found


def joined(node: Node) -> dict[str, int]:
    """Of which nodes it was told that they have joined, and how often."""
    return Counter(event.node for event in node.events(type_="node.joined"))
