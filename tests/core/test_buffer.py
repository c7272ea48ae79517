"""The buffer: numbers, pages and gaps, and how long events stay."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.made import LIFE, WALL, arrival, burst, event, loss, seqs
from tocsin.core.ask import MAX_ANSWER
from tocsin.core.buffer import Buffer, Gap, Page
from tocsin.core.bus import Arrival
from tocsin.core.cursor import Cursor
from tocsin.core.interest import Interests
from tocsin.core.sequence import sequence_of

ID = "k3f9a.1"


def s(seq: int, life: int = LIFE) -> str:
    """The sequence of event ``seq``."""
    return sequence_of(life, seq)


def filled(*names: str, **settings: Any) -> Buffer:
    """A buffer with one event for each name such as ``a1``, one a second from second 0."""
    buffer = Buffer(ID, **settings)
    for second, name in enumerate(names):
        buffer.append(arrival(name[0], int(name[1:]), born=second), second, WALL)
    return buffer


def page(answer: Page | Gap) -> Page:
    """The answer is a page."""
    assert isinstance(answer, Page), answer
    return answer


def gap(answer: Page | Gap) -> Gap:
    """The answer is a gap."""
    assert isinstance(answer, Gap), answer
    return answer


def at(number: int) -> Cursor:
    """The position behind ``number``."""
    return Cursor(ID, number)


def test_numbers_begin_at_one() -> None:
    """Events are numbered 1, 2, 3 … in order of arrival, whatever their origin."""
    buffer = filled("a1", "b1", "a2")

    assert (buffer.first, buffer.last, len(buffer)) == (1, 3, 3)
    assert buffer.cursor == at(3)
    assert buffer.seen() == {"a": s(2), "b": s(1)}
    assert buffer.coverage == (WALL, WALL)


def test_an_empty_buffer_answers() -> None:
    """Before the first event a reader is told that there is nothing, at number 0."""
    buffer = Buffer(ID)

    assert page(buffer.since(None)) == Page((), at(0), {}, more=False)
    assert page(buffer.since(at(0))) == Page((), at(0), {}, more=False)
    assert buffer.window() == Page((), at(0), {}, more=False)
    assert (buffer.first, buffer.coverage, buffer.prune(10**9)) == (1, ("", ""), 0)


def test_without_a_cursor_a_reader_starts_now() -> None:
    """First contact gets no events, but the position and all of what it need not be told."""
    assert filled("a1", "b1").since(None) == Page((), at(2), {"a": s(1), "b": s(1)}, more=False)


def test_a_page_holds_what_came_after_the_cursor() -> None:
    """Events come oldest first, and of seen only the origins that moved."""
    answer = page(filled("a1", "b1", "b2", "b3").since(at(2)))

    assert seqs(answer.entries) == ["b2", "b3"]
    assert (answer.cursor, answer.seen, answer.more) == (at(4), {"b": s(3)}, False)


def test_pages_of_a_hundred_from_one_millisecond() -> None:
    """1,000 events in one instant are read in pages of 100, all once and in order (golongpoll#19)."""
    buffer = Buffer(ID)
    for seq in range(1, 1001):
        buffer.append(arrival("a", seq, born=5.0), 5.0, WALL)

    got: list[str] = []
    cursor, more = at(0), True
    while more:
        answer = page(buffer.since(cursor, limit=100))
        assert len(answer.entries) == 100
        cursor, more = answer.cursor, answer.more
        got += seqs(answer.entries)
    assert got == [f"a{seq}" for seq in range(1, 1001)]


def test_a_full_answer_is_cut_by_its_bytes() -> None:
    """An answer stays below 1 MiB however large the events; one event always fits."""
    buffer = Buffer(ID)
    for seq in range(1, 101):
        buffer.append(Arrival(event("a", seq, data="x" * 15_000), 0.0), 0.0, WALL)

    answer = page(buffer.since(at(0)))

    assert answer.more
    assert MAX_ANSWER - 16_000 < sum(len(e.event.body) for e in answer.entries if e.event) < MAX_ANSWER
    assert len(page(buffer.since(at(0), weigh=lambda e: 10 * MAX_ANSWER)).entries) == 1


def test_a_filter_that_hides_everything_moves_the_cursor() -> None:
    """Numbering is before filtering: an empty page still brings the reader forward (Kubernetes bookmarks)."""
    answer = page(filled("a1", "a2").since(at(0), interests=Interests.parse("adapter.*")))

    assert answer == Page((), at(2), {"a": s(2)}, more=False)


def test_looking_is_bounded() -> None:
    """A filter that hides a long buffer gets empty pages with more behind them, not one long search."""
    buffer = Buffer(ID)
    for seq in range(1, 251):
        buffer.append(arrival("a", seq), 0.0, WALL)
    hidden = Interests.parse(" ".join(f"adapter.x{n}" for n in range(1000)))

    answer = page(buffer.since(at(0), interests=hidden))

    assert answer == Page((), at(100), {"a": s(100)}, more=True)
    assert page(buffer.since(at(200), interests=hidden)).cursor == at(250)


def test_cursors_that_are_no_position_here() -> None:
    """The future, an earlier life, a known earlier id and another buffer are told apart, and never hang."""
    buffer = filled("a1", prior=["old.7"])

    for cursor, reason in [
        (at(2), "future"),
        (Cursor("k3f9a.0", 1), "restarted"),
        (Cursor("old.7", 1), "restarted"),
        (Cursor("zzzzz.1", 1), "foreign"),
    ]:
        assert buffer.since(cursor) == Gap(reason, {}, at(1), {"a": s(1)})


def test_a_copy_or_a_late_event_gets_no_number() -> None:
    """What is not newer than its origin's last number is refused and counted."""
    buffer = filled("a1", "a2")

    assert buffer.append(arrival("a", 2), 3, WALL) == 0
    assert buffer.append(arrival("a", 9, life=LIFE - 1), 3, WALL) == 0
    assert (buffer.last, buffer.refused) == (2, 2)


def test_a_hole_is_never_silent() -> None:
    """An event that leaves out some of its life is preceded by a marker, in a new life too."""
    buffer = filled("a1", "a4")

    answer = page(buffer.since(at(0)))
    assert (seqs(answer.entries), answer.cursor, answer.more) == (["a1"], at(1), True)
    assert gap(buffer.since(at(1))) == Gap("replica", {"a": (s(2), s(3))}, at(2), {"a": s(3)})

    buffer.append(arrival("a", 3, life=LIFE + 1), 9, WALL)
    assert gap(buffer.since(at(3))).lost == {"a": (s(1, LIFE + 1), s(2, LIFE + 1))}


def test_a_page_ends_before_a_marker_and_the_next_request_is_a_gap() -> None:
    """Nothing is delivered across a hole; the gap's cursor is just behind it, over several in a row."""
    buffer = filled("a1", "b1")
    buffer.mark(loss("a", 2, 3), 3, WALL)
    buffer.mark(loss("b", 2, 2), 3, WALL)
    buffer.mark(loss("a", 4, 6), 3, WALL)
    buffer.append(arrival("a", 7), 4, WALL)

    first = page(buffer.since(at(0)))
    lost = gap(buffer.since(first.cursor))
    rest = page(buffer.since(lost.cursor))

    assert (seqs(first.entries), first.cursor, first.more) == (["a1", "b1"], at(2), True)
    assert lost == Gap("replica", {"a": (s(2), s(6)), "b": (s(2), s(2))}, at(5), {"a": s(6), "b": s(2)})
    assert seqs(rest.entries) == ["a7"]


def test_a_marker_does_not_concern_who_could_not_match_its_origin() -> None:
    """A loss of another node's events is no gap to a reader of one node; its seen still moves."""
    buffer = filled("a1")
    buffer.mark(loss("b", 1, 3), 2, WALL)
    buffer.append(arrival("a", 2), 3, WALL)

    told = page(buffer.since(at(0), interests=Interests.parse("service.*@a")))

    assert seqs(told.entries) == ["a1", "a2"]
    assert told.seen == {"a": s(2), "b": s(3)}

    buffer.mark(loss("a", 3, 3), 4, WALL)
    buffer.mark(loss("b", 4, 4), 4, WALL)
    answer = gap(buffer.since(at(3), interests=Interests.parse("service.*@a")))
    assert (answer.lost, answer.cursor) == ({"a": (s(3), s(3))}, at(5))


def test_hidden_events_before_a_marker_do_not_delay_the_gap() -> None:
    """With nothing to deliver before the hole, the gap is told at once."""
    buffer = filled("a1")
    buffer.mark(loss("a", 2, 2), 2, WALL)

    assert gap(buffer.since(at(0), interests=Interests.parse("adapter.*"))).cursor == at(2)


def test_a_late_loss_is_only_told_to_who_comes_from_elsewhere() -> None:
    """A loss behind an origin's last number takes no number; a reader from another node learns of it."""
    buffer = filled("a1")
    buffer.append(arrival("a", 1, life=LIFE + 1), 1, WALL)

    assert buffer.mark(loss("a", 2, 5), 2, WALL) == 0
    assert seqs(page(buffer.since(at(0))).entries) == ["a1", "a1"]
    assert gap(buffer.resume("x", {"a": s(3)})).lost == {"a": (s(4), s(5))}
    assert seqs(page(buffer.resume("x", {"a": s(5)})).entries) == ["a1"]


def test_everything_stays_t_and_is_gone_by_two_t() -> None:
    """An event stays T from its number; one that was old when it came leaves at 2T of its own age."""
    buffer = Buffer(ID, retain=100)
    buffer.append(arrival("a", 1, born=1000), 1000, WALL)
    buffer.append(arrival("b", 1, born=850), 1000, WALL)
    buffer.append(arrival("c", 1, born=950), 1000, WALL)

    assert (buffer.prune(1049.9), buffer.last, len(buffer)) == (0, 3, 3)
    assert (buffer.prune(1050), len(buffer)) == (0, 3)
    assert gap(buffer.since(at(1))) == Gap("evicted", {"b": (s(1), s(1))}, at(2), {"a": s(1), "b": s(1)})
    assert buffer.prune(1099.9) == 0
    assert (buffer.prune(1100), buffer.first, buffer.bytes) == (3, 4, 0)


def test_an_old_event_at_the_head_leaves_without_a_marker() -> None:
    """At the old end nothing but the origin's mark is left of an event that had to go."""
    buffer = Buffer(ID, retain=100)
    buffer.append(arrival("b", 1, born=850), 1000, WALL)
    buffer.append(arrival("a", 1, born=1000), 1000, WALL)

    buffer.prune(1050)

    assert (buffer.first, len(buffer)) == (2, 1)
    assert gap(buffer.since(at(0))).lost == {"b": (s(1), s(1))}


def test_old_events_in_the_middle_become_one_marker() -> None:
    """Old events between young ones of the same origin leave one marker, where the last of them was."""
    buffer = Buffer(ID, retain=100)
    for seq, born in enumerate((1000, 850, 850, 1000), start=1):
        buffer.append(arrival("a", seq, born=born), 1000, WALL)

    assert buffer.prune(1060) == 1
    assert seqs(page(buffer.since(at(0))).entries) == ["a1"]
    assert gap(buffer.since(at(1))) == Gap("evicted", {"a": (s(2), s(3))}, at(3), {"a": s(3)})
    assert buffer.prune(1100) == 3


def test_an_aged_event_may_leave_by_the_head_first() -> None:
    """An event that was old and has left with its neighbours is not looked for again."""
    buffer = Buffer(ID, retain=100)
    buffer.append(arrival("a", 1, born=899), 1000, WALL)
    buffer.append(arrival("a", 2, born=899), 1000, WALL)

    assert buffer.prune(1100) == 2
    assert buffer.prune(1200) == 0


def test_wall_time_never_decides() -> None:
    """Events dated 1970 or 2100, and a clock that steps back, change neither order nor age (nchan#469)."""
    buffer = Buffer(ID, retain=10)
    buffer.append(arrival("a", 1, born=50, time="1970-01-01T00:00:00Z"), 50, "2100-01-01T00:00:00Z")
    buffer.append(arrival("a", 2, born=40, time="2100-01-01T00:00:00Z"), 40, "1970-01-01T00:00:00Z")

    assert seqs(page(buffer.since(at(0))).entries) == ["a1", "a2"]
    assert (buffer.prune(59.9), buffer.prune(60)) == (0, 2)


def test_evicted_names_what_was_lost_after_the_cursor() -> None:
    """A reader that slept too long is told which origins lost which events, and goes on behind them."""
    buffer = filled("a1", "b1", "a2", "a3", "c1", "b2", retain=10)
    buffer.prune(13)

    answer = gap(buffer.since(at(2)))

    assert buffer.first == 5
    assert answer == Gap("evicted", {"a": (s(2), s(3))}, at(4), {"a": s(3), "b": s(1)})
    assert seqs(page(buffer.since(answer.cursor)).entries) == ["c1", "b2"]
    assert gap(buffer.since(at(0))).lost == {"a": (s(1), s(3)), "b": (s(1), s(1))}


def test_evicted_is_no_gap_to_who_lost_nothing() -> None:
    """A reader of one node does not care that another node's events have been pruned."""
    buffer = filled("a1", "b1", "a2", retain=10)
    buffer.prune(11)

    assert seqs(page(buffer.since(at(0), interests=Interests.parse("service.*@c"))).entries) == []
    assert seqs(page(buffer.since(at(1), interests=Interests.parse("service.*@a"))).entries) == ["a2"]
    assert gap(buffer.since(at(0), interests=Interests.parse("x.y@a"))).reason == "evicted"


def test_a_flood_costs_only_its_origin() -> None:
    """Over the cap the origin that holds most loses its oldest events, and one marker says which."""
    buffer = filled("q1", "q2", max_events=10)
    for seq in range(1, 1001):
        buffer.append(arrival("f", seq), 5, WALL)
    buffer.append(arrival("q", 3), 6, WALL)

    answer = page(buffer.since(at(0)))
    lost = gap(buffer.since(answer.cursor))

    assert len(buffer) <= 10
    assert seqs(answer.entries) == ["q1", "q2"]
    assert (lost.reason, lost.cursor) == ("evicted", at(996))
    assert lost.lost == {"f": (s(1), s(994))}
    assert seqs(page(buffer.since(lost.cursor)).entries) == [*(f"f{n}" for n in range(995, 1001)), "q3"]
    assert buffer.evicted == 994


def test_a_flood_of_bytes_costs_only_its_origin() -> None:
    """The cap on bytes takes from the origin that holds most bytes, not most events."""
    buffer = filled("q1", "q2", "q3", max_bytes=30_000)
    for seq in (1, 2, 3):
        buffer.append(Arrival(event("f", seq, data="x" * 12_000), 5.0), 5, WALL)

    assert buffer.bytes <= 30_000
    assert seqs(buffer.window().entries) == ["q1", "q2", "q3"]
    assert gap(buffer.since(at(3))).lost == {"f": (s(1), s(1))}


def test_a_single_origin_is_simply_shortened() -> None:
    """Where one origin fills the buffer, the oldest go and no marker is kept; far back is still told."""
    buffer = Buffer(ID, max_events=100)
    for seq in range(1, 5001):
        buffer.append(arrival("a", seq), 0, WALL)

    assert (len(buffer), buffer.first) == (100, 4901)
    assert gap(buffer.since(at(4800))).lost == {"a": (s(4801), s(4900))}
    assert gap(buffer.since(at(3))).lost == {"a": (s(1), s(4900))}
    assert page(buffer.since(at(4900))).cursor == at(5000)


def test_a_run_of_markers_of_all_kinds_becomes_one() -> None:
    """An event that goes behind a marker of its origin joins it; readers in between are told too."""
    buffer = filled("q1", "a1", max_events=4)
    buffer.mark(loss("a", 2, 3), 2, WALL)
    buffer.append(arrival("a", 4), 3, WALL)
    buffer.append(arrival("a", 5), 3, WALL)

    assert gap(buffer.since(at(1))).lost == {"a": (s(1), s(4))}
    assert gap(buffer.since(at(2))).lost == {"a": (s(1), s(4))}
    assert seqs(buffer.window().entries) == ["q1"]
    assert seqs(page(buffer.since(at(4))).entries) == ["a5"]


def test_a_buffer_of_markers_gives_what_it_has() -> None:
    """A cap that only markers exceed takes no event that is not there."""
    buffer = Buffer(ID, max_events=1)
    for name in "abc":
        buffer.mark(loss(name, 1, 1), 0, WALL)
    buffer.append(arrival("a", 2), 1, WALL)

    assert buffer.window() == Page((), at(4), {"a": s(2), "b": s(1), "c": s(1)}, more=False)
    assert gap(buffer.since(at(0))).lost == {"a": (s(1), s(2)), "b": (s(1), s(1)), "c": (s(1), s(1))}


def test_the_window_is_always_a_page() -> None:
    """after=0 gives all that is held, from the first event on; a hole behind that is told next."""
    buffer = filled("a1", "b1", retain=10)
    buffer.mark(loss("c", 1, 1), 5, WALL)
    for seq in (2, 3):
        buffer.append(arrival("a", seq), 6, WALL)
    buffer.mark(loss("a", 4, 4), 7, WALL)
    buffer.append(arrival("a", 5), 7, WALL)
    buffer.prune(12)

    whole = buffer.window()

    assert buffer.first == 3
    assert seqs(whole.entries) == ["a2", "a3"]
    assert (whole.cursor, whole.more) == (at(5), True)
    assert whole.seen == {"a": s(3), "b": s(1), "c": s(1)}
    assert gap(buffer.since(whole.cursor)).lost == {"a": (s(4), s(4))}


def test_the_window_is_a_page_also_when_everything_is_hidden() -> None:
    """A filter that hides all before a marker gets an empty page, not a gap."""
    buffer = filled("a1")
    buffer.mark(loss("a", 2, 2), 5, WALL)

    assert buffer.window(interests=Interests.parse("x.*")) == Page((), at(1), {"a": s(1)}, more=True)


def test_recent_goes_by_the_age_of_the_event() -> None:
    """since=SECONDS gives what was born then, also when it came from a peer's history."""
    buffer = Buffer(ID)
    for seq, born in enumerate((10, 80, 95, 20, 99), start=1):
        buffer.append(arrival("a", seq, born=born), 90 if seq < 3 else 100, WALL)

    assert seqs(buffer.recent(25, 100).entries) == ["a2", "a3", "a5"]
    assert seqs(buffer.recent(6, 100).entries) == ["a3", "a5"]
    answer = buffer.recent(25, 100, limit=1)
    assert (answer.cursor, answer.seen, answer.more) == (at(2), {"a": s(2)}, True)
    assert buffer.recent(0, 200) == Page((), at(5), {"a": s(5)}, more=False)


def test_news_is_what_an_answer_would_tell() -> None:
    """A held request is woken by a matching event or a marker that concerns it, by nothing else."""
    buffer = filled("a1", "b1")
    buffer.mark(loss("b", 2, 2), 3, WALL)
    own, other = Interests.parse("service.*@a"), Interests.parse("adapter.*@b")

    assert buffer.news(0, own)
    assert not buffer.news(1, own)
    assert buffer.news(2, other)
    assert not buffer.news(3, other)


def test_seen_of_a_past_position() -> None:
    """At any number the buffer knows what a reader there has been told."""
    buffer = filled("a1", "b1", "a2")
    buffer.base("z", s(9))

    assert buffer.seen(0) == {"z": s(9)}
    assert buffer.seen(2) == {"a": s(1), "b": s(1), "z": s(9)}
    assert buffer.seen(99) == buffer.seen()


# -- resume: a reader that comes from another node -----------------------------


def test_resume_leaves_out_what_was_seen() -> None:
    """From the lowest number before which seen covers everything, without what it covers."""
    buffer = filled("a1", "b1", "a2", "b2", "a3")

    answer = page(buffer.resume("other.1:9", {"a": s(2), "b": s(1)}))

    assert seqs(answer.entries) == ["b2", "a3"]
    assert (answer.cursor, answer.seen, answer.more) == (at(5), {"a": s(3), "b": s(2)}, False)


def test_resume_on_a_node_that_is_behind() -> None:
    """A node that knows less than the reader tells nothing, and takes nothing from its seen."""
    assert page(filled("a1").resume("x", {"a": s(7), "b": s(3)})) == Page((), at(1), {}, more=False)


def test_resume_is_a_gap_where_something_is_not_held() -> None:
    """What was pruned and not seen is told, with the position from which the rest follows."""
    buffer = filled("b1", "a1", "b2", "a2", "b3", retain=10)
    buffer.prune(11)

    answer = gap(buffer.resume("x", {"b": s(2), "a": s(0)}))

    assert answer == Gap("evicted", {"a": (s(1), s(1))}, at(3), {"a": s(1), "b": s(2)})
    assert seqs(page(buffer.since(answer.cursor)).entries) == ["a2", "b3"]
    assert gap(buffer.resume("x", {"b": s(3)})).lost == {"a": (s(1), s(1))}
    assert seqs(page(buffer.resume("x", {"b": s(3)}, interests=Interests.parse("service.*@b"))).entries) == []


def test_a_newcomer_says_what_it_never_held() -> None:
    """A base is told as lost to who has not seen it, however little is known of it."""
    buffer = Buffer(ID)
    buffer.base("a", s(40))
    buffer.append(arrival("a", 41), 0, WALL)

    assert buffer.last == 1
    assert gap(buffer.resume("x", {"a": s(38)})).lost == {"a": (s(39), s(40))}
    assert gap(buffer.resume("x", {"b": s(1)})).lost == {"a": (s(1, 0), s(40))}
    assert seqs(page(buffer.resume("x", {"a": s(40)})).entries) == ["a41"]
    buffer.base("a", s(3))
    assert buffer.seen() == {"a": s(41)}


def test_what_is_no_news_here_gets_no_number() -> None:
    """An event that is skipped is no hole, and no gap to anybody."""
    buffer = filled("a1")
    buffer.skip("a", s(2))
    buffer.append(arrival("a", 3), 2, WALL)

    assert seqs(page(buffer.since(at(0))).entries) == ["a1", "a3"]
    assert seqs(page(buffer.resume("x", {"a": s(1)})).entries) == ["a3"]


def test_resume_at_a_marker() -> None:
    """A marker is a gap iff seen does not cover its end; what was seen of it is not called lost."""
    buffer = filled("a1", "b1")
    buffer.mark(loss("a", 2, 5), 3, WALL)
    buffer.append(arrival("a", 6), 4, WALL)

    assert seqs(page(buffer.resume("x", {"a": s(5), "b": s(1)})).entries) == ["a6"]
    assert gap(buffer.resume("x", {"a": s(3), "b": s(1)})) == Gap(
        "replica", {"a": (s(4), s(5))}, at(3), {"a": s(5), "b": s(1)}
    )
    assert gap(buffer.resume("x", {"a": s(1), "b": s(4)})).seen == {"a": s(5), "b": s(4)}
    older = {"a": s(9, LIFE - 1), "b": s(1)}
    assert seqs(page(buffer.resume("x", older)).entries) == ["a1"]


def test_a_reader_without_seen_goes_by_its_cursor() -> None:
    """Who has lost its seen but still has a cursor of this buffer goes on from there."""
    buffer = filled("a1", "a2", retain=10)
    buffer.prune(10)

    assert seqs(page(buffer.resume(f"{ID}:1", {})).entries) == ["a2"]
    assert gap(buffer.resume("x.1:1", {})).lost == {"a": (s(1), s(1))}
    assert gap(buffer.resume("rubbish", {})).lost == {"a": (s(1), s(1))}


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_resume_in_pages(limit: int) -> None:
    """Each page of a resume is followed by ordinary requests; together they miss nothing."""
    buffer = filled("a1", "b1", "a2", "b2", "a3", "b3")
    seen = {"a": s(2)}

    answer = page(buffer.resume("x", seen, limit=limit))
    got = seqs(answer.entries)
    seen |= answer.seen
    while answer.more:
        answer = page(buffer.since(answer.cursor, limit=limit))
        got += seqs(e for e in answer.entries if e.sequence > seen.get(e.origin, ""))
        seen |= {o: max(q, seen.get(o, "")) for o, q in answer.seen.items()}

    assert got == ["b1", "b2", "a3", "b3"]


def test_a_long_life_keeps_only_what_is_held() -> None:
    """Lists are compacted as events leave at the old end and in the middle: memory follows the window."""
    buffer = Buffer(ID, retain=10, max_events=4000)
    buffer.append(arrival("q", 1), 0, WALL)
    for seq in range(1, 9001):
        buffer.append(arrival("f", seq, born=0), 0, WALL)
    assert len(buffer._entries) < 8200
    assert len(buffer._held["f"].entries) < 8200

    for seq in range(9001, 9101):
        buffer.append(arrival("f", seq, born=20), 20, WALL)
    buffer.prune(25)

    assert (len(buffer), len(buffer._entries)) == (100, 100)
    assert len(buffer._held["f"].entries) < 2100


def late(*names: str) -> Buffer:
    """A buffer in which a second life of ``a`` has begun when more of the first is told as lost: number 3."""
    buffer = filled("a1", retain=100)
    buffer.append(arrival("a", 1, life=LIFE + 1), 1, WALL)
    assert buffer.mark(loss("a", 2, 5)._replace(late=True), 2, WALL) == 3
    for second, name in enumerate(names, start=3):
        buffer.append(arrival(name[0], int(name[1:]), life=LIFE + 1, born=second), second, WALL)
    return buffer


def test_a_loss_that_says_that_it_is_late_is_told_to_who_reads_here() -> None:
    """A gap by itself that does not say of what: what is before its ``seen`` a reader takes for told."""
    buffer = late("a2", "b1")

    assert seqs(page(buffer.since(at(0))).entries) == ["a1", "a1"]
    told = gap(buffer.since(at(2)))
    assert (told.reason, told.lost, told.cursor) == ("replica", {}, at(3))
    assert told.seen == {"a": s(1, LIFE + 1)}
    assert seqs(page(buffer.since(at(3))).entries) == ["a2", "b1"]
    assert seqs(page(buffer.since(at(2), interests=Interests.parse("service.*@b"))).entries) == ["b1"]
    assert seqs(page(buffer.window()).entries) == ["a1", "a1"]


def test_who_comes_from_elsewhere_is_told_that_something_was_late() -> None:
    """It may have begun to read here after that, and its ``seen`` does not say whether it was told there."""
    buffer = late("a2", "b1")
    seen = {"a": s(1, LIFE + 1), "b": s(0)}

    told = gap(buffer.resume("x.1:9", seen))
    assert (told.reason, told.lost, told.cursor) == ("replica", {}, at(3))
    assert seqs(page(buffer.since(told.cursor)).entries) == ["a2", "b1"]
    assert seqs(page(buffer.resume("x", seen, interests=Interests.parse("service.*@b"))).entries) == ["b1"]
    buffer.prune(102)
    assert seqs(page(buffer.resume("x", seen)).entries) == ["a2", "b1"]


def test_who_comes_from_elsewhere_by_a_late_loss_is_told_there_and_only_there() -> None:
    """One loss is one gap."""
    buffer = filled("a1", "b1")
    buffer.append(arrival("a", 1, life=LIFE + 1), 2, WALL)
    buffer.append(arrival("b", 2), 2, WALL)
    buffer.mark(loss("a", 2, 5)._replace(late=True), 3, WALL)

    before = page(buffer.resume("x", {"a": s(1, LIFE + 1), "b": s(1)}))
    assert (seqs(before.entries), before.cursor) == (["b2"], at(4))
    assert (gap(buffer.since(at(4))).lost, buffer.cursor) == ({}, at(5))


def test_what_others_may_lack_is_told_to_all_and_lost_to_nobody() -> None:
    """Who has not seen it gets it here; who cannot know whether it has is told a gap without ``lost``."""
    buffer = filled("a1", "a2")
    buffer.append(arrival("a", 1, life=LIFE + 1), 1, WALL)
    buffer.mark(loss("a", 2, 2)._replace(late=True, elsewhere=True), 2, WALL)

    assert seqs(page(buffer.resume("x", {"a": s(1)})).entries) == ["a2", "a1"]
    for told in (gap(buffer.resume("x", {"a": s(1, LIFE + 1)})), gap(buffer.since(at(3)))):
        assert (told.reason, told.lost, told.cursor) == ("replica", {}, at(4))


def test_what_was_never_here_and_what_came_late_are_two_gaps() -> None:
    """What is held between them is told as lost to nobody."""
    buffer = filled(retain=100)
    buffer.base("a", s(3))
    buffer.append(arrival("a", 4), 1, WALL)
    buffer.append(arrival("a", 1, life=LIFE + 1), 1, WALL)
    buffer.mark(loss("a", 5, 6)._replace(late=True), 2, WALL)

    for seen, first in (({"a": s(1)}, s(2)), ({"x": s(1)}, sequence_of(0, 1))):
        told = gap(buffer.resume("x", seen))
        assert (told.lost, told.cursor) == ({"a": (first, s(3))}, at(0))
    assert seqs(page(buffer.since(at(0))).entries) == ["a4", "a1"]
    assert gap(buffer.since(at(2))).lost == {}


def test_a_late_loss_before_a_hole_is_no_marker_out_of_order() -> None:
    """Where nothing later has its number yet, it is a loss as any."""
    buffer = filled("a1")
    assert buffer.mark(loss("a", 2, 5)._replace(late=True), 2, WALL) == 2
    assert gap(buffer.since(at(1))).lost == {"a": (s(2), s(5))}


def test_a_late_loss_is_no_part_of_the_gap_beside_it() -> None:
    """Each is told, the one with what is lost and the other without."""
    buffer = filled("a1", "b1")
    buffer.append(arrival("a", 1, life=LIFE + 1), 2, WALL)
    buffer.mark(loss("b", 2, 3), 3, WALL)
    buffer.mark(loss("a", 2, 5)._replace(late=True), 3, WALL)
    buffer.mark(loss("b", 4, 4), 3, WALL)

    told = [gap(buffer.since(at(number))) for number in (3, 4, 5)]
    assert [({"b": (s(2), s(3))}, at(4)), ({}, at(5)), ({"b": (s(4), s(4))}, at(6))] == [
        (each.lost, each.cursor) for each in told
    ]


def test_late_losses_that_follow_each_other_are_one_gap() -> None:
    """After a gap a monitor waits for a second: each by itself would hold it up as long as there are many."""
    buffer = late()
    buffer.append(arrival("b", 1), 3, WALL)
    buffer.append(arrival("b", 1, life=LIFE + 1), 3, WALL)
    for name in "bab":
        buffer.mark(loss(name, 6, 9)._replace(late=True), 3, WALL)
    buffer.append(arrival("a", 2, life=LIFE + 1), 4, WALL)

    told = gap(buffer.since(at(5)))
    assert ({}, at(8)) == (told.lost, told.cursor)
    assert seqs(page(buffer.since(told.cursor)).entries) == ["a2"]
    assert [gap(buffer.since(at(number))).cursor for number in (6, 7)] == [at(8), at(8)]


def test_any_number_of_late_losses_takes_one_place() -> None:
    """The last one tells of all: who sends them must not push out what others told."""
    buffer = filled("b1", "a1", max_events=4)
    buffer.append(arrival("a", 1, life=LIFE + 1), 1, WALL)
    for seq in range(5000):
        buffer.mark(loss("a", seq + 2, seq + 2)._replace(late=True), 2, WALL)
    buffer.append(arrival("b", 2), 3, WALL)

    assert (len(buffer), buffer.evicted, buffer.last) == (4, 1, 5004)
    assert len(buffer._entries) < 4000
    assert [gap(buffer.since(at(number))).cursor for number in (3, 4000)] == [at(5003), at(5003)]
    (kept,) = [entry.marker for entry in buffer._entries if entry.late]
    assert loss("a", 2, 5001)._replace(late=True) == kept


def test_a_flood_behind_a_late_loss_is_evicted_as_a_whole() -> None:
    """Its markers are joined, and no list is copied for each event."""
    buffer = filled("b1", max_events=50)
    buffer.append(arrival("a", 1), 1, WALL)
    buffer.append(arrival("a", 1, life=LIFE + 1), 1, WALL)
    buffer.mark(loss("a", 2, 5)._replace(late=True), 2, WALL)
    buffer.extend(burst([arrival("a", seq, life=LIFE + 1) for seq in range(2, 60)]), 3, WALL)
    held = buffer._held["a"]

    assert len(held.oldest_events(10, by_count=True)) == 10
    assert len(buffer) == 50
    assert [entry.reason for entry in held.entries[held.head :][:3]] == ["evicted", "replica", "evicted"]


def test_who_comes_when_a_late_loss_is_gone_is_told_that_anything_may_be_missing() -> None:
    """That it was evicted does not say less than it did."""
    buffer = late()
    for seq in range(2, 5):
        buffer.append(arrival("a", seq, life=LIFE + 1, born=150), 150, WALL)
    buffer.prune(150)

    assert buffer.first == 4
    assert [gap(buffer.since(at(number))).lost for number in (1, 2)] == [{}, {}]
    assert seqs(page(buffer.since(at(3))).entries) == ["a2", "a3", "a4"]


def test_a_late_loss_stays_by_itself_when_its_neighbours_are_evicted() -> None:
    """Their marker says what it did before."""
    buffer = filled("b1", max_events=6)
    for name, life in (("a1", 0), ("a2", 0), ("a1", 1)):
        buffer.append(arrival("a", int(name[1:]), life=LIFE + life), 1, WALL)
    buffer.mark(loss("a", 3, 5)._replace(late=True), 2, WALL)
    for seq in range(2, 8):
        buffer.append(arrival("a", seq, life=LIFE + 1), 3, WALL)

    kept = [(e.number, e.reason, e.marker.late) for e in buffer._entries[buffer._head :] if e.marker]
    assert [(4, "evicted", False), (5, "replica", True), (9, "evicted", False)] == kept
    assert gap(buffer.since(at(5))).lost == {"a": (s(2, LIFE + 1), s(5, LIFE + 1))}
