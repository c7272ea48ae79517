"""Promise 1 on the real code: every event once, in order per origin, or a true gap.

Hypothesis drives the real buffers of two nodes, the real feed in front of them, and the real monitor:
events reach each node in any interleaving, are lost, pruned, evicted by the caps; nodes restart with and
without history; the reader polls, filters, pages, and fails over at any moment.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.core.made import LIFE, WALL, event
from tocsin.core.buffer import Buffer
from tocsin.core.bus import Arrival, Loss
from tocsin.core.cursor import buffer_id
from tocsin.core.event import Event
from tocsin.core.follow import Follow, Reply, Request
from tocsin.core.follow import Gap as Told
from tocsin.core.interest import Interests
from tocsin.web.feed import Feed
from tocsin.web.node import Settings
from tocsin.web.query import parse_query, parse_resume
from tocsin.web.strict import loads

ORIGINS = ("a", "b", "c")
FILTERS = ("", "service.*", "service.*@a", "*.down@b adapter.*@c")
TYPES = ("service.failed", "adapter.down")


class Node:
    """A node as far as its feed looks at it: a buffer, its lives, and what it has got of each origin."""

    def __init__(self, name: str) -> None:
        self.cluster, self.name, self.settings = "model", name, Settings()
        self.life = 0
        #: How many of the world's events of an origin it has numbered, or given up.
        self.got = dict.fromkeys(ORIGINS, 0)
        self.buffer = self._empty()
        self.feed = Feed(self)  # type: ignore[arg-type]
        self.up = True

    def _empty(self) -> Buffer:
        return Buffer(buffer_id(self.cluster, self.name, self.life), retain=10.0, max_events=6)

    def now(self) -> float:
        """Not asked for here."""
        return 0.0

    def degraded(self) -> tuple[str, ...]:
        """Nobody."""
        return ()

    def readiness(self) -> str:
        """Always ready."""
        return ""

    def restart(self) -> None:
        """A new life: the buffer is another one and empty."""
        self.life += 1
        self.buffer = self._empty()

    def holds(self, origin: str) -> set[str]:
        """The sequences of an origin that it can still give."""
        held = self.buffer._held.get(origin)
        return {e.sequence for e in held.entries[held.head :] if e.event is not None} if held else set()

    def reply(self, request: Request) -> Reply:
        """What the real feed answers."""
        if request.body is None:
            query = parse_query(urlencode(request.query).encode())
        else:
            query = parse_resume(loads(json.dumps(request.body).encode()))
        status, headers, body = self.feed._encode(query, self.buffer, batch=False)
        named = {name.decode(): value.decode() for name, value in [*headers, self.feed.poll]}
        return Reply(status, named, body)


class Delivery(RuleBasedStateMachine):
    """The world: what really happened, two nodes, one reader, and what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = 0.0
        self.truth: dict[str, list[Event]] = {origin: [] for origin in ORIGINS}
        self.lives = dict.fromkeys(ORIGINS, 0)
        self.nodes = {"http://n1": Node("n1"), "http://n2": Node("n2")}
        self.delivered: dict[str, list[str]] = {origin: [] for origin in ORIGINS}
        self.lost: dict[str, list[tuple[str, str]]] = {origin: [] for origin in ORIGINS}
        self.began: dict[str, str] = {}
        self.reading = 0.0

    @initialize(
        on=st.sampled_from(["", "service.*", "service.*@a", "*.down@b adapter.*@c"]), limit=st.integers(1, 4)
    )
    def begin(self, on: str, limit: int) -> None:
        """The reader starts at now."""
        self.interests = Interests.parse(on)
        self.follow = Follow(list(self.nodes), on=on, limit=limit)

    # -- the world -----------------------------------------------------------------------------

    @rule(origin=st.sampled_from(ORIGINS), type=st.sampled_from(TYPES), count=st.integers(1, 4))
    def happen(self, origin: str, type: str, count: int) -> None:
        """Something happens at an origin."""
        for _ in range(count):
            life = LIFE + self.lives[origin]
            seq = sum(e.incarnation == life for e in self.truth[origin]) + 1
            self.truth[origin].append(event(origin, seq, type, life=life))

    @rule(origin=st.sampled_from(ORIGINS))
    def new_life(self, origin: str) -> None:
        """An origin restarts."""
        self.lives[origin] += 1

    @rule(name=st.sampled_from(["http://n1", "http://n2"]), data=st.data())
    def arrive(self, name: str, data: st.DataObject) -> None:
        """Some events of one origin reach a node, in order, young or old."""
        node = self.nodes[name]
        origin = data.draw(st.sampled_from(ORIGINS))
        missing = self.truth[origin][node.got[origin] :]
        age = data.draw(st.sampled_from([0.0, 5.0, 15.0, 25.0]))
        for arrived in missing[: data.draw(st.integers(0, 5))]:
            assert node.buffer.append(Arrival(arrived, self.clock - age), self.clock, WALL)
            node.got[origin] += 1

    @rule(name=st.sampled_from(["http://n1", "http://n2"]), data=st.data())
    def lose(self, name: str, data: st.DataObject) -> None:
        """A node gives up some events of one life of an origin."""
        node = self.nodes[name]
        origin = data.draw(st.sampled_from(ORIGINS))
        missing = self.truth[origin][node.got[origin] :]
        lost = [e for e in missing if e.incarnation == missing[0].incarnation][: data.draw(st.integers(1, 3))]
        if lost:
            node.buffer.mark(Loss(origin, lost[0].sequence, lost[-1].sequence), self.clock, WALL)
            node.got[origin] += len(lost)

    @rule(seconds=st.sampled_from([1.0, 4.0, 9.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        """Both nodes prune."""
        self.clock += seconds
        for node in self.nodes.values():
            node.buffer.prune(self.clock)

    @rule(name=st.sampled_from(["http://n1", "http://n2"]), data=st.data())
    def restart(self, name: str, data: st.DataObject) -> None:
        """A node begins a new life that holds nothing up to some point of each origin."""
        node = self.nodes[name]
        node.restart()
        for origin in ORIGINS:
            node.got[origin] = data.draw(st.integers(0, len(self.truth[origin])))
            if node.got[origin]:
                node.buffer.base(origin, self.truth[origin][node.got[origin] - 1].sequence)

    @rule(name=st.sampled_from(["http://n1", "http://n2"]))
    def go_down_or_up(self, name: str) -> None:
        """A node cannot be reached for a while."""
        self.nodes[name].up = not self.nodes[name].up

    # -- the reader ----------------------------------------------------------------------------

    @rule(polls=st.integers(1, 3))
    def read(self, polls: int) -> None:
        """The reader polls."""
        for _ in range(polls):
            self._poll()

    def _poll(self) -> bool:
        """One poll; whether something came of it."""
        assert self.follow.due is not None
        self.reading = max(self.reading, self.follow.due)
        before = self.follow.position
        request = self.follow.ask(self.reading)
        node = self.nodes[request.node]
        if not node.up:
            self.follow.failed(self.reading, 0.5)
            return True
        reply = node.reply(request)
        assert reply.status in {200, 204, 410}, reply
        news = self.follow.answer(reply, self.reading, 0.5)
        if before.seen is None and self.follow.seen is not None:
            self.began = dict(self.follow.seen)
        for told in news.events:
            self._deliver(told)
        if news.gap is not None:
            self._gap(news.gap)
        return reply.status != 204 or self.follow.position != before

    def _deliver(self, told: dict[str, Any]) -> None:
        origin, sequence = told["origin"], told["sequence"]
        assert self.interests.match(told["type"], told["node"], told.get("subject", ""))
        known = self.delivered[origin]
        assert not known or sequence > known[-1], f"{origin} {sequence} repeated or out of order"
        assert sequence > self.began.get(origin, ""), "told of something from before it began"
        since = known[-1] if known else self.began.get(origin, "")
        self._all_accounted(origin, since, sequence)
        known.append(sequence)

    def _gap(self, gap: Told) -> None:
        assert gap.lost, f"a reader with seen is never told {gap.reason}"
        node = self.nodes[self.follow.node]
        for origin, (first, last) in gap.lost.items():
            assert self.interests.concerns_origin(origin)
            # True to the node: what it says it lost did happen, and it cannot give it. (The reader may have
            # been told of it by the other node; its frames have not been rendered with it all the same.)
            lost = {e.sequence for e in self.truth[origin] if first <= e.sequence <= last}
            assert lost - node.holds(origin), f"a false gap: {origin} {first}..{last}"
            self.lost[origin].append((first, last))

    def _all_accounted(self, origin: str, since: str, until: str) -> None:
        """Whatever happened in between was no business of the reader, or it was told that it is lost."""
        for happened in self.truth[origin]:
            if since < happened.sequence < until and self.interests.matches(happened):
                told = any(first <= happened.sequence <= last for first, last in self.lost[origin])
                assert told, f"{origin} {happened.sequence} was missed silently"

    @rule()
    def catch_up(self) -> None:
        """With both nodes up and nothing on its way, the reader soon has all that its node knows."""
        for node in self.nodes.values():
            node.up = True
        quiet = 0
        for _ in range(200):
            quiet = 0 if self._poll() else quiet + 1
            if quiet == 2:
                break
        assert quiet == 2, "the reader does not come to rest"
        node = self.nodes[self.follow.node]
        for origin in ORIGINS:
            known = self.truth[origin][: node.got[origin]]
            wanted = {e.sequence for e in known if self.interests.matches(e)}
            for sequence in wanted - set(self.delivered[origin]):
                lost = any(first <= sequence <= last for first, last in self.lost[origin])
                assert lost or sequence <= self.began.get(origin, ""), f"{origin} {sequence} was not told"

    @invariant()
    def caps_hold(self) -> None:
        """No node keeps more than it may, but for the markers of what it never got."""
        for node in self.nodes.values():
            events = sum(held.events for held in node.buffer._held.values())
            assert events <= node.buffer.max_events


Delivery.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestDelivery = Delivery.TestCase
TestDelivery.__doc__ = "Whatever happens, the reader gets every event once and in order, or a true gap."
