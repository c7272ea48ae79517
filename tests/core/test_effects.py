"""Effects: the replica's words to the outside."""

from __future__ import annotations

from typing import get_args

from tocsin.core import effects


def test_every_effect_is_one_the_outside_knows() -> None:
    """What is exported is exactly what ``Effect`` may be: whoever matches all of it misses none."""
    names = {cls.__name__ for cls in get_args(effects.Effect)}
    assert names | {"Effect"} == set(effects.__all__)


def test_a_message_goes_to_all_unless_it_says_to_whom() -> None:
    """No addressee means everybody."""
    assert effects.Send(b"x").to is None
