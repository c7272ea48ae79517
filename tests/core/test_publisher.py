"""The publisher: numbers without a hole."""

from __future__ import annotations

import pytest

from tests.core.made import LIFE, WALL
from tocsin.core.errors import EventTooLarge
from tocsin.core.event import Draft
from tocsin.core.publisher import MAX_WAITING, Publisher


def test_drafts_wait_until_the_life_begins() -> None:
    """What is published while the node listens keeps its order and comes first."""
    publisher = Publisher("c", "n1")
    opened = [publisher.open]
    publisher.wait(Draft(type="a.first"))
    publisher.wait(Draft(type="a.second"))
    waiting = publisher.begin(LIFE)

    assert [False, True] == [*opened, publisher.open]
    assert ["a.first", "a.second"] == [draft.type for draft in waiting]
    assert [1, 2] == [e.seq for e in publisher.seal(waiting, WALL)]
    assert [3] == [e.seq for e in publisher.seal([Draft(type="a.third")], WALL)]


def test_what_does_not_fit_is_counted_and_told() -> None:
    """Waiting is bounded; the loss is an event."""
    publisher = Publisher("c", "n1")
    for _ in range(MAX_WAITING + 3):
        publisher.wait(Draft(type="a.b"))
    waiting = publisher.begin(LIFE)

    assert MAX_WAITING + 1 == len(waiting)
    assert "agent.events-lost" == waiting[-1].type
    assert "3 events" in waiting[-1].data["summary"]


def test_all_drafts_are_numbered_or_none() -> None:
    """One draft too large leaves no hole in the numbers."""
    publisher = Publisher("c", "n1")
    publisher.begin(LIFE)
    with pytest.raises(EventTooLarge):
        publisher.seal([Draft(type="a.b"), Draft(type="a.b", data="x" * 20_000)], WALL)
    assert [1] == [e.seq for e in publisher.seal([Draft(type="a.b")], WALL)]


def test_a_second_life_begins_behind_what_is_lost_of_it() -> None:
    """Where others knew of a later life than this one was."""
    publisher = Publisher("c", "n1")
    publisher.begin(LIFE)
    publisher.seal([Draft(type="a.first"), Draft(type="a.second")], WALL)
    assert [] == publisher.begin(LIFE + 9, 1)
    [event] = publisher.seal([Draft(type="a.third")], WALL)
    assert (LIFE + 9, 2) == (event.incarnation, event.seq)
