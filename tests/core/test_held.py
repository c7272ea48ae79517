"""What a buffer knows of one origin."""

from __future__ import annotations

import pytest

from tests.core.made import LIFE, WALL, event, loss
from tocsin.core.held import Held
from tocsin.core.page import GONE, Entry
from tocsin.core.sequence import sequence_of


def s(seq: int, life: int = LIFE) -> str:
    """The sequence of event ``seq``."""
    return sequence_of(life, seq)


def entry(number: int, seq: int, prev: str) -> Entry:
    """Event ``seq`` under ``number``."""
    made = event("a", seq)
    return Entry(number, "a", made.sequence, prev, 0.0, 0.0, WALL, event=made)


def marker(number: int, first: int, last: int, prev: str, reason: str = "replica") -> Entry:
    """A marker under ``number``."""
    return Entry(number, "a", s(last), prev, 0.0, 0.0, WALL, marker=loss("a", first, last), reason=reason)


def filled(count: int) -> Held:
    """Events 1 … count under the numbers 10, 20, 30 …"""
    held = Held("a")
    for seq in range(1, count + 1):
        held.extend([entry(seq * 10, seq, held.seen)])
    return held


def test_it_counts_events_and_bytes() -> None:
    """Events and their bytes are counted in and out; markers have none."""
    held = filled(2)
    size = len(event("a", 1).body)
    assert held.extend([marker(30, 3, 4, s(2))]) == 0
    assert (held.events, held.bytes, held.seen, held.begins) == (2, 2 * size, s(4), s(1))

    assert (held.pop(), held.pop(), held.pop()) == (size, size, 0)
    assert (held.events, held.bytes, held.low) == (0, 0, s(4))


def test_a_hole_is_seen_by_its_sequence() -> None:
    """Within a life numbers follow each other; each life begins at 1."""
    held = Held("a")
    assert held.hole_before(s(1)) == ""
    assert held.hole_before(s(3)) == s(1)
    held.extend([entry(1, 1, "")])
    assert held.hole_before(s(2)) == ""
    assert held.hole_before(s(5)) == s(2)
    assert held.hole_before(s(1, LIFE + 1)) == ""
    assert held.hole_before(s(4, LIFE + 1)) == s(1, LIFE + 1)


def test_positions_by_number_and_by_sequence() -> None:
    """A reader's place is found by the buffer's number or by what it has seen."""
    held = filled(3)

    assert (held.seen_at(5), held.seen_at(10), held.seen_at(29), held.seen_at(30)) == ("", s(1), s(2), s(3))
    first, none = held.first_beyond(s(1)), held.first_beyond(s(3))
    assert first is not None
    assert (first.number, none) == (20, None)


def test_the_oldest_events_are_behind_leading_markers() -> None:
    """And go up to the next marker, or until there are enough of them."""
    held = Held("a")
    held.extend([marker(1, 1, 3, "", reason="evicted")])
    held.extend([entry(seq - 2, seq, s(seq - 1)) for seq in (4, 5, 6)])
    held.extend([marker(5, 7, 8, s(6))])
    size = len(held.entries[1].event.body)  # type: ignore[union-attr]

    assert held.oldest_events(9, by_count=True) == held.entries[1:4]
    assert held.oldest_events(2, by_count=True) == held.entries[1:3]
    assert held.oldest_events(size + 1, by_count=False) == held.entries[1:3]
    assert held.oldest_events(9 * size, by_count=False) == held.entries[1:4]


@pytest.mark.parametrize("reasons", [["replica"], ["evicted", "replica"], ["evicted", "evicted"]])
def test_the_oldest_event_is_alone_where_its_markers_make_room_too(reasons: list[str]) -> None:
    """Two events would be one more than had to go."""
    held = Held("a")
    held.extend([marker(n, n, n, s(n - 1), reason=reason) for n, reason in enumerate(reasons, start=1)])
    count = len(reasons)
    held.extend([entry(n, n, s(n - 1)) for n in (count + 1, count + 2)])

    assert held.oldest_events(9, by_count=True) == held.entries[count : count + 1]


def test_one_marker_takes_the_place_of_a_run() -> None:
    """At the old end nothing is copied, in the middle the run is taken out."""
    held = filled(4)
    held.replace(0, 1, marker(20, 1, 2, ""))
    assert [e.number for e in held.entries[held.head :]] == [20, 30, 40]

    held.replace(2, 3, marker(40, 3, 4, s(2)))
    assert [e.number for e in held.entries[held.head :]] == [20, 40]


def test_what_was_lost_after_a_number() -> None:
    """Exactly, as far as the trail goes; from the very first where that is forgotten."""
    held = filled(1300)
    for _ in range(300):
        held.pop()

    assert held.lost_after(2990) == (s(300), s(300))
    assert held.lost_after(500) == (s(51), s(300))
    assert held.lost_after(430) == (s(1), s(300))


def test_what_was_lost_beyond_a_sequence() -> None:
    """From the next one after what was seen, or from the first there can have been."""
    held = filled(3)
    held.pop()
    held.pop()
    assert held.lost_beyond(s(1)) == (s(2), s(2))
    assert held.lost_beyond("") == (s(1), s(2))

    based = Held("a")
    based.give_up(s(40))
    assert based.lost_beyond(s(38)) == (s(39), s(40))
    assert based.lost_beyond("") == (sequence_of(0, 1), s(40))


def test_what_was_given_up_late_is_lost_beyond_what_is_retained() -> None:
    """It is told alone: the events before it are still to be had."""
    held = filled(3)
    held.give_up(s(3))
    assert held.lost_beyond("") is None, "all of it is here"
    held.give_up(s(5))
    held.give_up(s(6))
    assert held.lost_beyond("") == (s(4), s(6)) == held.lost_beyond(s(2))
    assert held.lost_beyond(s(5)) == (s(6), s(6))
    assert held.lost_beyond(s(6)) is None
    held.pop()
    assert held.lost_beyond("") == (sequence_of(0, 1), s(6)), "rather too much than nothing of it"


def test_what_is_gone_is_not_kept() -> None:
    """The list is cut when more than half of it is gone."""
    held = filled(1500)
    for _ in range(1100):
        held.pop()

    assert len(held.entries) < 500
    assert held.entries[held.head].sequence == s(1101)


def test_a_former_life_is_remembered_as_a_whole() -> None:
    """What a restored buffer had let go of before is told as one: it is not known any more which was when."""
    held = filled(3)
    held.forget(2, s(2))

    assert held.lost_after(1) == (s(1), s(2))


def test_what_a_marker_took_the_place_of_at_the_old_end_is_let_go_of() -> None:
    """The list is compacted later; until then it holds none of it."""
    held = filled(4)
    held.replace(0, 2, marker(30, 1, 3, "", reason="evicted"))
    assert [GONE, GONE] == held.entries[: held.head]
