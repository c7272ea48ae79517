"""Bounds on what is held for repair."""

from __future__ import annotations

from tests.core.made import LIFE, arrival
from tocsin.core.bounds import cap
from tocsin.core.lives import Life


def life(name: str, count: int, *, data: str = "") -> Life:
    """A life of which so much is held."""
    made = Life(name, LIFE, 0)
    for seq in range(1, count + 1):
        made.add(seq, arrival(name, seq, data=data), 0.0)
    made.ready()
    return made


def test_who_holds_most_gives_first() -> None:
    """The oldest of it; one node's flood costs only that node."""
    flood, calm = life("n1", 400), life("n2", 10)
    cap([calm, flood], 200, 1 << 30)
    assert (10, 190) == (len(calm.events), len(flood.events))
    assert 211 == flood.first_held


def test_bytes_are_bounded_as_well() -> None:
    """Few large events count as many small ones."""
    large, small = life("n1", 20, data="x" * 10_000), life("n2", 20)
    cap([large, small], 1000, 100_000)
    assert 20 == len(small.events)
    assert large.size + small.size <= 100_000
    assert len(large.events) > 7
