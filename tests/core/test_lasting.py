"""The buffer that outlives its agent: restored, it goes on where it ended, and hides nothing."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from tests.core.made import LIFE, WALL, arrival, event, loss, seqs
from tocsin.core.buffer import Gap, Page
from tocsin.core.bus import Arrival, Loss
from tocsin.core.cursor import Cursor
from tocsin.core.lasting import LastingBuffer, Marks, Snapshot
from tocsin.core.page import Entry
from tocsin.core.sequence import sequence_of

OLD, NEW = "k3f9a.1", "k3f9a.2"


def s(seq: int, life: int = LIFE) -> str:
    """The sequence of event ``seq``."""
    return sequence_of(life, seq)


def filled(*names: str, **limits: Any) -> tuple[LastingBuffer, list[Entry | Marks]]:
    """A buffer with one event for each name such as ``a1``, one a second, and what it kept."""
    kept: list[Entry | Marks] = []
    buffer = LastingBuffer(OLD, keep=kept.append, **limits)
    for second, name in enumerate(names):
        buffer.append(arrival(name[0], int(name[1:]), born=second), second, WALL)
    return buffer, kept


def restored(
    former: Snapshot, now: float = 10.0, *, lasts: dict[str, int] | None = None, **limits: Any
) -> LastingBuffer:
    """The buffer of the next life; the former one did not end cleanly."""
    buffer = LastingBuffer(NEW, **limits)
    buffer.restore(deepcopy(former), {OLD: former.last} if lasts is None else lasts, now)
    return buffer


def told(buffer: LastingBuffer, cursor: str) -> list[str] | Gap:
    """What a reader at a cursor is told."""
    answer = buffer.since(Cursor.parse(cursor))
    return seqs(answer.entries) if isinstance(answer, Page) else answer


def test_each_entry_is_kept_as_it_gets_its_number() -> None:
    """Events and markers, and the marker that a hole leaves before its event."""
    buffer, kept = filled("a1", "a3")
    buffer.mark(loss("b", 1, 2), 3.0, WALL)

    assert [(1, ""), (2, "replica"), (3, ""), (4, "replica")] == [
        (entry.number, entry.reason) for entry in kept if isinstance(entry, Entry)
    ]


def test_what_changes_without_a_number_is_kept() -> None:
    """What is skipped, never held, or lost too late to be numbered changes what an origin was seen up to."""
    buffer, kept = filled("a5")
    kept.clear()
    buffer.skip("a", s(6))
    buffer.base("b", s(7))
    buffer.mark(loss("b", 2, 4), 3.0, WALL)
    buffer.base("a", s(6))

    assert [
        Marks("a", s(6), "", False, 0, "", s(1)),
        Marks("b", s(7), s(7), True, 0, "", ""),
        Marks("b", s(7), s(7), True, 0, "", ""),
        Marks("a", s(6), "", True, 0, "", s(1), (s(6), s(6))),
    ] == kept


def test_without_anybody_to_keep_it_is_a_plain_buffer() -> None:
    """A buffer without a file can be skipped, based and marked."""
    buffer = LastingBuffer(NEW)
    buffer.append(arrival("a", 1), 0.0, WALL)
    buffer.skip("a", s(2))

    assert ({"a": s(2)}, False, None) == (buffer.seen(), buffer.restored, buffer.unheld("b", s(3)))


def test_a_restored_buffer_holds_the_same() -> None:
    """Numbers, seen, the window and the bytes are those of the former life; new events go behind."""
    buffer, _ = filled("a1", "b1", "a2")
    buffer.skip("b", s(2))
    after = restored(buffer.snapshot())

    assert (buffer.first, buffer.last, len(buffer), buffer.bytes, buffer.seen()) == (
        after.first, after.last, len(after), after.bytes, after.seen(),
    )  # fmt: skip
    assert ["a1", "b1", "a2"] == [f"{a.event.origin}{a.event.seq}" for a in after.arrivals()]
    assert 0 == after.append(arrival("a", 2), 11.0, WALL)
    assert 4 == after.append(arrival("b", 3), 11.0, WALL)


def test_cursors_go_on_up_to_what_was_recovered() -> None:
    """A cursor of the former life is a position here; one beyond what was recovered is of an earlier life."""
    buffer, _ = filled("a1", "a2", "a3")
    after = restored(buffer.snapshot())
    after.append(arrival("a", 4), 11.0, WALL)

    assert ["a3", "a4"] == told(after, f"{OLD}:2")
    assert ["a4"] == told(after, f"{OLD}:3")
    answer = told(after, f"{OLD}:4")
    assert isinstance(answer, Gap)
    assert "restarted" == answer.reason
    answer = told(after, "zzzzz.1:1")
    assert isinstance(answer, Gap)
    assert "foreign" == answer.reason


def test_a_reader_that_lost_its_seen_resumes_at_its_cursor() -> None:
    """With a cursor alone, of this life or the former one, a reader goes on there, else from the start."""
    buffer, _ = filled("a1", "a2")
    after = restored(buffer.snapshot())

    for cursor, expected in [
        (f"{OLD}:1", ["a2"]),
        (f"{NEW}:1", ["a2"]),
        (f"{OLD}:9", ["a1", "a2"]),
        ("?", ["a1", "a2"]),
    ]:
        answer = after.resume(cursor, {})
        assert isinstance(answer, Page)
        assert expected == seqs(answer.entries)


def test_former_ids_are_forgotten_with_their_numbers() -> None:
    """An id stays known as long as a cursor of it can be a position here."""
    buffer, _ = filled("a1", "a2", "a3", retain=10)
    after = restored(buffer.snapshot(), now=11.5, retain=10, lasts={"x.1": 0, "x.2": 1, OLD: 3})

    assert (3, {OLD: 3}) == (after.first, after.prior)


def test_what_is_past_its_time_is_not_restored() -> None:
    """Ages go on while the agent is down; readers from before are told of what is gone."""
    buffer, _ = filled("a1", "a2", "a3", retain=10)
    after = restored(buffer.snapshot(), now=11.5, retain=10)

    assert Gap("evicted", {"a": (s(1), s(2))}, Cursor(NEW, 2), {"a": s(2)}) == told(after, f"{OLD}:0")
    assert 4 == restored(buffer.snapshot(), now=1000.0, retain=10).first


def test_what_was_gone_before_stays_gone() -> None:
    """A former life's losses are told in this one, and what was pruned then does not come back."""
    buffer, _ = filled("a1", "a2", "a3", retain=10)
    everything = buffer.snapshot()
    buffer.prune(11.0)
    marks = buffer.snapshot().marks
    # After a reboot ages begin at 0: only the marks tell what had been pruned.
    after = restored(Snapshot(3, everything.entries, marks), now=2.0, retain=10)

    assert (3, ["a3"]) == (after.first, told(after, f"{OLD}:2"))
    assert Gap("evicted", {"a": (s(1), s(2))}, Cursor(NEW, 2), {"a": s(2)}) == told(after, f"{OLD}:1")


def test_limits_hold_for_what_is_restored() -> None:
    """A smaller buffer than before keeps the youngest, and says what had to go."""
    buffer, _ = filled("a1", "a2", "a3", "b1")
    after = restored(buffer.snapshot(), max_events=2)

    assert (3, 4, 2) == (after.first, after.last, len(after))


def test_entries_out_of_order_are_left_out() -> None:
    """A file that somebody has put together wrongly does no harm."""
    buffer, _ = filled("a1", "a2", "b1")
    one, two, three = buffer.snapshot().entries
    after = restored(Snapshot(0, [two, one, deepcopy(two), three], []))

    assert ["a2", "b1"] == told(after, f"{NEW}:0")


def test_clocks_that_went_back_do_no_harm() -> None:
    """Entries from the future are as old as now; an old event's end is kept."""
    buffer = LastingBuffer(OLD, retain=10)
    buffer.append(Arrival(event("a", 1), 85.0), 100.0, WALL)
    after = restored(buffer.snapshot(), now=100.0, retain=10)
    after.prune(105.0)
    assert 0 == len(after)

    assert [50.0] == [arrival.born for arrival in restored(buffer.snapshot(), now=50.0).arrivals()]


def test_markers_are_restored() -> None:
    """A loss that was told is told again to whoever has not seen it."""
    buffer, _ = filled("a1", "a4")
    after = restored(buffer.snapshot())

    assert Gap("replica", {"a": (s(2), s(3))}, Cursor(NEW, 2), {"a": s(3)}) == told(after, f"{OLD}:1")
    assert ["a4"] == told(after, f"{OLD}:2")


def test_what_cannot_be_had_is_a_loss_to_former_readers() -> None:
    """Who read before the restart is told what came in between and that no node holds any more."""
    buffer, _ = filled("a5")
    after = restored(buffer.snapshot())

    assert None is after.unheld("a", s(5))
    assert Loss("a", s(6), s(9)) == after.unheld("a", s(9))
    assert Loss("a", s(6), s(2, LIFE + 1)) == after.unheld("a", s(2, LIFE + 1))
    assert Loss("b", s(0), s(3)) == after.unheld("b", s(3))
    assert Loss("b", s(0), s(0)) == after.unheld("b", s(0))


def test_the_snapshot_of_a_restored_buffer_is_the_same() -> None:
    """Restarts may follow one another: nothing is worn off."""
    buffer, _ = filled("a1", "b1", "a2", retain=10)
    buffer.prune(10.5)
    once = restored(buffer.snapshot(), now=10.6, retain=10)

    assert buffer.snapshot().marks == once.snapshot().marks
    assert [e.number for e in buffer.snapshot().entries] == [e.number for e in once.snapshot().entries]


def test_a_base_is_a_marker_to_former_readers() -> None:
    """Where a new buffer would say that it never held something, a restored one tells it as lost."""
    buffer, _ = filled("a5")
    after = restored(buffer.snapshot())
    after.base("a", s(9))
    after.base("a", s(7))

    answer = told(after, f"{OLD}:2")
    assert isinstance(answer, Gap)
    assert ("replica", {"a": (s(6), s(9))}) == (answer.reason, answer.lost)


def test_a_late_marker_is_kept_and_restored() -> None:
    """With what it changes for readers who come from elsewhere."""
    buffer, kept = filled("a1")
    buffer.append(arrival("a", 1, life=LIFE + 1), 1.0, WALL)
    kept.clear()
    assert 3 == buffer.mark(loss("a", 2, 5)._replace(late=True), 2.0, WALL)
    buffer.append(arrival("a", 2, life=LIFE + 1), 2.0, WALL)
    assert [Entry, Marks, Entry] == [type(each) for each in kept]

    after = restored(buffer.snapshot())
    assert [1, 2, 3, 4] == [entry.number for entry in after.snapshot().entries]
    assert [False, False, True, False] == [entry.late for entry in after.snapshot().entries]
    twice = LastingBuffer(NEW)
    former = buffer.snapshot()
    again = Entry(5, "a", s(2, LIFE + 1), s(2, LIFE + 1), 2.0, 2.0, WALL, marker=loss("a", 2, 5))
    twice.restore(Snapshot(5, [*former.entries, again], former.marks), {}, 2.0)
    assert 4 == len(twice)


def test_that_a_late_marker_is_gone_is_known_after_a_restart() -> None:
    """Who was before it is told that anything may be missing, as without a restart."""
    buffer, _ = filled(retain=10.0)
    buffer.append(arrival("a", 1, life=LIFE + 1), 0.0, WALL)
    buffer.mark(loss("a", 2, 5)._replace(late=True), 1.0, WALL)
    buffer.prune(30.0)

    after = restored(buffer.snapshot(), 31.0, retain=10.0)
    for each, id in ((buffer, OLD), (after, OLD)):
        answer = told(each, f"{id}:1")
        assert isinstance(answer, Gap)
        assert {} == answer.lost
