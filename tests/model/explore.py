"""Every way in which two nodes and a monitor can interleave, with the real Buffer, Feed and Follow.

A breadth-first search over all states of: two nodes, each with its buffer; origins ``x`` and ``y`` with a
few events each (those of ``y`` after the first are a new incarnation's, which begins at 1 again), which
reach each node in any interleaving; events that a node gives up (markers), prunes from the old end,
restarts of a node (a new, empty buffer that learns from its peer from where that still holds something),
failovers of the monitor, and polls, with one event a page. After every poll the promises of DESIGN.md
section 3 are checked:

* **no duplicate**: an event is handed on once, and in order per origin;
* **no silent miss**: what ``seen`` covers was handed on or is told as lost; and whoever is told "nothing
  new" has been handed on, or told as lost, everything that this node's buffer ever numbered;
* **a gap is true**: it names an event that was not handed on and that this node does not hold.

What happens to the node where the monitor is not may as well happen when it gets there: no poll sees the
difference. So the search lets only the other node change, unless a node may still restart, which looks at
both; and a node that nothing will look at any more counts as one and the same. A test compares the polls
that are reached with those of a search without this (``shortcut=False``).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tests.core.made import WALL, event
from tocsin.core.buffer import Buffer
from tocsin.core.bus import Arrival, Loss
from tocsin.core.follow import Follow, News, Reply, Request
from tocsin.core.sequence import incarnation_of, seq_of, sequence_of
from tocsin.web.feed import Feed
from tocsin.web.node import Settings
from tocsin.web.query import parse_query, parse_resume

#: The sequence of each origin's events: x lives once, y begins a second life after its first event.
SEQUENCES = {
    "x": [sequence_of(1, seq) for seq in (1, 2, 3)],
    "y": [sequence_of(1, 1), sequence_of(2, 1), sequence_of(2, 2)],
}
RETAIN = 1000.0
NODES = ("http://a", "http://b")
ORIGINS = ("x", "y")


class Node(NamedTuple):
    """A node: its life, what of each origin it never held, what it numbered, how many of it are pruned."""

    life: int
    base: tuple[int, ...]
    log: tuple[tuple[int, int, bool], ...]  # (origin, seq, lost)
    pruned: int


class Reader(NamedTuple):
    """What Follow remembers."""

    at: int
    cursor: str
    seen: tuple[tuple[str, str], ...]
    home: str
    foreign: bool


class Bounds(NamedTuple):
    """How large the search is."""

    events: int
    markers: int
    restarts: int
    failovers: int
    on: str = ""


class Broken(AssertionError):
    """A promise does not hold in a state that can be reached."""


class Polled(NamedTuple):
    """What one poll did."""

    reader: Reader
    events: tuple[tuple[int, int], ...]
    lost: tuple[tuple[int, int, int], ...] | None
    nothing_new: bool


@cache
def feed_of(index: int, node: Node) -> Feed:
    """The node's real feed over a real buffer that has been through all that."""
    buffer = Buffer(f"{'ab'[index]}.{node.life}", retain=RETAIN)
    for origin, seq in enumerate(node.base):
        if seq:
            buffer.base(ORIGINS[origin], SEQUENCES[ORIGINS[origin]][seq - 1])
    for at, (origin, seq, lost) in enumerate(node.log):
        name = ORIGINS[origin]
        sequence = SEQUENCES[name][seq - 1]
        if lost:
            buffer.mark(Loss(name, sequence, sequence), float(at), WALL)
        else:
            made = event(name, seq_of(sequence), life=incarnation_of(sequence))
            buffer.append(Arrival(made, float(at)), float(at), WALL)
    buffer.prune(RETAIN + node.pruned - 1)
    fake: Any = SimpleNamespace(
        name=NODES[index], buffer=buffer, settings=Settings(), degraded=tuple, readiness=str, urls=dict
    )
    return Feed(fake)


def held(index: int, node: Node) -> set[tuple[int, int]]:
    """The events that the node's buffer still has."""
    buffer = feed_of(index, node)._node.buffer
    assert buffer is not None
    page = buffer.window(limit=100)
    return {(ORIGINS.index(entry.origin), place(entry.origin, entry.sequence)) for entry in page.entries}


def place(origin: str, sequence: str) -> int:
    """How many events of an origin there are up to a sequence."""
    return bisect_right(SEQUENCES[origin], sequence)


def answer(feed: Feed, request: Request) -> Reply:
    """What the feed answers, without the HTTP server around it."""
    if request.body is None:
        query = parse_query(urlencode({**request.query, "wait": 0}).encode())
    else:
        query = parse_resume(request.body)
    assert feed._node.buffer is not None
    status, headers, body = feed._encode(query, feed._node.buffer, batch=False)
    return Reply(status, {name.decode().lower(): value.decode() for name, value in headers}, body)


def follow_of(reader: Reader, on: str) -> Follow:
    """The real state machine in that state."""
    follow = Follow(NODES, after=reader.cursor, seen=dict(reader.seen), limit=1, on=on)
    follow.node, follow._home, follow._foreign = NODES[reader.at], reader.home, reader.foreign
    return follow


@cache
def poll(reader: Reader, node: Node, on: str) -> Polled:
    """One request and its answer."""
    follow = follow_of(reader, on)
    reply = answer(feed_of(reader.at, node), follow.ask(0.0))
    news: News = follow.answer(reply, 0.0, 0.5)
    if follow.misses:
        raise Broken(f"the feed's answer was not understood: {reply}")
    events = tuple((ORIGINS.index(e["origin"]), place(e["origin"], e["sequence"])) for e in news.events)
    lost = None
    if news.gap is not None:
        lost = tuple(
            (ORIGINS.index(origin), bisect_left(SEQUENCES[origin], first) + 1, place(origin, last))
            for origin, (first, last) in sorted(news.gap.lost.items())
        )
    return Polled(_reader_of(follow), events, lost, reply.status == 204)


def _reader_of(follow: Follow) -> Reader:
    seen = tuple(sorted((follow.seen or {}).items()))
    return Reader(NODES.index(follow.node), follow.cursor, seen, follow._home, follow._foreign)


class Numbered:
    """Gives each value a small number: a state of the search is then one integer, which is quick."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def number(self, value: Any) -> int:
        """The value's number, the same for equal values."""
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self.values)
            self.values.append(value)
        return found


#: Bits of a state: node a, node b, reader, told, and how often each bounded thing has happened.
_NODE, _READER, _TOLD, _COUNT = 17, 20, 14, 2


class State(NamedTuple):
    """A state, as numbers. ``told``: per origin and event 0 not yet, 1 handed on, 2 told as lost."""

    a: int
    b: int
    reader: int
    told: int
    markers: int
    restarts: int
    failovers: int

    def packed(self) -> int:
        """As one integer."""
        whole = 0
        for part, bits in zip(self, _WIDTHS, strict=True):
            if part >> bits:
                raise OverflowError("the search is larger than its numbers")
            whole = whole << bits | part
        return whole

    @classmethod
    def unpacked(cls, whole: int) -> State:
        """The reverse."""
        parts = []
        for bits in reversed(_WIDTHS):
            parts.append(whole & ((1 << bits) - 1))
            whole >>= bits
        return cls(*reversed(parts))


_WIDTHS = (_NODE, _NODE, _READER, _TOLD, _COUNT, _COUNT, _COUNT)


class Search:
    """The search, and what it found."""

    def __init__(self, bounds: Bounds, *, shortcut: bool = True) -> None:
        self.bounds, self._shortcut = bounds, shortcut
        self.states = self.polls = self.gaps = 0
        self._wanted = [o for o, name in enumerate(ORIGINS) if bounds.on in ("", f"*@{name}")]
        self._nodes, self._readers, self._tolds = Numbered(), Numbered(), Numbered()
        self._grown: dict[tuple[int, int], list[tuple[str, int]]] = {}
        self._born: dict[tuple[int, int], int] = {}
        self._moved: dict[int, int] = {}
        self._polled: dict[tuple[int, int, int], tuple[int, int]] = {}
        self._came_from: dict[int, int] = {}

    def run(self) -> None:
        """Visits every state. Raises Broken, with the way there, at the first promise that does not hold."""
        start = self._start().packed()
        came_from = self._came_from
        came_from[start] = -1
        todo = deque([start])
        while todo:
            packed = todo.popleft()
            self.states += 1
            try:
                for following in self._steps(State.unpacked(packed)):
                    number = self._plain(following).packed()
                    if number not in came_from:
                        came_from[number] = packed
                        todo.append(number)
            except Broken as error:
                raise Broken(f"{error}\n{self._way(packed)}") from None

    def polled(self) -> set[tuple[Reader, Node, Any]]:
        """Every poll that was made: by whom, of what, and what had been told before."""
        readers, nodes, tolds = self._readers.values, self._nodes.values, self._tolds.values
        return {(readers[reader], nodes[node], tolds[told]) for reader, node, told in self._polled}

    def _plain(self, state: State) -> State:
        """The same state, if the node that the monitor has left is not looked at any more: without it."""
        over = state.restarts == self.bounds.restarts and state.failovers == self.bounds.failovers
        if not over or not self._shortcut:
            return state
        left = 1 - self._readers.values[state.reader].at
        return state._replace(b=self._empty) if left else state._replace(a=self._empty)

    def _start(self) -> State:
        self._empty = empty = self._nodes.number(Node(1, (0, 0), (), 0))
        reader = self._readers.number(Reader(0, "a.1:0", (), NODES[0], False))
        told = self._tolds.number(tuple((0,) * self.bounds.events for _ in ORIGINS))
        return State(empty, empty, reader, told, 0, 0, 0)

    def _steps(self, state: State) -> Iterator[State]:
        a, b, reader, told, markers, restarts, failovers = state
        at = self._readers.values[reader].at
        for index, node, other in ((0, a, b), (1, b, a)):
            if self._shortcut and index != at and restarts == self.bounds.restarts:
                continue
            for what, grown in self._growth(index, node):
                if what == "loses" and markers >= self.bounds.markers:
                    continue
                more = markers + (what == "loses")
                nodes = (grown, b) if index == 0 else (a, grown)
                yield State(*nodes, reader, told, more, restarts, failovers)
            if restarts < self.bounds.restarts:
                born = self._restarted(index, node, other)
                nodes = (born, b) if index == 0 else (a, born)
                yield State(*nodes, reader, told, markers, restarts + 1, failovers)
        if failovers < self.bounds.failovers:
            yield State(a, b, self._failed_over(reader), told, markers, restarts, failovers + 1)
        reader, told = self._poll(reader, (a, b), told)
        yield State(a, b, reader, told, markers, restarts, failovers)

    def _growth(self, index: int, number: int) -> list[tuple[str, int]]:
        """What can happen to a node by itself."""
        found = self._grown.get((index, number))
        if found is None:
            node: Node = self._nodes.values[number]
            found = [(what, self._nodes.number(grown)) for what, grown in self._changes(node)]
            self._grown[index, number] = found
        return found

    def _changes(self, node: Node) -> Iterator[tuple[str, Node]]:
        for origin in range(len(ORIGINS)):
            known = max([node.base[origin], *(seq for o, seq, _ in node.log if o == origin)])
            if known < self.bounds.events:
                entry = (origin, known + 1)
                yield "numbers", node._replace(log=(*node.log, (*entry, False)))
                yield "loses", node._replace(log=(*node.log, (*entry, True)))
        if node.pruned < len(node.log):
            yield "prunes", node._replace(pruned=node.pruned + 1)

    def _restarted(self, index: int, number: int, peer: int) -> int:
        """A new life, which learns from its peer how far nothing is held any more."""
        found = self._born.get((number, peer))
        if found is None:
            other = feed_of(1 - index, self._nodes.values[peer])._node.buffer
            assert other is not None
            low = tuple(place(n, other._held[n].low) if n in other._held else 0 for n in ORIGINS)
            life = self._nodes.values[number].life + 1
            found = self._born[number, peer] = self._nodes.number(Node(life, low, (), 0))
        return found

    def _failed_over(self, reader: int) -> int:
        found = self._moved.get(reader)
        if found is None:
            follow = follow_of(self._readers.values[reader], self.bounds.on)
            follow.ask(0.0)
            follow.failed(0.0, 0.5)
            found = self._moved[reader] = self._readers.number(_reader_of(follow))
        return found

    def _poll(self, reader: int, nodes: tuple[int, int], told: int) -> tuple[int, int]:
        self.polls += 1
        at = self._readers.values[reader].at
        key = (reader, nodes[at], told)
        found = self._polled.get(key)
        if found is None:
            node = self._nodes.values[nodes[at]]
            polled = poll(self._readers.values[reader], node, self.bounds.on)
            now_told = [list(events) for events in self._tolds.values[told]]
            self._check(at, node, polled, now_told)
            after = self._readers.number(polled.reader)
            found = self._polled[key] = after, self._tolds.number(tuple(map(tuple, now_told)))
        return found

    def _check(self, at: int, node: Node, polled: Polled, told: list[list[int]]) -> None:
        for origin, seq in polled.events:
            if told[origin][seq - 1] == 1 or any(told[origin][seq:]):
                raise Broken(f"duplicate, or out of order: {ORIGINS[origin]}{seq}; poll gave {polled}")
            told[origin][seq - 1] = 1
        if polled.lost is not None:
            self.gaps += 1
            self._check_gap(held(at, node), polled, told)
        self._check_seen(polled, told)
        if polled.nothing_new:
            self._check_all(node, told)

    def _check_gap(self, here: set[tuple[int, int]], polled: Polled, told: list[list[int]]) -> None:
        assert polled.lost is not None
        news = False
        for origin, first, last in polled.lost:
            for seq in range(first, min(last, self.bounds.events) + 1):
                if told[origin][seq - 1] == 0:
                    if (origin, seq) in here:
                        raise Broken(f"told as lost, but held: {ORIGINS[origin]}{seq}; {polled}")
                    told[origin][seq - 1] = 2
                    news = True
        if not news:
            raise Broken(f"a gap in which nothing new is lost: {polled}")

    def _check_seen(self, polled: Polled, told: list[list[int]]) -> None:
        for name, sequence in polled.reader.seen:
            origin = ORIGINS.index(name)
            if origin in self._wanted and 0 in told[origin][: place(name, sequence)]:
                raise Broken(f"seen covers {name} up to {sequence}, which was not told: {polled}")

    def _check_all(self, node: Node, told: list[list[int]]) -> None:
        for origin, seq, _ in node.log:
            if origin in self._wanted and told[origin][seq - 1] == 0:
                raise Broken(f"'nothing new', but {ORIGINS[origin]}{seq} was never told")

    def _way(self, packed: int) -> str:
        way: list[str] = []
        while packed >= 0:
            state = State.unpacked(packed)
            nodes = f"a {self._nodes.values[state.a]}, b {self._nodes.values[state.b]}"
            way.append(f"{nodes}, {self._readers.values[state.reader]}")
            packed = self._came_from[packed]
        return "\n".join(reversed(way))
