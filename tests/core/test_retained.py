"""Taking in and letting go: many at once is the same as one after another, and age goes before room."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.made import LIFE, arrival, loss
from tests.core.made import burst as made_burst
from tocsin.core.buffer import Buffer
from tocsin.core.bus import Arrival
from tocsin.core.page import Entry
from tocsin.core.sequence import sequence_of

WALL = "2026-01-01T00:00:00.000000Z"
RETAIN = 10.0

#: Origin, number and life of an event, and whether a new burst begins with it.
ARRIVALS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(1, 12), st.sampled_from([LIFE, LIFE + 1]), st.booleans()),
    max_size=40,
)


def made(origin: str, seq: int, life: int, now: float, age: float = 0.0) -> Arrival:
    """An event of that age."""
    return arrival(origin, seq, life=life, born=now - age)


def state(buffer: Buffer) -> tuple[Any, ...]:
    """All that it holds and knows."""
    held = buffer._held.values()
    return (
        [_shown(entry) for entry in buffer._entries[buffer._head :]],
        [(h.origin, h.seen, h.low, h.gone, h.gone_to, h.begins, h.events, h.bytes) for h in held],
        [(list(h._trail), h._forgotten) for h in held],
        (buffer.last, buffer.bytes, buffer.refused, buffer.evicted, len(buffer), sorted(buffer._aged)),
    )


def _shown(entry: Entry) -> tuple[Any, ...]:
    return entry.number, entry.origin, entry.sequence, entry.prev, entry.at, entry.marker, entry.reason


@settings(max_examples=200, deadline=None)
@given(ARRIVALS)
def test_a_burst_is_numbered_as_one_event_after_another(arrivals: list[tuple[str, int, int, bool]]) -> None:
    """Copies, holes, other lives and other origins among them included; and so is letting go of it."""
    together, singly = Buffer("x", retain=RETAIN), Buffer("x", retain=RETAIN)
    burst: list[Arrival] = []
    now, numbered = 0.0, 0
    for origin, seq, life, begins in [*arrivals, ("a", 99, LIFE + 2, True)]:
        if begins:
            numbers = list(together.extend(made_burst(burst), now, WALL)) if burst else []
            assert numbers == [singly.append(each, now, WALL) for each in burst]
            numbered += sum(number > 0 for number in numbers)
            burst, now = [], now + 1.0
            together.prune(now)
            while singly._entries[singly._head :] and singly._entries[singly._head].at + RETAIN <= now:
                singly._pop(1)
            singly.prune(now)
        burst.append(made(origin, seq, life, now, age=seq * 2.0))
    assert state(together) == state(singly)
    assert numbered <= together.last


def test_a_flood_makes_room_for_itself() -> None:
    """What is past its time leaves as more comes, not all at once when the buffer is pruned."""
    buffer = Buffer("x", retain=RETAIN)
    for seq in range(1, 6):
        buffer.append(made("a", seq, LIFE, float(seq)), float(seq), WALL)
    buffer.append(made("a", 6, LIFE, 11.02), 11.02, WALL)
    assert (1, 0) == (buffer.first, buffer.evicted)
    buffer.append(made("a", 7, LIFE, 11.1), 11.1, WALL)
    assert (2, 0) == (buffer.first, buffer.evicted)


def test_in_a_burst_of_all_ages_only_the_old_ones_leave_early() -> None:
    """At twice the time of their own age."""
    buffer = Buffer("x", retain=RETAIN)
    ages = {2: 0.0, 3: 15.0, 4: 1.0}
    buffer.append(made("a", 1, LIFE, 0.0), 0.0, WALL)
    buffer.extend(made_burst([made("a", seq, LIFE, 0.0, age=age) for seq, age in ages.items()]), 0.0, WALL)
    buffer.prune(2 * RETAIN - 15.0)
    assert [1, 2, 4] == [e.number for e in buffer._entries[buffer._head :] if e.event is not None]


def test_what_is_past_its_time_makes_room_before_anything_is_evicted() -> None:
    """Nobody has to be told of what was kept as long as it was promised."""
    buffer = Buffer("x", retain=RETAIN, max_events=4)
    for seq in range(1, 5):
        buffer.append(made("a", seq, LIFE, float(seq)), float(seq), WALL)
    buffer.append(made("a", 5, LIFE, 12.5), 12.5, WALL)
    assert 0 == buffer.evicted
    assert [3, 4, 5] == [entry.number for entry in buffer._entries[buffer._head :]]
    buffer.extend(made_burst([made("a", seq, LIFE, 12.6) for seq in (6, 7)]), 12.6, WALL)
    assert 1 == buffer.evicted
    assert 4 == len(buffer)


@pytest.mark.parametrize("limits", [{"max_events": 7}, {"max_bytes": 1700}])
@pytest.mark.parametrize("others", ["", "b", "ab", "abaacba", "A", "bA", "AbAaA", "abAA"])
@given(st.lists(st.integers(1, 12), max_size=6))
def test_a_flood_is_evicted_as_one_event_after_another(
    limits: dict[str, Any], others: str, bursts: list[int]
) -> None:
    """Whether it is the oldest of all that goes, or what came between others: ``A`` is a marker of a."""
    together, singly = Buffer("x", retain=RETAIN, **limits), Buffer("x", retain=RETAIN, **limits)
    for number, origin in enumerate(others, start=1):
        seq = others[:number].lower().count(origin.lower())
        for buffer in (together, singly):
            if origin == "A":
                buffer.mark(loss("a", seq, seq), 0.0, WALL)
            else:
                buffer.append(made(origin, seq, LIFE, 0.0), 0.0, WALL)
    seq = others.lower().count("a")
    for count in bursts:
        burst = [made("a", seq + n, LIFE, 0.0) for n in range(1, count + 1)]
        seq += count
        numbers = list(together.extend(made_burst(burst), 0.0, WALL))
        assert numbers == [singly.append(each, 0.0, WALL) for each in burst]
        assert state(together) == state(singly)
        assert len(together) <= together.max_events
        assert together.bytes <= together.max_bytes


def test_what_is_kept_elsewhere_is_told_of_each_entry_in_order() -> None:
    """Of the marker for a hole before the event behind it."""
    buffer, kept = Buffer("x", retain=RETAIN), list[Entry]()
    buffer.keep = kept.append
    buffer.extend(made_burst([made("a", seq, LIFE, 0.0) for seq in (1, 2, 5)]), 0.0, WALL)
    buffer.mark(loss("b", 1, 3), 0.0, WALL)
    assert [1, 2, 3, 4, 5] == [entry.number for entry in kept]
    assert [sequence_of(LIFE, seq) for seq in (1, 2, 4, 5)] == [e.sequence for e in kept if e.origin == "a"]


def test_many_entries_let_go_of_at_once_are_remembered_as_one_by_one() -> None:
    """Also more of them than are remembered."""
    for first, count in ((1, 3), (200, 100), (300, 10), (10, 700)):
        at_once, singly = Buffer("x", retain=RETAIN), Buffer("x", retain=RETAIN)
        for buffer in (at_once, singly):
            buffer.extend(
                made_burst([made("a", seq, LIFE, 0.0) for seq in range(1, first + count + 1)]), 0.0, WALL
            )
            buffer._pop(first)
        at_once._pop(count)
        for _ in range(count):
            singly._pop(1)
        assert state(at_once)[1:] == state(singly)[1:]


def test_no_more_is_evicted_than_has_to_be() -> None:
    """A marker at the old end leaves with the event behind it: two places are free, one event is lost."""
    kept = Buffer("x", max_events=3)
    kept.mark(loss("a", 1, 2), 0.0, WALL)
    kept.extend(made_burst([made("a", seq, LIFE, 0.0) for seq in (3, 4, 5, 6)]), 0.0, WALL)

    assert (len(kept), kept.evicted, kept.first) == (3, 1, 3)


def test_markers_that_come_to_the_front_make_room_before_more_is_evicted() -> None:
    """What is past its time leaves first, and then they are not needed any more."""
    buffer, names = Buffer("x", retain=RETAIN, max_events=20), "bcde"
    for seq in range(1, 4):
        buffer.append(made("a", seq, LIFE, 0.0), 0.0, WALL)
    for first in (1, 5, 9):
        for name in names:
            buffer.extend(
                made_burst([made(name, seq, LIFE, 0.1) for seq in range(first, first + 4)]), 0.1, WALL
            )
    markers = sum(entry.marker is not None for entry in buffer._entries[buffer._head :])
    before = buffer.evicted
    buffer.extend(made_burst([made("b", seq, LIFE, 10.04) for seq in range(13, 18)]), 10.04, WALL)

    assert markers > 1
    assert (len(buffer), buffer.evicted - before) == (20, 0)
