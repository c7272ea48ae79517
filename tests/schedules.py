"""Schedules of faults for whole clusters: one seed is one schedule; at its end all must be well.

The short ones run with the tests of the core, thousands of them in ``make test-faults``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from tests.simulator import Network, Node, Reader, World, check_order

__all__ = ["FOUND", "SCHEDULES", "assert_agreement"]

#: Seeds that showed an error once, by schedule.
#: 1103, 3529: a section from a peer that itself lacked events.
#: 14, 163: what a life below one that others knew of had told was no gap.
FOUND: Final = {"plain": (), "short": (1103, 3529), "lost": (14, 163)}


def plain(seed: int) -> None:  # noqa: C901, PLR0912
    """Cuts, loss, kills and restarts; everything that was published is still held by somebody."""
    world = World(3 + seed % 3, seed)
    chance = world.random
    world.start()
    world.run(4)
    lives = list(world.nodes.values())
    readers = [Reader(world.nodes[name]) for name in world.names]
    at = list(world.names)
    for step in range(60):
        living = sorted(world.nodes)
        what = chance.random()
        if what < 0.6 and living:
            world.emit(chance.choice(living), f"s{step}")
        elif what < 0.7:
            a, b = chance.sample(world.names, 2)
            world.network.cuts.add((chance.randrange(2), a, b))
        elif what < 0.78:
            world.network.cut(chance.choice(world.names), (0, 1), world.names)
        elif what < 0.88:
            world.network.heal()
        elif what < 0.93 and len(living) > 2:
            world.kill(chance.choice(living))
        elif len(living) < len(world.names):
            world.start(chance.choice(sorted(set(world.names) - set(living))))
            lives = [*lives, *world.nodes.values()]
        world.network.loss = chance.choice([0, 0, 0.2])
        world.run(chance.random())
        for index, reader in enumerate(readers):
            if at[index] not in world.nodes or chance.random() < 0.1:
                at[index] = chance.choice(sorted(world.nodes))
            if chance.random() < 0.7:
                reader.poll(world.nodes[at[index]], chance.choice([1, 3, 1000]))
    world.network.heal()
    world.network.loss = 0
    missing = sorted(set(world.names) - set(world.nodes))
    if missing:
        world.start(*missing)
    world.run(20)
    for node in {id(n): n for n in [*lives, *world.nodes.values()]}.values():
        check_order(node)
    assert_agreement(world)
    for index, reader in enumerate(readers):
        node = world.nodes[at[index]]
        for _ in range(10):
            reader.poll(node, 1000)
        reader.check(node)


def short(seed: int) -> None:
    """Everything happens, and events are let go of before they are fetched."""
    _all_faults(World(3 + seed % 2, seed, retain=2.0 + seed % 3), seed)


def lost(seed: int) -> None:
    """The same, and nodes come back with their clock set back and no memory of their own."""
    world = World(3 + seed % 2, seed, retain=2.0 + seed % 3)
    world.luck = random.Random(seed)
    _all_faults(world, seed)


SCHEDULES: Final[dict[str, Callable[[int], None]]] = {"plain": plain, "short": short, "lost": lost}


def _act(world: World, lives: list[Node], step: int) -> None:  # noqa: C901
    """One step of a schedule in which everything happens that may happen to a cluster."""
    chance = world.random
    living = sorted(world.nodes)
    running = [name for name in living if not world.nodes[name].paused]
    absent = sorted(set(world.names) - set(living))
    what = chance.random()
    if what < 0.5 and running:
        world.emit(chance.choice(running), f"s{step % 7}", chance.choice(["ok", "failed"]))
    elif what < 0.58:
        a, b = chance.sample(world.names, 2)
        world.network.cuts.add((chance.randrange(2), a, b))
    elif what < 0.66:
        world.network.cut(chance.choice(world.names), (0, 1), world.names)
    elif what < 0.76:
        world.network.heal()
    elif what < 0.80 and len(running) > 2:
        world.pause(chance.choice(running))
    elif what < 0.85:
        for name in sorted(set(living) - set(running)):
            world.resume(name)
    elif what < 0.88 and len(running) > 2:
        world.stop(chance.choice(running))
    elif what < 0.92 and len(living) > 2:
        world.kill(chance.choice(living))
    elif absent:
        name = chance.choice(absent)
        world.clock[name] = chance.choice([0, 0, -3_600_000, 60_000])
        if world.luck is not None and world.luck.random() < 0.4:
            world.disks[name].clear()
        world.start(name)
        lives.append(world.nodes[name])
    world.network.loss = chance.choice([0, 0, 0, 0.3])
    world.network.duplicate = chance.choice([0, 0.3])
    world.run(chance.choice([0.05, 0.3, 0.6, 1.5]))


def _all_faults(world: World, seed: int) -> None:  # noqa: C901
    """Everything happens; then all faults end, and eight seconds later all must be well."""
    world.network.rail_loss, world.network.rail_delay = {0: 0.05}, {1: 0.01 * (seed % 4)}
    world.start()
    world.run(4)
    lives = list(world.nodes.values())
    readers = [Reader(world.nodes[name]) for name in world.names]
    at = list(world.names)
    for step in range(80):
        _act(world, lives, step)
        for index, reader in enumerate(readers):
            if at[index] not in world.nodes or world.random.random() < 0.1:
                at[index] = world.random.choice(sorted(world.nodes))
            if world.random.random() < 0.6:
                reader.poll(world.nodes[at[index]], world.random.choice([1, 3, 1000]))
    world.network = Network()
    for name in sorted(world.nodes):
        world.resume(name)
    missing = sorted(set(world.names) - set(world.nodes))
    if missing:
        world.start(*missing)
    for _ in range(16):
        world.run(0.5)
        for index, reader in enumerate(readers):
            reader.poll(world.nodes[at[index]], 1000)
    for node in {id(n): n for n in [*lives, *world.nodes.values()]}.values():
        check_order(node)
    assert_agreement(world)
    for index, reader in enumerate(readers):
        reader.check(world.nodes[at[index]], backwards=world.luck is not None)


def assert_agreement(world: World) -> None:
    """V1, V10: what any node has of the newest lives, all have, or a marker covers it."""
    for origin in world.names:
        newest = world.nodes[origin].replica.incarnation
        sent = list(world.published.get(f"{newest:013d}{origin}", []))
        for name, node in world.nodes.items():
            have = {e.sequence for e in node.events(origin)}
            base = node.bases.get(origin, "")
            missed = [s for s in sent if s not in have and s > base]
            covered = [
                s for s in missed for x in node.losses() if x.origin == origin and x.first <= s <= x.last
            ]
            suppressed = [s for s in missed if _is_report(world, origin, s)]
            assert not set(missed) - set(covered) - set(suppressed), (origin, name, missed)
            mine = {r.key: r.status for r in node.board.section(origin)}
            theirs = {r.key: r.status for r in world.nodes[origin].board.section(origin)}
            assert theirs == mine, (origin, name)


def _is_report(world: World, origin: str, sequence: str) -> bool:
    own = {e.sequence: e for e in world.nodes[origin].events(origin)}
    return own[sequence].kind == "node"
