"""Schedules of faults for whole clusters: one seed is one schedule; at its end all must be well.

A schedule has dice of its own, so that what happens does not depend on how much the nodes say. Repeat one
with ``python -m tests.worlds KIND SEED``; ``docs/proof.md`` says what is checked where.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import combinations
from typing import Final

from tests.simulator import FileWorld, Network, Node, Reader, World, check_order, held
from tocsin.core.interest import EVERYTHING, Interests
from tocsin.core.member import missing

__all__ = ["SCHEDULES", "Schedule", "assert_agreement"]

#: Between which nodes there is no path, for as long as the schedule lasts.
Pairs = list[tuple[str, str]]


def shapes(names: list[str]) -> list[Pairs]:
    """A full mesh, twice; a triangle, a chain, a star; one that hears nobody but one."""
    a, b, c = names[:3]
    every = list(combinations(names, 2))
    chain = [(x, y) for x, y in every if names.index(y) - names.index(x) > 1]
    star = [(x, y) for x, y in every if b not in (x, y)]
    return [[], [], [(a, c)], chain, star, [(x, y) for x, y in every if c in (x, y) and b not in (x, y)]]


class Schedule:
    """Everything that may happen to a cluster, in an order that the seed decides."""

    def __init__(self, world: World, seed: int, *, steps: int = 70, forget: bool = False) -> None:
        """``forget``: nodes that start again may have lost their state directory."""
        self.world, self.steps, self.forget = world, steps, forget
        self.dice = random.Random(f"{type(world).__name__} {world.retain} {forget} {seed}")
        world.tick = self.dice.choice([0.05, 0.1, 0.1])
        self.shape = self.dice.choice(shapes(self.dice.sample(world.names, len(world.names))))
        #: Schedules in which much happens at once have further dice for it: the others stay what they were.
        self.bursts = random.Random(seed) if seed % 7 in (1, 3) else None
        self.lives: list[Node] = []
        self._reset_network()

    def _reset_network(self) -> None:
        self.world.network = net = Network()
        net.rail_loss, net.rail_delay = {0: 0.05}, {1: 0.01 * self.dice.randrange(4)}
        net.part(*self.shape)

    def run(self) -> None:
        """Faults; then they end, and eight seconds later all must be well, whatever the shape."""
        world, dice = self.world, self.dice
        self._start(*world.names)
        world.run(4)
        self.readers = [Reader(world.nodes[name]) for name in world.names]
        self.readers.append(Reader(world.nodes["n1"], Interests.parse("service.*@n2 node.*")))
        self.at = [*world.names, "n1"]
        for step in range(self.steps):
            self._act(step)
            world.network.loss = dice.choice([0, 0, 0, 0.3])
            world.network.duplicate = dice.choice([0, 0.3])
            world.network.jitter = dice.choice([0.002, 0.002, 0.15])
            if self.bursts is not None:
                self._burst(self.bursts)
            world.run(dice.choice([0.05, 0.3, 0.6, 1.5]))
            for node in world.nodes.values():
                check_watched(node)
            self._read()
        self._calm(24 if self.shape else 16)  # a new life passes on through each node in turn
        if self.shape:
            assert_agreement(world)
            self._check_live(2.5)
            self.shape = []
            self._calm(8)
        self._check()

    def _start(self, *names: str) -> None:
        self.world.start(*names)
        self.lives += [self.world.nodes[name] for name in names]

    # -- what happens ------------------------------------------------------------------

    def _act(self, step: int) -> None:
        dice, nodes = self.dice, self.world.nodes
        running = sorted(name for name, node in nodes.items() if not node.paused)
        what = dice.random()
        if what < 0.5 and running:
            for _ in range(dice.choice([1, 1, 1, 5])):
                self.world.emit(dice.choice(running), f"s{step % 7}", dice.choice(["ok", "failed"]))
        elif what < 0.68:
            self._cut()
        elif what < 0.76:
            self._reset_network()
        elif what < 0.82 and len(running) > 2:
            self.world.pause(dice.choice(running))
        elif what < 0.86:
            self._resume()
        elif what < 0.92 and len(running) > 2:
            (self.world.stop if dice.random() < 0.4 else self.world.kill)(dice.choice(running))
        elif absent := sorted(set(self.world.names) - set(nodes)):
            self._start_again(dice.choice(absent))

    def _burst(self, dice: random.Random) -> None:
        """Now and then much happens on a node at once, and now and then the next of it at once after that."""
        while dice.random() < 0.3:
            running = sorted(name for name, node in self.world.nodes.items() if not node.paused)
            kinds: list[list[str | None]] = [[None], [None], [None, "ok", "gone"]]
            said = dice.choice(kinds) * dice.choice([1, 3, 20])
            if running:
                self.world.emit_many(dice.choice(running), said)

    def _cut(self) -> None:
        dice, names, net = self.dice, self.world.names, self.world.network
        one, other = dice.sample(names, 2)
        half = set(dice.sample(names, len(names) // 2))
        match dice.randrange(5):
            case 0:  # one way, one rail
                net.cuts.add((dice.randrange(2), one, other))
            case 1:  # one way, all rails
                net.cuts |= {(rail, one, other) for rail in range(net.rails)}
            case 2:  # one node
                net.cut(one, (0, 1), names)
            case 3:  # one node, one rail
                net.cut(one, (dice.randrange(2),), names)
            case 4:  # split
                net.part(*((x, y) for x in half for y in set(names) - half))

    def _resume(self) -> None:
        for name, node in sorted(self.world.nodes.items()):
            if node.paused:
                self.world.resume(name)

    def _start_again(self, name: str) -> None:
        self.world.clock[name] = self.dice.choice([0, 0, -3_600_000, 60_000])
        if self.dice.random() < 0.4 and self.forget:
            self.world.disks[name].clear()
        self._start(name)

    # -- readers -----------------------------------------------------------------------

    def _read(self) -> None:
        nodes = self.world.nodes
        for index, reader in enumerate(self.readers):
            if self.at[index] not in nodes or self.dice.random() < 0.1:
                self.at[index] = self.dice.choice(sorted(nodes))
            if self.dice.random() < 0.6:
                reader.poll(nodes[self.at[index]], self.dice.choice([1, 3, 1000]))

    def _calm(self, halves: int) -> None:
        """All faults but the shape end, for so many half seconds."""
        world = self.world
        world.network = Network()
        world.network.part(*self.shape)
        self._resume()
        missing = sorted(set(world.names) - set(world.nodes))
        if missing:
            self._start(*missing)
        for half in range(halves + (4 if self.bursts is None else 120)):
            if half >= halves and not self._life_waits() and not self._holes_are_left():
                break
            world.run(0.5)
            self._poll_all()

    def _life_waits(self) -> bool:
        """Whether the end of a former life, or a section, is still waited for: each takes its time."""
        origins = [o for node in self.world.nodes.values() for o in node.replica.origins.values()]
        return any(o.superseded_at is not None or o.gate is not None for o in origins)

    def _holes_are_left(self) -> bool:
        """Of much that was lost one hole after another is given up, each after everybody was asked for it."""
        origins = [o for node in self.world.nodes.values() for o in node.replica.origins.values()]
        return self.bursts is not None and any(not o.fresh and o.life.hole_since is not None for o in origins)

    def _poll_all(self) -> None:
        """Reads on as long as there is more, as a monitor does."""
        for index, reader in enumerate(self.readers):
            before = None
            while reader.cursor != before:
                before = reader.cursor
                reader.poll(self.world.nodes[self.at[index]], 1000)

    # -- at the end ---------------------------------------------------------------------

    def _check(self) -> None:
        for node in self.lives:
            check_order(node)
            assert not [e for e in node.errors if type(e).__name__ == "Clash"], f"{node.name} clashed"
        assert_agreement(self.world)
        self._check_live(1.0)
        for index, reader in enumerate(self.readers):
            reader.check(self.world.nodes[self.at[index]], backwards=self.forget)
        for node in self.world.nodes.values():
            check_kept(node)
            check_bounded(node)

    def _check_live(self, seconds: float) -> None:
        """V12, V13: what happens now is everywhere, and with every reader, in so many seconds."""
        world = self.world
        sent = {(name, world.emit(name, "last")) for name in world.names}
        for _ in range(round(seconds / 0.5)):
            world.run(0.5)
            self._poll_all()
        for node in world.nodes.values():
            lack = sent - {(e.origin, e.sequence) for e in node.events()}
            assert not lack, f"{node.name} lacks {lack} {seconds} s later"
        for index, reader in enumerate(self.readers):
            told = {(e.origin, e.sequence) for e in reader.told}
            if self.forget:  # a life below one that this reader has seen, and that nobody living remembers
                told |= {
                    (name, sequence) for name, sequence in sent if sequence[:13] < reader.seen[name][:13]
                }
            assert sent <= told or reader.interests is not EVERYTHING, f"reader {index} lacks {sent - told}"


def assert_agreement(world: World) -> None:
    """V1, V10: what any node has of the newest lives, all have, or a marker covers it; boards are equal."""
    for origin in world.names:
        newest = world.nodes[origin].replica.incarnation
        sent = list(world.published.get(f"{newest:013d}{origin}", []))
        own = {e.sequence: e for e in world.nodes[origin].events(origin)}
        sent = [s for s in sent if own[s].kind != "node"]  # reports are numbered where they are news
        mine = {r.key: r.status for r in world.nodes[origin].board.section(origin)}
        for name, node in world.nodes.items():
            have = {e.sequence for e in node.events(origin)}
            base = node.bases.get(origin, "")
            gone = [x for x in node.losses() if x.origin == origin]
            missed = [s for s in sent if s not in have and s > base]
            missed = [s for s in missed if not any(x.first <= s <= x.last for x in gone)]
            assert not missed, f"{name} lacks {missed} of {origin}"
            theirs = {r.key: r.status for r in node.board.section(origin)}
            assert mine == theirs, f"{name} shows {theirs} of {origin}, which says {mine}"


def check_kept(node: Node) -> None:
    """V7: what was numbered stays for the retention, and is gone after twice that, by its monotonic age."""
    now, retain = node.world.now, node.buffer.retain
    here = held(node.buffer)
    numbers = {entry.number for entry in here}
    if node.world.max_events >= 100_000:
        for number, at in node.numbered.items():
            assert now - at >= retain or number in numbers, f"{node.name} let go of {number} too early"
    for entry in here:
        assert now - entry.born <= 2 * retain + 0.2, f"{node.name} keeps {entry.number} for too long"


def check_watched(node: Node) -> None:
    """Nothing that waits for time to pass is left out where only what has changed is looked at."""
    replica, liveness, now = node.replica, node.replica.liveness, node.world.now
    waiting = {origin.name for origin in replica.origins.values() if not origin.quiet}
    left_out = waiting - replica._stirred - set(replica._sections.all_wanted())
    assert not left_out, f"{node.name} does not look at {left_out}"
    since = now - missing(replica.period)
    odd = [member.name for member in liveness.members.values() if not member.as_told(since)]
    looked_at = {member.name for member in liveness._not_as_told(since)}
    assert looked_at.issuperset(odd), f"{node.name} does not look at {odd}, but at {looked_at}"


def check_bounded(node: Node) -> None:
    """V11: what is remembered for repair and for others is not more than there is a reason for."""
    replica, count = node.replica, len(node.world.names)
    lives = [replica.own, *(life for o in replica.origins.values() for life in o.lives.values())]
    assert sum(len(life.events) for life in lives) <= node.world.max_events
    for origin in replica.origins.values():
        assert len(origin.lives) <= 20, f"{node.name} keeps {len(origin.lives)} lives of {origin.name}"
    assert len(replica._relaying._lacking) <= count
    assert not replica._sections._parts, f"{node.name} keeps parts of sections"


def plain(seed: int) -> None:
    """Everything happens; what was published is still held by somebody, if it ever left its node."""
    Schedule(World(3 + seed % 3, seed), seed).run()


def short(seed: int) -> None:
    """Everything happens, and events are let go of before they are fetched, by age or for room."""
    world = World(3 + seed % 3, seed, retain=2.0 + seed % 3)
    world.max_events = 40 if seed % 4 == 0 else 100_000
    Schedule(world, seed).run()


def lost(seed: int) -> None:
    """The same, and nodes come back with their clock set back and no memory of their own."""
    Schedule(World(3 + seed % 3, seed, retain=2.0 + seed % 3), seed, forget=True).run()


def file(seed: int) -> None:
    """Everything happens to nodes that hold over a restart what they held."""
    retain = 300.0 if seed % 2 else 4.0
    Schedule(FileWorld(3 + seed % 3, seed, retain=retain), seed).run()


SCHEDULES: Final[dict[str, Callable[[int], None]]] = {
    "plain": plain, "short": short, "lost": lost, "file": file,
}  # fmt: skip
