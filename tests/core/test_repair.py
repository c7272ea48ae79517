"""Repair: whom to ask for what, when to give up, and answers of a bounded size."""

from __future__ import annotations

import itertools

from tests.core.made import LIFE, arrival
from tocsin.core.lives import Life
from tocsin.core.messages import MAX_MESSAGE_BYTES, PROTOCOL, Ask, Fill, decode
from tocsin.core.origin import Origin
from tocsin.core.repair import GIVE_UP_AFTER, HOLE_AFTER, Repair


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
    life.denied.add("n2")
    assert ["n5", "n1", "n4"] == asked(repair, origin, living, 2.0)
    life.denied |= {"n1", "n3"}
    assert ["n4", "n5"] == asked(repair, origin, living, 3.0)


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


def test_when_a_hole_is_given_up() -> None:
    """When all living nodes lack it, or after a minute, or after the retention if that is shorter."""
    _, life = holed()
    assert not Repair.hopeless(life, ["n1", "n2"], 1.0, 300.0)
    assert not Repair.hopeless(life, [], 1.0, 300.0)
    assert Repair.hopeless(life, [], GIVE_UP_AFTER, 300.0)
    assert Repair.hopeless(life, [], 2.0, 2.0)
    life.filled_at = 2.0  # slow answers are answers
    assert not Repair.hopeless(life, [], GIVE_UP_AFTER, 300.0)
    assert Repair.hopeless(life, [], GIVE_UP_AFTER + 2.0, 300.0)
    life.denied |= {"n1", "n2"}
    assert Repair.hopeless(life, ["n1", "n2"], 1.0, 300.0)
    life.hole_since = None
    assert not Repair.hopeless(life, ["n1"], 999.0, 300.0)


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
    """Only if the range that it covers has the next missing event in it."""
    _, life = holed()
    assert Repair.denial(Fill(PROTOCOL, "fill", "n1", LIFE, 1, 3, []), life)
    assert not Repair.denial(Fill(PROTOCOL, "fill", "n1", LIFE, 2, 3, []), life)
