"""Effects: the replica's words to the outside."""

from __future__ import annotations

from typing import get_args

from tests.core.made import arrival
from tocsin.core import effects


def test_every_effect_is_one_the_outside_knows() -> None:
    """What is exported is exactly what ``Effect`` may be: whoever matches all of it misses none."""
    names = {cls.__name__ for cls in get_args(effects.Effect)}
    assert names | {"Effect", "add_delivery"} == set(effects.__all__)


def test_what_follows_is_delivered_together() -> None:
    """Of one life of one origin, without a hole, and with nothing in between."""
    done: list[effects.Effect] = []
    for origin, seq in (("n1", 1), ("n1", 2), ("n2", 3), ("n1", 3), ("n1", 5)):
        effects.add_delivery(done, [arrival(origin, seq)])
    done.append(effects.Skip("n1", "x"))
    effects.add_delivery(done, [arrival("n1", 6)])
    effects.add_delivery(done, [arrival("n1", 7), arrival("n1", 8)])
    told = [[a.event.seq for a in each.arrivals] for each in done if isinstance(each, effects.Deliver)]
    assert [[1, 2], [3], [3], [5], [6, 7, 8]] == told


def test_a_message_goes_to_all_unless_it_says_to_whom() -> None:
    """No addressee means everybody."""
    assert effects.Send(b"x").to is None
