"""A life of an origin: order, holes, and what is held for repair."""

from __future__ import annotations

from tests.core.made import LIFE, arrival
from tocsin.core.lives import MAX_JUMP, MAX_SEQ, Life


def life(*seqs: int, born: float = 0.0, now: float = 0.0) -> Life:
    """A life of which these events have come."""
    made = Life("n1", LIFE, 0)
    for seq in seqs:
        assert made.add(seq, arrival("n1", seq, born=born), now)
    return made


def handed_on(made: Life) -> list[int]:
    """What is next in order."""
    return [a.event.seq for a in made.ready()]


def test_many_old_events_go_at_once_and_no_young_one() -> None:
    """However many: those that came together leave together, and never what is not accepted."""
    made = Life("n1", LIFE, 0)
    arrivals = [arrival("n1", seq, born=float(seq) * (seq < 301)) for seq in range(1, 302)]
    for start in range(0, 301, 100):
        some = arrivals[start : start + 100]
        made.follow(some, sum(len(each.event.body) for each in some))
    assert 0 == made.prune(1000.0)
    assert list(range(1, 302)) == handed_on(made)
    for before, gone, first in ((100.0, 0, 1), (100.5, 100, 101), (250.0, 100, 201), (300.0, 0, 201)):
        assert gone == made.prune(before)
        assert first == made.first_held
        assert list(range(first, 302)) == [seq for seq, _ in made.held(1, 400)]
    assert made.size == sum(len(a.event.body) for _, a in made.held(1, 400))
    assert (101, 0, 302) == (made.prune(301.0), made.size, made.first_held)


def test_events_are_handed_on_in_order_once() -> None:
    """What is ahead of a hole waits; a copy is refused."""
    made = life(1, 3, 4)
    assert [1] == handed_on(made)
    assert made.missing
    assert not made.add(1, arrival("n1", 1), 0)
    assert not made.add(3, arrival("n1", 3), 0)
    assert made.has(1)
    assert made.has(3)
    assert not made.has(2)
    made.add(2, arrival("n1", 2), 0)
    assert [2, 3, 4] == handed_on(made)
    assert not made.missing


def test_a_hole_has_an_age() -> None:
    """It begins when the next event is known to exist, and is young again once something was handed on."""
    made = life(1, now=5.0)
    ages = [made.hole_since]
    handed_on(made)
    made.learn(3, 6.0)
    made.learn(4, 7.0)
    ages.append(made.hole_since)
    made.settle_hole(8.0)
    assert [None, 6.0, 8.0] == [*ages, made.hole_since]


def test_holes_are_found_and_given_up() -> None:
    """The ranges between what is here, up to what is known to exist."""
    made = life(3, 6)
    made.learn(9, 0)
    assert [(1, 2), (4, 5), (7, 9)] == made.holes(3)
    assert [(1, 2)] == made.holes(1)
    assert (1, 2) == made.give_up(1.0)
    assert [3] == handed_on(made)
    assert (4, 5) == made.give_up(1.0)


def test_a_number_that_cannot_be_is_not_believed() -> None:
    """Zero, beyond all numbers, and too far ahead."""
    made = life(1)
    assert [False, True, True, False, False] == [
        made.plausible(seq) for seq in (0, 2, MAX_JUMP, MAX_JUMP + 2, MAX_SEQ + 1)
    ]
    assert [True, False] == [made.plausible(seq, MAX_JUMP) for seq in (2 * MAX_JUMP, 2 * MAX_JUMP + 1)]


def test_what_is_old_and_was_handed_on_is_let_go_of() -> None:
    """Held for repair until it is old; the bytes are counted."""
    made = life(1, 2, 4, born=1.0)
    made.add(3, arrival("n1", 3, born=9.0), 9.0)
    handed_on(made)
    size = made.size
    assert 2 == made.prune(5.0)
    assert [3, 4] == [seq for seq, _ in made.held(1, 9)]
    assert 0 < made.size < size
    assert 2 == made.prune(10.0)
    assert 0 == made.size
    assert 5 == made.first_held


def test_a_hole_of_millions_costs_no_time() -> None:
    """Its size is what somebody said: neither asking, holding nor letting go counts through it."""
    made = life(1, MAX_JUMP, born=1.0)
    handed_on(made)
    made.give_up(0.0)
    handed_on(made)
    assert [1, MAX_JUMP] == [seq for seq, _ in made.held(1, MAX_JUMP)]
    assert 2 == made.prune(5.0)
    assert MAX_JUMP + 1 == made.first_held
    made.learn(2 * MAX_JUMP, 0.0)
    made.give_up(0.0)
    assert 0 == made.prune(5.0)
    assert 2 * MAX_JUMP + 1 == made.first_held


def test_memory_is_bounded_by_shedding() -> None:
    """The oldest that were handed on go first, then what is furthest ahead: that can be asked for again."""
    made = life(1, 2, 3, 7, 8)
    handed_on(made)
    assert 2 == made.shed(2)
    assert [3, 7, 8] == made.events.numbers(1, 9)
    assert 2 == made.shed(2)
    assert [7] == made.events.numbers(1, 9)
    assert 1 == made.shed(5)
    assert 0 == made.size


def test_what_came_together_is_shed_together_where_there_is_so_much_to_shed() -> None:
    """The oldest first, and no more than has to go."""
    made = Life("n1", LIFE, 0)
    for start in (1, 11, 21):
        some = [arrival("n1", seq) for seq in range(start, start + 10)]
        made.follow(some, sum(len(each.event.body) for each in some))
    handed_on(made)
    for count, first in ((10, 11), (4, 15), (16, 31)):
        assert count == made.shed(count)
        assert list(range(first, 31)) == [seq for seq, _ in made.held(1, 99)]
        assert made.size == sum(len(each.event.body) for _, each in made.held(1, 99))
    assert 0 == made.shed(3)


def test_what_is_held_back_is_shed_too() -> None:
    """Behind a hole what is furthest ahead goes, and in no time, however much there is."""
    made = life(*range(2, 2002))
    assert 1990 == made.shed(1990)
    assert list(range(2, 12)) == made.events.numbers(1, 3000)
    assert 10 == made.shed(99)
    assert 0 == made.size


def test_nothing_is_held_of_what_was_before_the_first_contact() -> None:
    """Nobody could ask for it, and it would never go."""
    made = life(1, 2, 5, 6)
    made.begin_behind(4, 0.0)
    assert [5, 6] == made.events.numbers(0, 9) == handed_on(made)
    assert made.size == sum(len(each.event.body) for _, each in made.held(1, 9))


def test_the_sequence_of_a_number() -> None:
    """Life and number, as in the event itself."""
    assert arrival("n1", 7).event.sequence == life().sequence(7)


def test_what_was_handed_on_in_a_former_life() -> None:
    """It is held for repair, not handed on again, and what follows it is a hole as soon as it is known of."""
    made = Life("n1", LIFE, 0)
    made.take_back(arrival("n1", 4))
    made.take_back(arrival("n1", 6))
    made.reach(7)
    assert (4, 7, 7) == (made.first_held, made.accepted, made.known)
    assert [4, 6] == [seq for seq, _ in made.held(1, 9)]
    assert [] == handed_on(made)
    made.learn(9, 1.0)
    assert [(8, 9)] == made.holes(3)

    nothing = Life("n1", LIFE, 0)
    nothing.reach(7)
    assert (8, 7, False) == (nothing.first_held, nothing.accepted, nothing.missing)
