"""A simulated cluster whose nodes keep their buffers over restarts: nothing is missing without a word."""

from __future__ import annotations

import random
from copy import deepcopy

import pytest

from tests.simulator import Node, World
from tocsin.core.buffer import Buffer
from tocsin.core.lasting import LastingBuffer, Marks
from tocsin.core.page import Entry


class FileWorld(World):
    """Nodes that restart hold what they held."""

    def start(self, *names: str) -> None:
        """Starts nodes, with what they left."""
        super().start(*names)
        for name in names or self.names:
            node = self.nodes[name]
            buffer = LastingBuffer(node.buffer.id, retain=self.retain, max_events=self.max_events)
            if held := node.disk.get("held"):
                buffer.restore(deepcopy(held), {"old": held.last}, self.now)
                node.replica.restore(buffer.arrivals(), buffer.seen(), self.now)
            kept: list[Entry | Marks] = node.disk.setdefault("kept", [])
            buffer.keep = kept.append
            node.buffer = buffer

    def end(self, name: str, *, clean: bool) -> None:
        """A node ends; its buffer stays in its file."""
        node = self.stop(name) if clean else self.kill(name)
        assert isinstance(node.buffer, LastingBuffer)
        node.disk["held"] = node.buffer.snapshot()
        node.disk["seen"] = [other for other in self.names if other != name]


def numbered(node: Node, origin: str) -> list[str]:
    """The events of an origin that a node ever numbered, in all its lives."""
    found = [e for e in node.disk["kept"] if isinstance(e, Entry) and e.event is not None]
    return [e.sequence for e in found if e.origin == origin]


def lost(node: Node, origin: str) -> list[tuple[str, str]]:
    """What of an origin a node ever told as lost."""
    found = [e.marker for e in node.disk["kept"] if isinstance(e, Entry) and e.marker is not None]
    return [(each.first, each.last) for each in found if each.origin == origin]


#: Seeds that showed an error once.
#: 174: what only its origin had of a former life was missing without a word; its announce says how it ended.
#: 387: the marker for a node's former lives named only the last of them.
FOUND = (174, 387)


@pytest.mark.parametrize("seed", [*range(12), *FOUND])
def test_restarts_at_random(seed: int) -> None:
    """Whoever reads a node over its restarts gets each event once and in order, or a marker for it."""
    world = FileWorld(3, seed)
    dice = random.Random(seed)
    world.network.loss = dice.choice([0.0, 0.1])
    world.start()
    world.run(5)
    for step in range(25):
        name = dice.choice(world.names)
        match dice.randrange(4):
            case 0 if name in world.nodes:
                world.end(name, clean=dice.random() < 0.5)
            case 1 if name not in world.nodes:
                world.start(name)
            case _ if name in world.nodes:
                for _ in range(dice.randrange(1, 5)):
                    world.emit(name, f"s{step}")
        world.run(dice.choice([0.1, 1.0, 4.0]))
    world.network.loss = 0.0
    for name in set(world.names) - set(world.nodes):
        world.start(name)
    world.run(75)

    for node in world.nodes.values():
        assert isinstance(node.buffer, Buffer)
        for origin in world.names:
            got = numbered(node, origin)
            assert sorted(set(got)) == got, f"{node.name} numbered events of {origin} twice or out of order"
            told = lost(node, origin)
            published = [s for key, each in world.published.items() if key[13:] == origin for s in each]
            for sequence in published:
                said = sequence in got or any(_covers(loss, sequence) for loss in told)
                excused = _no_news(world, origin, sequence)
                assert said or excused, f"{node.name} lacks {origin} {sequence}"


def _covers(loss: tuple[str, str], sequence: str) -> bool:
    """Number 0 of a life stands for whatever was before it."""
    first, last = loss
    return sequence <= last and (first <= sequence or first.endswith("-000000000000"))


def _no_news(world: World, origin: str, sequence: str) -> bool:
    """Whether it is a report about a node: those are numbered only where they are news."""
    kept = (e for node in world.nodes.values() for e in node.disk["kept"] if isinstance(e, Entry))
    events = (e.event for e in kept if e.event is not None)
    return any(e.origin == origin and e.sequence == sequence and e.kind == "node" for e in events)
