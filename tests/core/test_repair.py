"""Repair: whom to ask for what, when to give up, and answers of a bounded size."""

from __future__ import annotations

import itertools

from tests.core.made import LIFE, arrival
from tocsin.core.lives import Life
from tocsin.core.messages import MAX_MESSAGE_BYTES, PROTOCOL, Ask, Fill, decode
from tocsin.core.origin import Origin
from tocsin.core.repair import GIVE_UP_AFTER, HEEDED, HOLE_AFTER, Repair


def holed(**more: object) -> tuple[Origin, Life]:
    """An origin whose events 1 to 3 are missing since 0."""
    origin = Origin("n1", fresh=False, **more)  # type: ignore[arg-type]
    life = origin.begin(LIFE, 0.0)
    assert life is not None
    life.learn(3, 0.0)
    return origin, life


def asked(repair: Repair, origin: Origin, living: list[str], now: float, **more: bool) -> list[str]:
    """Whom it asks now."""
    return [target for target, _ in repair.asks(origin, origin.life, living, now, **more)]


def test_a_young_hole_is_left_alone() -> None:
    """It may close by itself, unless a newcomer wants history; no hole, no ask; nobody there, none either."""
    origin, life = holed()
    assert [] == asked(Repair(), origin, ["n1"], HOLE_AFTER / 2)
    assert ["n1"] == asked(Repair(), origin, ["n1"], 0.0, at_once=True)
    assert [] == asked(Repair(), origin, [], 1.0) + asked(Repair(), origin, ["n1"], 0.1)
    life.hole_since = None
    assert [] == asked(Repair(), origin, ["n1"], 9.0)


def test_the_origin_is_asked_first_then_those_who_told_then_others() -> None:
    """Three at a time, in turn, and not those who said that they lack it."""
    origin, life = holed(holders={"n4": LIFE, "gone": LIFE})
    repair, living = Repair(), ["n1", "n2", "n3", "n4", "n5"]
    assert ["n1"] == asked(repair, origin, living, 1.0)
    assert [] == asked(repair, origin, living, 1.1)
    life.deny("n2", 1, 3, 1.9, waiting=False)
    assert ["n5", "n1", "n4"] == asked(repair, origin, living, 2.0)
    life.deny("n1", 1, 3, 2.9, waiting=False)
    life.deny("n3", 1, 3, 2.9, waiting=False)
    assert ["n4", "n5"] == asked(repair, origin, living, 3.0)
    life.deny("n4", 1, 3, 3.1, waiting=True)  # it may have it soon
    life.deny("n5", 1, 3, 3.1, waiting=False)
    assert ["n4"] == asked(repair, origin, living, 3.5)
    life.deny("n4", 1, 3, 3.6, waiting=False)
    assert [] == asked(repair, origin, ["n4", "n5"], 4.0)
    assert ["n4", "n5"] == asked(repair, origin, ["n4", "n5"], 6.0)  # what they said is old


def test_an_ask_names_the_range_and_numbers_never_repeat() -> None:
    """Numbers of a later life begin behind those of the former: they would count as answered."""
    origin, _ = holed()
    repair = Repair(1_000)
    [(_, payload)] = repair.asks(origin, origin.life, ["n1"], 1.0)
    assert Ask(PROTOCOL, "ask", 1_001, "n1", LIFE, 1, 3) == decode(payload)
    assert 1_002 == repair.number()


def test_a_copy_of_an_ask_is_not_answered_again() -> None:
    """Each rail carries it; what is remembered of that is bounded."""
    repair = Repair()
    assert [True, False, True] == [repair.first_time(*ask) for ask in [("n2", 1), ("n2", 1), ("n3", 1)]]
    for number in range(5000):
        repair.first_time("n4", number)
    assert repair.first_time("n2", 1)


def given_up(life: Life, now: float, *living: str, suspect: str = "", retain: float = 300.0) -> int:
    """Up to which number a hole is to be given up."""
    return Repair.hopeless(life, living, lambda: {*living, suspect} - {""}, now, retain)


def test_a_hole_is_given_up_after_a_minute() -> None:
    """Or after the retention, if that is shorter; not while answers come."""
    _, life = holed()
    assert 0 == given_up(life, 1.0, "n1", "n2")
    assert 0 == given_up(life, 1.0)
    assert 3 == given_up(life, GIVE_UP_AFTER)
    assert 3 == given_up(life, 2.0, retain=2.0)
    life.filled_at = 2.0  # slow answers are answers
    assert 0 == given_up(life, GIVE_UP_AFTER)
    assert 3 == given_up(life, GIVE_UP_AFTER + 2.0)
    life.hole_since = None
    assert 0 == given_up(life, 999.0, "n1")


def test_a_hole_is_given_up_once_all_have_said_that_they_lack_it() -> None:
    """For good, a moment ago, and up to the number that was asked for."""
    _, life = holed()
    life.deny("n1", 1, 3, 1.0, waiting=False)
    assert 0 == given_up(life, 1.0, "n1", "n2")
    life.deny("n2", 1, 2, 1.0, waiting=True)
    assert 0 == given_up(life, 1.0, "n1", "n2")
    life.deny("n2", 1, 2, 1.0, waiting=False)
    assert 2 == given_up(life, 1.0, "n1", "n2")
    assert 0 == given_up(life, 3.5, "n1", "n2")
    assert (1, 2) == life.give_up(1.0, 2)
    assert 0 == given_up(life, 1.0, "n1", "n2")
    assert 3 == given_up(life, 1.0, "n1")


def test_what_a_suspect_may_hold_is_not_given_up() -> None:
    """It may be back in a moment: until it is down, or has said that it lacks it, it counts as living."""
    _, life = holed()
    life.deny("n2", 1, 3, 1.0, waiting=False)
    assert 0 == given_up(life, 1.0, "n2", suspect="n1")
    life.deny("n1", 1, 3, 1.0, waiting=False)
    assert 3 == given_up(life, 1.0, "n2", suspect="n1")


def test_who_hears_the_origin_does_not_heed_for_ever_that_others_wait() -> None:
    """Somebody may be heard and not hear: those who ask it wait until it would be down, and no longer."""
    _, life = holed()
    now = HEEDED - 0.1
    life.deny("n1", 1, 3, now, waiting=False)
    life.deny("n2", 1, 3, now, waiting=True)
    assert 0 == given_up(life, now, "n1", "n2")
    assert 3 == given_up(life, HEEDED, "n1", "n2")
    life.deny("n3", 1, 3, now, waiting=False)
    assert 0 == given_up(life, HEEDED, "n2", "n3")  # it does not hear the origin

    assert Repair.waits(life, 3, {"n2", "n4"}, 6.9, 5.0, hears=True)
    assert not Repair.waits(life, 3, {"n2", "n4"}, 7.0, 5.0, hears=True)
    life = Life("n1", LIFE, 0)
    life.learn(3, 0.0)
    assert Repair.waits(life, 3, {"n2"}, 50.0, 5.0, hears=True)  # that of the origin may come


def test_what_was_let_go_of_behind_a_hole_was_not_asked_for() -> None:
    """To bound memory: others may hold it, whatever they said of what was missing then."""
    life = Life("n1", LIFE, 0)
    for seq in range(2, 10):
        life.add(seq, arrival("n1", seq), 0.0)
    life.learn(12, 0.0)
    life.deny("n2", 1, 1, 0.0, waiting=False)
    life.deny("n2", 10, 12, 0.0, waiting=False)
    assert {"n2"} == life.denials.final(12)
    life.shed(2)
    assert (7, 7) == (life.denials.up_to("n2"), life.events.greatest())
    assert 0 == life.shed(0)
    assert 7 == life.denials.up_to("n2")


def test_an_answer_covers_the_range_in_parts() -> None:
    """What is held is told with its age; what is not in a covered range is not held."""
    life = Life("n1", LIFE, 0)
    for seq in (2, *range(4, 30)):
        life.add(seq, arrival("n1", seq, born=1.0, data="x" * 6000), 1.0)
    ask = Ask(PROTOCOL, "ask", 1, "n1", LIFE, 1, 40)
    parts = [part for payload in Repair.answer(ask, life, 3.0) if isinstance(part := decode(payload), Fill)]

    assert 1 == parts[0].first
    assert 40 == parts[-1].last
    assert all(a.last + 1 == b.first for a, b in itertools.pairwise(parts))
    assert [2, *range(4, 30)] == [seq for part in parts for seq, _, _ in part.events]
    assert {2_000_000} == {age for part in parts for _, age, _ in part.events}
    assert all(sum(len(body) for *_, body in part.events) <= MAX_MESSAGE_BYTES for part in parts)


def test_one_ask_costs_a_bounded_answer() -> None:
    """The asker asks on for the rest; of a life that is not known nothing is held."""
    life = Life("n1", LIFE, 0)
    for seq in range(1, 301):
        life.add(seq, arrival("n1", seq, data="x" * 16_000), 0.0)
    ask = Ask(PROTOCOL, "ask", 1, "n1", LIFE, 1, 300)
    assert 16 == len(list(Repair.answer(ask, life, 0.0)))
    [payload] = Repair.answer(ask, None, 0.0)
    assert Fill(PROTOCOL, "fill", "n1", LIFE, 1, 300, []) == decode(payload)


def test_an_answer_without_the_next_event_is_a_denial() -> None:
    """Of the range that it covers, if the next missing event is in it; what follows extends it."""
    life = Life("n1", LIFE, 0)
    life.add(4, arrival("n1", 4), 0.0)
    life.learn(9, 0.0)
    life.deny("n2", 5, 9, 0.0, waiting=False)  # of what is next it says nothing
    assert set() == life.denials.asked(1)
    life.deny("n2", 1, 3, 0.0, waiting=False)
    assert {"n2"} == life.denials.final(3)
    life.deny("n2", 6, 9, 0.0, waiting=False)  # of 5 it says nothing
    assert set() == life.denials.final(5)
    life.deny("n2", 5, 7, 0.0, waiting=True)
    assert ({"n2"}, set()) == (life.denials.asked(7), life.denials.final(7))
    life.deny("n2", 1, 3, 0.0, waiting=False)
    assert ({"n2"}, set()) == (life.denials.final(3), life.denials.asked(4))
    life.give_up(0.0, 3)
    life.ready()
    life.settle_hole(0.0)  # the next one; what was said of the former is forgotten
    assert set() == life.denials.asked(1)
    life = Life("n1", LIFE, 0)
    life.deny("n2", 1, 3, 0.0, waiting=False)  # nothing is missing
    assert set() == life.denials.asked(1)
