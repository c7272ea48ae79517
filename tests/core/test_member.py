"""A member: whether it is as it was told to be, which is asked far more often than anything else."""

from __future__ import annotations

from typing import Any

import pytest

from tocsin.core.liveness import Liveness
from tocsin.core.member import Member, missing


def told_up(**other: Any) -> Member:
    """A member that was told to be up in its life 7, and was heard in it at 100."""
    is_: dict[str, Any] = {"state": "up", "incarnation": 7, "heard_incarnation": 7, "heard_at": 100.0}
    return Member("b", **is_ | other)


def test_a_node_is_missed_after_three_announces() -> None:
    """And some time for the last one to travel."""
    assert missing(1.0) == pytest.approx(3.3)
    assert missing(10.0) == pytest.approx(30.3)


def test_what_is_up_and_heard_is_as_told() -> None:
    """Heard just now, or just not too long ago."""
    assert told_up().as_told(99.0)
    assert told_up().as_told(100.0)


@pytest.mark.parametrize(
    "other",
    [
        {"state": "suspect"},
        {"state": "unknown", "incarnation": 0},
        {"heard_at": None},
        {"heard_at": 98.9},
        {"heard_incarnation": 8},
        {"left_incarnation": 7},
        {"differs": ("down", 7)},
    ],
    ids=str,
)
def test_whatever_else_is_looked_at_closely(other: dict[str, Any]) -> None:
    """Silence, a new life, a goodbye, something that is about to be told: none of it is passed over."""
    assert not told_up(**other).as_told(99.0)


def test_nothing_is_told_of_whom_is_as_told() -> None:
    """The rule is no other than the one that everybody is judged by."""
    liveness = Liveness("a", ["a", "b"], seen=[], down_after=5.0)
    liveness.start(90.0)
    liveness.members["b"] = told_up()
    for now in (100.0, 103.3):
        assert liveness.members["b"].as_told(now - missing(1.0))
        assert [] == list(liveness.tick(now, 1.0))
    assert ["node.suspect"] == [draft.type for draft in liveness.tick(103.4, 1.0)]
