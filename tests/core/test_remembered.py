"""The same (source, id) is one event, however often it is posted."""

from __future__ import annotations

from tests.core.made import LIFE, event
from tocsin.core.remembered import Remembered
from tocsin.core.sequence import sequence_of


def test_the_first_sequence_counts() -> None:
    """A pair that was published twice, at two nodes at once, keeps its first sequence."""
    remembered = Remembered()
    remembered.learn([event("a", 1, id="x", source="/s")])
    remembered.learn([event("b", 7, id="x", source="/s")])

    assert remembered.first("/s", "x") == sequence_of(LIFE, 1)
    assert remembered.first("/s", "y") == ""
    assert remembered.first("/t", "x") == ""


def test_generators_events_and_losses_are_no_postings() -> None:
    """What nobody can have posted takes no memory."""
    remembered = Remembered()
    remembered.learn([event("a", 1)])

    assert len(remembered) == 0


def test_the_least_recently_used_is_forgotten() -> None:
    """Memory is bounded; what is asked for or arrives again stays longer."""
    remembered = Remembered(limit=2)
    remembered.learn([event("a", 1, id="1", source="/s")])
    remembered.learn([event("a", 2, id="2", source="/s")])
    assert remembered.first("/s", "1")
    remembered.learn([event("a", 3, id="3", source="/s")])

    assert (remembered.first("/s", "1") != "", remembered.first("/s", "2"), len(remembered)) == (True, "", 2)
