"""A living twin: when a node yields to another of its name."""

from __future__ import annotations

import pytest

from tests.core.made import LIFE
from tests.core.test_joining import replica
from tocsin.core import effects as fx
from tocsin.core.messages import PROTOCOL, Announce, Hello, encode
from tocsin.core.replica import Replica
from tocsin.core.twin import FORGOTTEN, LASTS, Twin

HELLO = Hello(PROTOCOL, "hello", "n1")


def announce(incarnation: int) -> Announce:
    """What a twin says."""
    return Announce(PROTOCOL, "announce", "n1", incarnation, 1, 0, 1.0)


def test_what_is_heard_for_a_moment_is_no_twin() -> None:
    """Copies on several rails, and what is left of a former life, stop nobody."""
    twin = Twin()
    assert [False] * 4 == [twin.heard(announce(1), 0, now) for now in (0.0, 0.01, 0.02, LASTS - 0.01)]
    assert not twin.heard(announce(1), 0, FORGOTTEN + 1)


@pytest.mark.parametrize(("message", "mine", "yields"), [
    (HELLO, 0, True), (announce(5), 0, True), (announce(5), 9, True), (announce(9), 5, False),
    (HELLO, 5, False),
])  # fmt: skip
def test_the_newcomer_and_the_younger_yield(message: Announce | Hello, mine: int, yields: bool) -> None:
    """Who listens yields to whoever speaks; of two that live the younger one does."""
    twin = Twin()
    twin.heard(message, mine, 0.0)
    assert yields == twin.heard(message, mine, LASTS)


@pytest.mark.parametrize(("messages", "told"), [
    ([HELLO] * 9, 1), ([announce(9)], 1), ([announce(9), HELLO] * 5, 1), ([HELLO], 0),
    ([announce(5), announce(4)] * 5, 0),
])  # fmt: skip
def test_the_elder_says_so_once_in_each_clash(messages: list[Announce | Hello], told: int) -> None:
    """Not once a message; again only after the twin was silent for a while."""
    twin, now = Twin(), 0.0
    for clash in (1, 2):
        said = 0
        for message in messages:
            twin.heard(message, 5, now)
            said += twin.to_be_told(message, 5, now)
            now += LASTS / 2
        assert told == said, clash
        now += FORGOTTEN


def test_who_listens_or_yields_has_nothing_to_tell_others() -> None:
    """It is off the rails."""
    twin = Twin()
    assert not twin.to_be_told(announce(9), 0, 0.0)


def said(effects: list[fx.Effect]) -> list[object]:
    """What is said of a clash: the effects of that name, and the types of the reports."""
    reports = [e.draft.type for e in effects if isinstance(e, fx.Publish) and e.draft.type[:6] == "agent."]
    return [*(e for e in effects if isinstance(e, fx.Clash)), *reports]


def test_the_elder_publishes_that_there_is_a_twin() -> None:
    """Nobody else can: the other one is off the rails. It goes on itself."""
    elder = replica()
    now = elder._awake_at + 1.0
    later = encode(Announce, "n1", elder.incarnation + 1, 1, 0, 1.0)
    effects = elder.receive("n1", later, now)
    assert [fx.Clash("n1", yields=False), "agent.clash"] == said(effects)
    assert "error" in [e.draft.severity for e in effects if isinstance(e, fx.Publish)]
    assert [] == said(elder.receive("n1", later, now + 1.0))
    assert not elder.clashed


def test_both_say_so_when_a_newcomer_yields() -> None:
    """It listens, hears the one that lives, and tells its log; that one tells everybody."""
    elder = replica()
    new = Replica("n1", now=elder._awake_at, wall_ms=LIFE, names=["n1"])
    now, heard_by_new, heard_by_elder = elder._awake_at, [], []
    for _ in range(30):
        now += 0.05
        for hello in [e.payload for e in new.tick(now) if isinstance(e, fx.Send)]:
            answers = elder.receive("n1", hello, now)
            heard_by_elder += said(answers)
            for answer in [e.payload for e in answers if isinstance(e, fx.Send)]:
                heard_by_new += said(new.receive("n1", answer, now))
    assert [fx.Clash("n1", yields=True)] == heard_by_new
    assert [fx.Clash("n1", yields=False), "agent.clash"] == heard_by_elder
