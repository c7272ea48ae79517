"""What a buffer answers with: small helpers on sequences and positions."""

from __future__ import annotations

from tests.core.made import WALL, event
from tocsin.core.page import ENVELOPE, GONE, Entry, following, furthest, preceding, weight


def test_following_stays_in_the_life() -> None:
    """The sequence after one is the next number of the same life."""
    assert following("0000000000007-000000000009") == "0000000000007-000000000010"
    assert preceding("0000000000007-000000000010") == "0000000000007-000000000009"


def test_furthest_takes_the_further_of_each_origin() -> None:
    """Two positions are joined origin by origin; neither argument changes."""
    one, other = {"a": "2", "b": "1"}, {"b": "3", "a": "1", "c": "1"}

    assert furthest(one, other) == {"a": "2", "b": "3", "c": "1"}
    assert one == {"a": "2", "b": "1"}


def test_weight_is_what_an_event_costs_in_an_answer() -> None:
    """An event weighs its bytes and its envelope, anything else only the envelope."""
    made = event("a", 1)

    assert weight(Entry(1, "a", made.sequence, "", 0.0, 0.0, WALL, event=made)) == ENVELOPE + len(made.body)
    assert weight(GONE) == ENVELOPE
