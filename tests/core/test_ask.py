"""What a reader wants, and what is a gap to it."""

from __future__ import annotations

import pytest

from tests.core.made import LIFE, WALL, event, loss
from tocsin.core.ask import Ask
from tocsin.core.interest import EVERYTHING, Interests
from tocsin.core.page import Entry
from tocsin.core.sequence import sequence_of


def entry(seq: int, born: float = 0.0) -> Entry:
    """Event ``seq`` of origin a."""
    made = event("a", seq)
    return Entry(seq, "a", made.sequence, "", born, born, WALL, event=made)


def test_wants_what_matches_is_new_and_young_enough() -> None:
    """Interests, what was seen, and the age are all taken into account; a marker is never wanted."""
    assert Ask(1, EVERYTHING).wants(entry(1))
    assert not Ask(1, Interests.parse("adapter.*")).wants(entry(1))
    assert not Ask(1, EVERYTHING, known={"a": sequence_of(LIFE, 1)}).wants(entry(1))
    assert Ask(1, EVERYTHING, known={"a": sequence_of(LIFE, 1)}).wants(entry(2))
    assert not Ask(1, EVERYTHING, since=5.0).wants(entry(1, born=4.9))
    marker = Entry(1, "a", sequence_of(LIFE, 1), "", 0.0, 0.0, WALL, marker=loss("a", 1, 1))
    assert not Ask(1, EVERYTHING).wants(marker)


def test_tells_a_marker_that_is_new_and_concerns_the_reader() -> None:
    """A marker is a gap iff seen does not cover its end and the interests could match its origin."""
    marker = Entry(1, "a", sequence_of(LIFE, 3), "", 0.0, 0.0, WALL, marker=loss("a", 1, 3))

    assert Ask(1, EVERYTHING).tells(marker)
    assert Ask(1, EVERYTHING, known={"a": sequence_of(LIFE, 2)}).tells(marker)
    assert not Ask(1, EVERYTHING, known={"a": sequence_of(LIFE, 3)}).tells(marker)
    assert not Ask(1, Interests.parse("service.*@b")).tells(marker)
    assert not Ask(1, EVERYTHING).tells(entry(1))


@pytest.mark.parametrize(
    ("seen", "first"),
    [
        (None, 2),
        ({}, 2),
        ({"a": sequence_of(LIFE - 1, 9)}, 2),
        ({"a": sequence_of(LIFE, 1)}, 2),
        ({"a": sequence_of(LIFE, 3)}, 4),
    ],
)
def test_unseen_begins_behind_what_was_seen(seen: dict[str, str] | None, first: int) -> None:
    """Of a loss that the reader has partly seen elsewhere, only the rest is lost to it."""
    assert Ask(1, EVERYTHING, known=seen).unseen(loss("a", 2, 5)) == sequence_of(LIFE, first)


def test_unseen_of_a_loss_across_lives_is_all_of_it() -> None:
    """Where the loss goes on in a later life, nothing can be left out by counting."""
    later = loss("a", 2, 5)._replace(last=sequence_of(LIFE + 1, 2))

    ask = Ask(1, EVERYTHING, known={"a": sequence_of(LIFE, 3)})
    assert ask.unseen(later) == sequence_of(LIFE, 2)


def test_more_patterns_look_at_fewer_entries() -> None:
    """What one answer may cost is bounded, also for a thousand patterns."""
    many = Interests.parse(" ".join(f"a.b{n}" for n in range(1000)))

    assert Ask(1, EVERYTHING).scan > Ask(1, many).scan >= 40
