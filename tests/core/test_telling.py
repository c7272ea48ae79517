"""What a node tells of what it holds."""

from __future__ import annotations

from tests.core.made import LIFE, arrival
from tocsin.core.messages import MAX_MESSAGE_BYTES, Entry, Events, decode
from tocsin.core.origin import Origin
from tocsin.core.telling import better, bursts, entries, some


def test_a_burst_is_cut_into_messages_of_a_bounded_size() -> None:
    """Consecutive events in order, each with its age, in as few messages as may be."""
    many = [arrival("n1", seq, born=9.0, data="x" * 5000) for seq in range(5, 45)]
    messages = [decode(payload) for payload in bursts("n1", LIFE, 5, many, 10.0)]

    assert all(isinstance(m, Events) for m in messages)
    told = [
        (m.first + i, age) for m in messages if isinstance(m, Events) for i, (age, _) in enumerate(m.events)
    ]
    assert [(seq, 1_000_000) for seq in range(5, 45)] == told
    sizes = [sum(len(b) for _, b in m.events) for m in messages if isinstance(m, Events)]
    assert max(sizes) <= MAX_MESSAGE_BYTES < sum(sizes)
    assert [] == list(bursts("n1", LIFE, 5, [], 10.0))


def test_entries_are_told_of_lives_that_were_handed_on() -> None:
    """Nothing is said of an origin that is not known yet, nor of a life that waits for its turn."""
    origin = Origin("n1")
    origin.begin(LIFE, 0.0)
    assert [] == entries(origin) == entries(None)
    origin.fresh = False
    origin.begin(LIFE + 1, 0.0)
    origin.life.accepted = 4
    assert [Entry("n1", LIFE, 1, 4)] == entries(origin)


def test_only_what_goes_beyond_what_somebody_knows_is_better() -> None:
    """More of a life that it knows, a newer life; not a former one that it has left behind."""
    origin = Origin("n1", fresh=False)
    for life in (LIFE, LIFE + 5):
        origin.begin(life, 0.0)
        origin.life.accepted = 4
        if life == LIFE:
            origin.begin(LIFE + 5, 0.0)
            origin.move_on(0.0)
    old, new = Entry("n1", LIFE, 1, 4), Entry("n1", LIFE + 5, 1, 4)
    assert [old, new] == better(origin, {}) == better(origin, {LIFE: 3})
    assert [new] == better(origin, {LIFE: 4}) == better(origin, {LIFE + 5: 3})
    assert [] == better(origin, {LIFE: 4, LIFE + 5: 4}) == better(origin, {LIFE + 6: 0})
    assert [] == better(None, {})


def test_names_are_told_some_at_a_time_in_turn() -> None:
    """So a message is of a bounded size, and each name has its turn."""
    names = [f"n{i:02d}" for i in range(40)]
    first = some(names, "")
    second = some(names, first[-1])
    assert names == [*first, *second, *some(names, second[-1])[:8]]
    assert names[:3] == some(names[:3], "n99")
    assert [] == some([], "n1")
