"""Simulated clusters by the hundred, large ones, and the bugs that they found: see docs/proof.md.

``TOCSIN_WORLDS`` is the number of schedules of the long run (default 100,000), ``TOCSIN_FIRST_SEED`` where
they begin. What fails is printed with how to repeat it; it belongs into ``tests/bugs.py``.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from tests.bugs import BUGS, Bug
from tests.schedules import SCHEDULES, assert_agreement
from tests.simulator import World, check_order
from tests.worlds import run_many
from tocsin.core.messages import AskSection
from tocsin.core.replica import Replica

WORLDS = int(os.environ.get("TOCSIN_WORLDS", "100000"))
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
    """A thousand nodes for ten virtual seconds: one is cut off, and what happens is everywhere else."""
    world = World(1000)
    world.network.rails = 1
    world.tick = 0.1
    world.start()
    world.run(2)
    assert all(node.replica.incarnation for node in world.nodes.values())
    sent = [world.emit("n1", "web", "failed")]
    world.network.cut("n2", (0,), world.names)
    world.run(8)
    world.network.heal()
    sent.append(world.emit("n1000", "web", "failed"))
    world.run(2)
    for node in world.nodes.values():
        check_order(node)
        if node.replica.ready and node.name != "n2":
            assert sent[-1] in {e.sequence for e in node.events("n1000")}, node.name
