"""Thousands of simulated clusters, and a large one: the long part of the proof, in ``make test-faults``.

``TOCSIN_WORLDS`` is the number of schedules (default 2,000; on one core some fifteen a second, so 100,000
take two hours), ``TOCSIN_FIRST_SEED`` where they begin (default 0). A seed that fails is named: it belongs
into ``tests/schedules.py``, where the tests of the core run it for ever.
"""

from __future__ import annotations

import os

import pytest

from tests.schedules import SCHEDULES, assert_agreement
from tests.simulator import World, check_order

pytestmark = pytest.mark.faults

WORLDS = int(os.environ.get("TOCSIN_WORLDS", "2000"))
FIRST = int(os.environ.get("TOCSIN_FIRST_SEED", "0"))


@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", SCHEDULES)
def test_many_small_worlds(kind: str) -> None:
    """Three to five nodes each, every fault there is: all agree in the end, and no reader misses anything."""
    failed: dict[int, str] = {}
    for seed in range(FIRST, FIRST + -(-WORLDS // len(SCHEDULES))):
        try:
            SCHEDULES[kind](seed)
        except Exception as error:
            failed[seed] = f"{type(error).__name__}: {error}".partition("\n")[0]
    assert {} == failed


@pytest.mark.timeout(1800)
def test_a_large_world() -> None:
    """300 nodes start together, some are cut off and one dies: all agree, each change is told once."""
    world = World(300)
    world.network.rails = 1
    world.start()
    world.run(12)
    assert all(node.replica.ready for node in world.nodes.values())
    away = ["n2", "n3", "n4"]
    for name in away:
        world.network.cut(name, (0,), world.names)
    sent = [world.emit(name, "web", "failed") for name in ("n1", "n2", "n300")]
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
