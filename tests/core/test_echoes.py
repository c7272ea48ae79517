"""Echoes: asked for when something is missing, measured, and what it means that they do not come."""

from __future__ import annotations

import itertools

import pytest

from tocsin.core.echoes import EVERY, Echo, Echoes
from tocsin.core.errors import CodecError


class Running:
    """One rail looked at four times a second, with peers that answer or not."""

    def __init__(self, *peers: str) -> None:
        self.echoes = Echoes()
        self.living = set(peers)
        self.links = {f"z-{peer}" for peer in peers}
        self.heard: dict[str, float] = {}
        #: Who is heard, who answers, and how long an answer takes.
        self.talking, self.answering, self.takes = set(peers), set(peers), 0.002
        self.now = 100.0
        self.asked: list[tuple[str, float]] = []

    def look(self) -> None:
        """Looks once; what is asked is answered by those who do."""
        self.heard |= dict.fromkeys(self.talking, self.now)
        for peer, number in self.echoes.look(self.living, self.links, self.heard, self.now, 1.0):
            self.asked.append((peer, self.now))
            if peer in self.answering:
                self.echoes.came(peer, Echo(True, number, f"z-{peer}"), self.now + self.takes)
        self.now += 0.25

    def run(self, seconds: float, awake: set[str] | None = None) -> list[tuple[float, list[str]]]:
        """Runs, and returns when the rail was found hanging, and to whom."""
        found, start = [], self.now
        while self.now < start + seconds:
            self.look()
            if hanging := self.echoes.hanging(self.living if awake is None else awake, self.now):
                found.append((self.now - start, hanging))
        return found


@pytest.mark.parametrize("echo", [Echo(False, 1, ""), Echo(True, 2**64 - 1, "0123456789abcdef")])
def test_an_echo_comes_back_as_it_was(echo: Echo) -> None:
    """What is encoded is decoded to the same."""
    assert echo == Echo.decode(echo.encode())


@pytest.mark.parametrize(
    "payload", [b"", b"?", b"?1234567", b"x12345678", b"!12345678" + b"z" * 65, b"!12345678\xff"]
)
def test_what_is_no_echo_is_refused(payload: bytes) -> None:
    """Anything else from the network is one kind of error."""
    with pytest.raises(CodecError):
        Echo.decode(payload)


def test_a_peer_that_is_heard_is_asked_every_ten_seconds() -> None:
    """One echo at once, so that the round trip is known, then one every ten seconds."""
    running = Running("b")
    assert [] == running.run(35)
    assert [0, EVERY, 2 * EVERY, 3 * EVERY] == [at - 100 for _, at in running.asked]
    assert (4, 0) == (running.echoes.sent, running.echoes.lost)


def test_a_missing_announce_is_asked_after_each_second() -> None:
    """Two seconds after the last sign of life the echoes begin, and they count as lost."""
    running = Running("b")
    running.run(5)
    running.talking = running.answering = set()
    running.links = set()
    running.run(6)
    assert [0, 7, 8, 9, 10] == [at - 100 for _, at in running.asked]
    assert 3 == running.echoes.lost


def test_the_round_trip_is_the_median_of_the_recent_ones() -> None:
    """A single slow echo does not change it; who never answered has none."""
    running = Running("b", "c")
    running.answering = {"b"}
    running.run(25)
    running.takes = 0.8
    running.run(10)
    assert {"b": pytest.approx(0.002)} == running.echoes.round_trips()


def test_a_link_without_echoes_is_a_rail_that_hangs() -> None:
    """Four echoes lost in a row while the peer's link is there, six seconds after its last message."""
    running = Running("b", "c")
    running.run(5)
    running.talking = running.answering = {"c"}
    [(after, peers)] = running.run(8)
    assert ["b"] == peers
    assert 5 < after <= 7


def test_one_way_is_enough_to_hang() -> None:
    """The peer is heard all the time, but what is sent to it does not come back, for long."""
    running = Running("b")
    running.run(5)
    running.answering = set()
    [(after, peers)] = running.run(EVERY + 15)
    assert ["b"] == peers
    assert after > 20


def test_a_peer_without_a_link_was_cut_off() -> None:
    """To open the rail again would not help; nor does it when the link is back and the first echo comes."""
    running = Running("b")
    running.run(5)
    running.talking = running.answering = set()
    running.links = set()
    assert [] == running.run(60)
    running.links = {"z-b"}
    running.run(2)
    running.talking = running.answering = {"b"}
    assert [] == running.run(30)


def test_a_late_echo_is_lost_but_shows_that_nothing_hangs() -> None:
    """On a slow rail every echo takes three seconds: all count as lost, the rail is left alone."""
    running = Running("b")
    running.answering = set()
    waiting: list[tuple[float, Echo]] = []
    for _ in range(200):
        for peer, number in running.echoes.look({"b"}, {"z-b"}, {"b": running.now}, running.now, 1.0):
            waiting.append((running.now + 3, Echo(True, number, f"z-{peer}")))
        for due, echo in [each for each in waiting if each[0] <= running.now]:
            running.echoes.came("b", echo, running.now)
            waiting.remove((due, echo))
        assert [] == running.echoes.hanging({"b"}, running.now)
        running.now += 0.25
    assert 0 < running.echoes.lost
    assert {} == running.echoes.round_trips()


def test_a_peer_that_is_silent_everywhere_is_given_time() -> None:
    """It is more likely to be busy than unreachable: the rail is opened again after fifteen seconds only."""
    running = Running("b")
    running.run(5)
    running.talking = running.answering = set()
    [(after, _)] = running.run(25, awake=set())
    assert 15 < after < 20


def test_who_never_said_where_it_is() -> None:
    """An older agent is heard and answers nothing: all is well. A silent one may be behind a link."""
    running = Running("b")
    running.answering = set()
    assert [] == running.run(60)
    running = Running("b")
    running.talking = running.answering = set()
    [(_, peers), *_] = running.run(20)
    assert ["b"] == peers
    running = Running("b")
    running.talking = running.answering = running.links = set()
    assert [] == running.run(20)


def test_a_question_tells_where_the_peer_is_now() -> None:
    """A peer that was opened again has another place; the old link is not missed."""
    running = Running("b")
    running.run(5)
    running.echoes.came("b", Echo(False, 7, "z-new"), running.now)
    running.talking = running.answering = set()
    assert [] == running.run(30)


def test_opening_again_waits_longer_each_time() -> None:
    """What does not help is not done again and again: 10, 20, 40 … 600 seconds in between."""
    running = Running("b")
    running.run(5)
    running.talking = running.answering = set()
    times = [at for at, _ in running.run(3600)]
    pauses = [round(b - a) for a, b in itertools.pairwise(times)]
    assert [10, 20, 40, 80, 160, 320] == pauses[:6]
    assert {600} == set(pauses[6:])
    running.talking = running.answering = {"b"}
    running.run(3000)
    running.talking = running.answering = set()
    first, second, *_ = [at for at, _ in running.run(60)]
    assert 15 > second - first


def test_who_was_starved_blames_nobody() -> None:
    """After a pause of its own a node begins to count anew."""
    running = Running("b")
    running.run(5)
    running.talking = running.answering = set()
    found = running.run(4.5)
    running.now += 5
    assert [] == found + running.run(3)


def test_a_peer_that_does_not_live_is_forgotten_with_its_link() -> None:
    """It is asked while its link is there, then no more; an echo of a stranger is nothing."""
    running = Running("b")
    running.run(2)
    running.living = set()
    running.talking = set()
    running.run(20)
    before = len(running.asked)
    assert before > 10
    running.links = set()
    running.run(20)
    assert before == len(running.asked)
    assert {} == running.echoes.round_trips()
    running.echoes.came("stranger", Echo(True, 1, ""), running.now)


def test_invented_peers_are_bounded() -> None:
    """Only so many are asked."""
    echoes = Echoes()
    assert 1000 == len(echoes.look([f"n{i}" for i in range(1500)], set(), {}, 1.0, 1.0))


class ThroughRouters(Running):
    """The same where the only link is one to a router."""

    def __init__(self, mode: str, *peers: str) -> None:
        super().__init__(*peers)
        self.echoes = Echoes(mode)
        self.links = {"z-router"}


def test_a_rail_to_a_router_hangs_when_it_carries_nothing() -> None:
    """All peers are heard elsewhere and none answers, though the link is there: it is opened again."""
    running = ThroughRouters("client", "b", "c")
    assert [] == running.run(20)
    running.talking = running.answering = set()
    [(found, hanging)] = running.run(10)
    assert (True, ["b", "c"]) == (4 < found < 9, hanging)


def test_what_is_wrong_behind_a_router_is_not_mended_from_here() -> None:
    """One peer of two is cut off, or its link to the router hangs: nobody else opens a rail again."""
    running = ThroughRouters("client", "b", "c")
    running.run(2)
    running.talking = running.answering = {"c"}
    assert [] == running.run(60)


def test_a_client_without_a_router_waits_for_one() -> None:
    """The engine looks for a router by itself; there is nothing that could hang."""
    running = ThroughRouters("client", "b")
    running.run(2)
    running.talking = running.answering = running.links = set()
    assert [] == running.run(60)


def test_a_router_is_not_opened_again_for_those_behind_other_routers() -> None:
    """Its clients would all be cut off for a moment; a peer without a link here may be anywhere."""
    running = ThroughRouters("router", "b", "c")
    running.links |= {"z-b"}
    running.run(2)
    running.talking = running.answering = set()
    assert [] == running.run(60)
    never = ThroughRouters("router", "b")
    never.talking = never.answering = set()
    assert [] == never.run(60)
