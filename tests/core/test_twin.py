"""A living twin: when a node yields to another of its name."""

from __future__ import annotations

import pytest

from tocsin.core.messages import PROTOCOL, Announce, Hello
from tocsin.core.twin import FORGOTTEN, LASTS, Twin

HELLO = Hello(PROTOCOL, "hello", "n1")


def announce(incarnation: int) -> Announce:
    """What a twin says."""
    return Announce(PROTOCOL, "announce", "n1", incarnation, 1, 0, 1.0)


def test_what_is_heard_for_a_moment_is_no_twin() -> None:
    """Copies on several rails, and what is left of a former life, stop nobody."""
    twin = Twin()
    assert [False] * 4 == [twin.heard(announce(1), 0, now) for now in (0.0, 0.01, 0.02, LASTS - 0.01)]
    assert not twin.heard(announce(1), 0, FORGOTTEN + 1)


@pytest.mark.parametrize(("message", "mine", "yields"), [
    (HELLO, 0, True), (announce(5), 0, True), (announce(5), 9, True), (announce(9), 5, False),
    (HELLO, 5, False),
])  # fmt: skip
def test_the_newcomer_and_the_younger_yield(message: Announce | Hello, mine: int, yields: bool) -> None:
    """Who listens yields to whoever speaks; of two that live the younger one does."""
    twin = Twin()
    twin.heard(message, mine, 0.0)
    assert yields == twin.heard(message, mine, LASTS)
